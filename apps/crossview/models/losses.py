"""What generator and discriminator minimise, one number a sample: (B,), as `Run.backward` takes it.

Legend: B batch; A the source, B' I the coarse and the final image, B the real one, D' Is the coarse
and the final map, D the true one, U the uncertainty. CrossMLP (arXiv 2110.10183), as released:

    L_D = 0.5 [bce(D(A,B'), 0) + 4 bce(D(A,I), 0) + 5 bce(D(A,B), 1)]
    L_G = bce(D(A,B'), 1) + 4 bce(D(A,I), 1) + 0.5 L_img + 0.5 L_seg + L_tv
    L_img = 1.5 l mean((|B'-B| + |I-B|) / U + log U + 0.5 (I-B')^2) + l |B'-B| + 2 l |I-B|,  l = 100
    L_seg = the same of D', Is and D, l = 1
    L_tv = 4e-6 sum |grad I|

SelectionGAN's pixel loss is l mean(|B'-B| / U + log U) + l |B'-B| and twice that of I, unhalved.
A network with one image has pix2pix's: bce(D(A,I), 1) + l |I-B|, and |map| where it draws one.

What is ours: the discriminator gives logits; U is at least 0.001, since -log U has no bound; total
variation is a sum over a sample's pixels, times 4e-6, which is the released 1e-6 times the sum over
its batch of 4.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from apps.crossview.config import LossConfig

Output = dict[str, Tensor]
LEAST_UNCERTAINTY = 1e-3
WEIGHTS = {"coarse": 1.0, "image": 4.0}  # before the discriminator


def image_weights(output: Output) -> dict[str, float]:
    """The images that the discriminator sees, coarse before final, with their weights."""
    return {name: weight for name, weight in WEIGHTS.items() if name in output}


def discriminator_losses(real: Tensor, made: dict[str, Tensor], output: Output) -> Output:
    """Logits (B, 1, h, w) of the real image and, by name, of the made ones -> losses (B,)."""
    weights = image_weights(output)
    total = sum(weights.values())  # the real image weighs as much as all made ones
    losses = {"d_real": 0.5 * total * _bce(real, 1.0)}
    for name, weight in weights.items():
        losses[f"d_{name}"] = 0.5 * weight * _bce(made[name], 0.0)
    return {name: loss / _scale(weights) for name, loss in losses.items()}


def adversarial_losses(made: dict[str, Tensor], output: Output, config: LossConfig) -> Output:
    """Logits of the made images -> what the generator loses before the discriminator, (B,)."""
    weights = image_weights(output)
    factor = config.adversarial / _scale(weights)
    return {f"g_{name}": factor * w * _bce(made[name], 1.0) for name, w in weights.items()}


def _scale(weights: dict[str, float]) -> float:
    """A network with one image has nothing to weigh it against."""
    return next(iter(weights.values())) if len(weights) == 1 else 1.0


def pixel_losses(output: Output, image: Tensor, target_map: Tensor, config: LossConfig) -> Output:
    """Losses against the real image (B, 3, H, W) and map (B, K, H, W) in [-1, 1], (B,) each."""
    output = {name: value.float() for name, value in output.items()}
    losses = {"image": _pair_loss(output, "coarse", "image", image, config.image, config)}
    if "map" in output:
        losses["map"] = _pair_loss(output, "map", "map_final", target_map, config.map, config)
    if config.total_variation:
        losses["tv"] = config.total_variation * total_variation(output["image"])
    return losses


def _pair_loss(
    output: Output, coarse: str, final: str, truth: Tensor, weight: float, config: LossConfig
) -> Tensor:
    """L_img or L_seg; |difference| alone where the network has no uncertainty."""
    if "uncertainty" not in output:  # pix2pix, X-Fork, X-Seq, mixer without selection
        return weight * _mean((output[final if final in output else coarse] - truth).abs())
    first, second = output[coarse], output[final]
    doubt = output["uncertainty"].clamp(min=LEAST_UNCERTAINTY)
    e1, e2 = (first - truth).abs(), (second - truth).abs()  # (B, C, H, W)
    if config.pixel == "selectiongan":
        first, second = _doubted(e1, doubt) + _mean(e1), _doubted(e2, doubt) + _mean(e2)
        return weight * (first + 2 * second)
    refined = 1.5 * (_doubted(e1 + e2, doubt) + 0.5 * _mean((second - first) ** 2))
    return 0.5 * weight * (refined + _mean(e1) + 2 * _mean(e2))


def _doubted(error: Tensor, doubt: Tensor) -> Tensor:
    """mean(error / U + log U): (B, C, H, W), (B, 1, H, W) -> (B,)."""
    return _mean(error / doubt + doubt.log())


def total_variation(image: Tensor) -> Tensor:
    """Sum of absolute differences of neighbours: (B, C, H, W) -> (B,)."""
    down = (image[:, :, 1:] - image[:, :, :-1]).abs().flatten(1).sum(1)
    return down + (image[:, :, :, 1:] - image[:, :, :, :-1]).abs().flatten(1).sum(1)


def _bce(logits: Tensor, truth: float) -> Tensor:
    target = torch.full_like(logits, truth, dtype=torch.float32)
    return _mean(F.binary_cross_entropy_with_logits(logits.float(), target, reduction="none"))


def _mean(values: Tensor) -> Tensor:
    """(B, ...) -> (B,)."""
    return values.flatten(1).mean(1)
