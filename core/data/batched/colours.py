"""Pillow's operations on colours, for a batch: x (B, 3, H, W) of 0 to 255, m (B, 1, 1, 1).

Each follows Pillow's ImageOps and ImageEnhance on the same pixels, without their rounding to 8 bits
in between. m is what the operation takes: a factor, a number of bits, a threshold, an amount.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from core.data.batched.draws import Draws

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601-2, which Pillow converts to grey by


def brightness(x: Tensor, factor: Tensor) -> Tensor:
    """x (B, 3, H, W) in 0 to 255, times the factor of each image."""
    return (x * factor).clamp(0, 255)


def colour(x: Tensor, factor: Tensor) -> Tensor:
    """Saturation: away from the grey image by the factor of each; 1 changes nothing."""
    return _blend(_grey(x), x, factor)


def contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Away from the mean grey by the factor of each image; 1 changes nothing."""
    mean = _grey(x).mean((2, 3), keepdim=True)
    return _blend(mean, x, factor)


def hue(x: Tensor, turn: Tensor) -> Tensor:
    """Turned by a share of the hue's circle, -0.5 to 0.5; saturation and value stay (HSV)."""
    high, low = x.amax(1, keepdim=True), x.amin(1, keepdim=True)
    span = (high - low).clamp(min=1e-6)
    r, g, b = x.split(1, 1)
    blue = 4 + (r - g) / span
    angle = torch.where(high == r, (g - b) / span, torch.where(high == g, 2 + (b - r) / span, blue))
    # in sixths of the circle; of red, green and blue
    corner = (angle + 6 * turn + x.new_tensor([5, 3, 1]).view(1, 3, 1, 1)) % 6
    return high - (high - low) * torch.minimum(corner, 4 - corner).clamp(0, 1)


def jitter(x: Tensor, draws: Draws, reach: Sequence[float], share: float) -> Tensor:
    """Brightness, contrast, saturation and hue of a share of the samples, in this order.

    reach: how far each may go. torchvision's ColorJitter draws the order too.
    """
    chosen, result = draws.chance(share), x
    for change, far in zip((brightness, contrast, colour, hue), reach, strict=True):
        strength = draws.between(-far, far) + (change is not hue)  # about 1, about 0
        result = change(result, strength.view(-1, 1, 1, 1).to(x))
    return torch.where(chosen.view(-1, 1, 1, 1).to(x.device), result, x)


def greyed(x: Tensor, draws: Draws, share: float) -> Tensor:
    """A share of the samples without colour."""
    chosen = draws.chance(share).view(-1, 1, 1, 1).to(x.device)
    return torch.where(chosen, _grey(x), x)


def sharpness(x: Tensor, factor: Tensor) -> Tensor:
    """From the picture smoothed by Pillow's kernel (5 amid 8 ones), whose border stays as it is."""
    kernel = x.new_ones(3, 3)
    kernel[1, 1] = 5
    kernel = (kernel / 13).expand(x.shape[1], 1, 3, 3)
    smooth = x.clone()
    smooth[..., 1:-1, 1:-1] = F.conv2d(x, kernel, groups=x.shape[1])
    return _blend(smooth, x, factor)


def posterize(x: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest `bits` of 8; 8 or more change nothing."""
    step = 2.0 ** (8 - bits).clamp(min=0)
    return torch.where(bits >= 8, x, (x / step).floor() * step)


def solarize(x: Tensor, threshold: Tensor) -> Tensor:
    """Invert what is at or above the threshold."""
    return torch.where(x < threshold, x, 255 - x)


def solarize_add(x: Tensor, amount: Tensor) -> Tensor:
    """Add to what is below 128."""
    return torch.where(x < 128, (x + amount).clamp(max=255), x)


def invert(x: Tensor, _: Tensor) -> Tensor:
    """The negative."""
    return 255 - x


def autocontrast(x: Tensor, _: Tensor) -> Tensor:
    """Each channel stretched over 0 to 255; one of a single value stays."""
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    span = high - low
    return torch.where(span > 0, (x - low) * 255 / span.clamp(min=1e-6), x)


def equalize(x: Tensor, _: Tensor) -> Tensor:
    """Each channel's histogram made flat, by ImageOps.equalize's rule in whole numbers."""
    values = x.round().long().clamp(0, 255).flatten(2)  # (B, 3, H*W)
    counts = torch.zeros(*values.shape[:2], 256, dtype=torch.long, device=x.device)
    counts.scatter_add_(2, values, torch.ones_like(values))
    below = counts.cumsum(2) - counts
    last = values.amax(2, keepdim=True)
    step = (values.shape[2] - counts.gather(2, last)) // 255
    table = (below + step // 2) // step.clamp(min=1)
    table = torch.where(step > 0, table, torch.arange(256, device=x.device)).clamp(max=255)
    return table.gather(2, values).view_as(x).to(x.dtype)


def _grey(x: Tensor) -> Tensor:
    return (x * x.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _blend(origin: Tensor, x: Tensor, factor: Tensor) -> Tensor:
    """Away from `origin` by `factor`: 0 is `origin`, 1 is x, more goes beyond."""
    return (origin + (x - origin) * factor).clamp(0, 255)
