"""From a picture to a network's input, for evaluation: resize, centre crop, normalise.

    squash      both sides to 256/224 of the size, distorting, then the centre (MLP-Mixer's Table 2)
    short-side  the shorter side to 256/224 of the size, then the centre (its Table 3)
    direct      straight to the size, nothing cut off (vit_jax's `input_pipeline.py`)
    timm:MODEL  what timm's pretrained_cfg of MODEL says (interpolation, crop_pct, crop_mode)

The first two are the paper's protocols (i) and (ii): Mixer-L/16 at 448 pixels has 84.15 by the one
and 83.91 by the other. Deviation: big_vision's `resize_small`, which stands for (ii) there, resizes
by TensorFlow's "area" method, here it is bilinear as the rest. Where an odd number of rows is cut
off, the larger part is below, as there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.config import did_you_mean
from core.errors import InputError
from core.sizes import as_pair

MARGIN = 256 / 224  # of the resized image over the crop
PROTOCOLS = ("squash", "short-side", "direct")


def check_protocol(protocol: str) -> None:
    """Raise InputError for an unknown protocol, and for a model that timm does not have."""
    if protocol.startswith("timm:"):
        import timm  # slow to import

        if not timm.is_model(protocol.removeprefix("timm:")):
            raise InputError(f"protocol {protocol}: timm has no such model")
    elif protocol not in PROTOCOLS:
        known = [*PROTOCOLS, "timm:<model>"]
        raise InputError(f"unknown protocol {protocol!r}.{did_you_mean(protocol, known)}")


def eval_transform(
    protocol: str,
    image_size: tuple[int, int],
    normalization: tuple[Sequence[float], Sequence[float]],
    antialias: bool = True,
) -> Callable:
    """A function of an RGB PIL image that gives a float tensor (3, H, W).

    image_size (H, W); normalization (mean, std) for pixels in [0, 1], of the backbone. Resizing is
    bilinear. With antialias it is Pillow's, rounded to 8 bits, as in most PyTorch pipelines.
    Without, four pixels are blended however much the image shrinks: what `tf.image.resize` does by
    default, and so vit_jax and big_vision. Raises InputError for an unknown protocol.
    """
    size = as_pair("image_size", image_size)
    check_protocol(protocol)
    if protocol.startswith("timm:"):
        return _timm_transform(protocol.removeprefix("timm:"), size, normalization)
    return EvalTransform(protocol, size, normalization, antialias)


@dataclass(frozen=True)
class EvalTransform:
    """See `eval_transform`; an object, so that loader processes can receive it."""

    protocol: str
    image_size: tuple[int, int]
    normalization: tuple[Sequence[float], Sequence[float]]
    antialias: bool = True

    def __call__(self, image) -> Tensor:
        size = resized_size(self.protocol, (image.height, image.width), self.image_size)
        pixels = resize(image, size, self.antialias)  # (3, h, w) in [0, 1]
        pixels = centre_crop(pixels, self.image_size)
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in self.normalization)
        return (pixels - mean) / std


@dataclass(frozen=True)
class Shrunk:
    """`transform` at its own size, then shrunk to `size` (h, w), as training at many sizes does."""

    transform: Callable
    size: tuple[int, int]

    def __call__(self, image) -> Tensor:
        pixels = self.transform(image)[None]
        return F.interpolate(pixels, self.size, mode="bilinear", antialias=True)[0]


def resized_size(
    protocol: str, size: tuple[int, int], image_size: tuple[int, int]
) -> tuple[int, int]:
    """(height, width) before the crop, of an image of `size` for a network of `image_size`.

    The shorter side is the one that needs the larger factor, where the network's size is no square.
    """
    if protocol == "direct":
        return image_size
    target = tuple(round(side * MARGIN) for side in image_size)
    if protocol == "squash":
        return target
    if target[0] * size[1] >= target[1] * size[0]:
        return target[0], round(target[0] * size[1] / size[0])
    return round(target[1] * size[0] / size[1]), target[1]


def resize(image, size: tuple[int, int], antialias: bool = True) -> Tensor:
    """An RGB PIL image at `size` (h, w), bilinear, as a float tensor (3, h, w) in [0, 1]."""
    if antialias:
        from PIL.Image import Resampling

        return _to_tensor(image.resize(size[::-1], Resampling.BILINEAR))
    pixels = _to_tensor(image)[None]
    return F.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=False)[0]


def centre_crop(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """The middle (..., h, w) of (..., H, W); of an odd rest the larger part is below and right."""
    top, left = (pixels.shape[-2] - size[0]) // 2, (pixels.shape[-1] - size[1]) // 2
    return pixels[..., top : top + size[0], left : left + size[1]]


def _to_tensor(image) -> Tensor:
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    return pixels.to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def _timm_transform(model: str, size: tuple[int, int], normalization) -> Callable:
    import timm  # slow to import
    from timm.data import create_transform

    known = timm.get_pretrained_cfg(model).to_dict()
    options = {name: known[name] for name in ("interpolation", "crop_pct", "crop_mode")}
    mean, std = normalization
    return create_transform((3, *size), is_training=False, mean=mean, std=std, **options)
