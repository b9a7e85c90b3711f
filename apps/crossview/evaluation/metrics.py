"""How near a made image is to the real one, for each sample; and the field's own definitions.

Legend: images (B, 3, H, W) in [0, 1]; everything gives (B,). A name that ends in `_field` is what
this family's published tables hold (the scripts of X-Fork, which SelectionGAN and CrossMLP ship);
the name without it is the standard definition.

    psnr        10 log10(1 / MSE), dB
    psnr_field  the scripts scale errors by 128 and compare them with 255: 20 log10(255 / 128) =
                5.987 dB more
    ssim        Wang et al. 2004, an 11x11 Gaussian of 1.5 on RGB, the image mirrored beyond its
                border (torchmetrics)
    ssim_field  the same on luma, zeros beyond the border, where images then agree
    sd_field    sharpness difference (Mathieu et al. 2016), 10 log10(255^2 / e) with e = 128^2 times
                the mean of ||dx'| - |dx|| + ||dy'| - |dy||, backward differences
    sd_s2sp     Shi et al. (TPAMI 2022): 10 log10(255^2 / (64 mean |g' - g|)), g = |dx| + |dy|, in
                255 levels. That g is this sum is our reading
    vif         visual information fidelity in the pixel domain (Sheikh and Bovik 2006,
                torchmetrics): the share of the real image's information that the made one keeps, 1
                for the same. A perceptual measure without a network. From 41 pixels on
"""

from __future__ import annotations

import math
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor

from core.errors import InputError

IMAGE_METRICS = ("psnr", "psnr_field", "ssim", "ssim_field", "sd_field", "sd_s2sp", "vif")
MAP_METRICS = ("map_accuracy", "map_miou")
OFFSET = 20 * math.log10(255 / 128)  # dB
SMALLEST_VIF = 41  # pixels
LUMA = (0.299, 0.587, 0.114)
LARGEST_PSNR = 100.0  # dB, of equal images, whose PSNR is infinite


def image_metrics(made: Tensor, real: Tensor) -> dict[str, Tensor]:
    """All of the above: name -> (B,). In full precision whatever the images are in."""
    made, real = made.float().clamp(0, 1), real.float()  # a bfloat16 PSNR is of no use
    values = {
        "psnr": psnr(made, real),
        "psnr_field": psnr(made, real) + OFFSET,
        "ssim": ssim(made, real),
        "ssim_field": ssim_field(made, real),
        "sd_field": sd_field(made, real),
        "sd_s2sp": sd_s2sp(made, real),
    }
    if min(made.shape[2:]) >= SMALLEST_VIF:
        values["vif"] = _functional().visual_information_fidelity(
            255 * made, 255 * real, reduction="none"
        )
    return values


def metric_names() -> list[str]:
    """What an evaluation of large images with maps has. Raises InputError where none can be made.

    Without importing what makes them, which takes seconds.
    """
    if find_spec("torchmetrics") is None:
        raise InputError("evaluation needs torchmetrics: pip install torchmetrics")
    return [*IMAGE_METRICS, *MAP_METRICS]


def _functional():
    try:
        from torchmetrics.functional import image
    except ImportError as error:
        raise InputError("evaluation needs torchmetrics: pip install torchmetrics") from error
    return image


def psnr(made: Tensor, real: Tensor) -> Tensor:
    """dB; at most 100."""
    error = ((made - real) ** 2).flatten(1).mean(1)
    return (-10 * torch.log10(error.clamp(min=1e-12))).clamp(max=LARGEST_PSNR)


def ssim(made: Tensor, real: Tensor) -> Tensor:
    """From -1 to 1."""
    index = _functional().structural_similarity_index_measure
    return index(made, real, data_range=1.0, reduction="none")


def ssim_field(made: Tensor, real: Tensor) -> Tensor:
    """From -1 to 1; every window that touches the image counts, 10 pixels more each way."""
    weights = torch.tensor(LUMA, device=made.device).view(1, 3, 1, 1)
    x, y = (255 * (image * weights).sum(1, keepdim=True) for image in (made, real))  # (B, 1, H, W)
    at = torch.arange(11, device=made.device, dtype=torch.float32) - 5
    line = torch.exp(-(at**2) / (2 * 1.5**2))
    window = (line[:, None] * line) / line.sum() ** 2  # (11, 11), its sum is 1

    def mean(image: Tensor) -> Tensor:
        return F.conv2d(image, window[None, None], padding=10)

    mx, my = mean(x), mean(y)
    vx, vy, both = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    index = (2 * mx * my + c1) * (2 * both + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return index.flatten(1).mean(1)


def _steps(image: Tensor) -> tuple[Tensor, Tensor]:
    """|dx| and |dy|, backward differences, where both exist: (B, 3, H - 1, W - 1)."""
    inner = image[:, :, 1:, 1:]
    return (inner - image[:, :, 1:, :-1]).abs(), (inner - image[:, :, :-1, 1:]).abs()


def sd_field(made: Tensor, real: Tensor) -> Tensor:
    """dB; the sum is over the places with both differences, the mean over all."""
    (mx, my), (rx, ry) = _steps(made), _steps(real)
    total = ((mx - rx).abs() + (my - ry).abs()).flatten(1).sum(1)
    error = 128**2 * total / made[0].numel()
    return 10 * torch.log10(255**2 / error.clamp(min=1e-6))


def sd_s2sp(made: Tensor, real: Tensor) -> Tensor:
    """dB."""
    made, real = (sum(_steps(255 * image)) for image in (made, real))
    error = 64 * (made - real).abs().flatten(1).mean(1)
    return 10 * torch.log10(255**2 / error.clamp(min=1e-6))


def confusion_counts(drawn: Tensor, true: Tensor, classes: int) -> Tensor:
    """How often each true class was drawn as which: ids (B, H, W) twice -> (B, K, K) counts."""
    pairs = (true * classes + drawn).flatten(1)  # one number for each pair of classes, (B, H W)
    counts = F.one_hot(pairs, classes * classes).sum(1)
    return counts.unflatten(1, (classes, classes))


def map_scores(confusion: Tensor) -> dict[str, float]:
    """Pixel accuracy and mean IoU over the classes that occur, in %, of summed counts (K, K)."""
    counts = confusion.double()
    right = counts.diagonal()
    union = counts.sum(0) + counts.sum(1) - right
    known = union > 0
    return {
        "map_accuracy": float(100 * right.sum() / counts.sum()),
        "map_miou": float(100 * (right[known] / union[known]).mean()),
    }
