"""Convolutions that several generators are made of.

Legend: B batch, H W image, C channels. Convolutions keep their bias before a norm, as the released
code has it (there an accident of a comparison that is always true); with a norm behind it a bias is
without effect and costs a few thousand numbers.
"""

from __future__ import annotations

from math import gcd

from torch import nn

from apps.crossview.config import Norm
from core.errors import InputError

GROUPED = 16  # channels of a group, at least


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """batch: as released, statistics of the micro-batch of a process. group, instance: each picture
    by itself, so that a step is the same whatever it lies beside (other processes, other
    micro-batches); instance takes away how bright and of what hue a picture is as a whole."""
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "group":
        most = max(1, channels // GROUPED)
        return nn.GroupNorm(next(n for n in range(most, 0, -1) if channels % n == 0), channels)
    return nn.InstanceNorm2d(channels, affine=True)


def conv_block(channels: int, norm: Norm) -> nn.Sequential:
    """Two 3x3 convolutions with reflected borders, (B, C, H, W) -> (B, C, H, W)."""

    def convolution() -> list[nn.Module]:
        layers = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3)]
        return [*layers, norm_layer(norm, channels)]

    return nn.Sequential(*convolution(), nn.ReLU(), *convolution())


def stem(inputs: int, width: int, norm: Norm) -> nn.Sequential:
    """(B, inputs, H, W) -> (B, 4 width, H/4, W/4)."""
    layers = [nn.ReflectionPad2d(3), nn.Conv2d(inputs, width, 7), norm_layer(norm, width)]
    layers.append(nn.ReLU())
    for channels in (width, 2 * width):  # each halves the size and doubles the channels
        layers += [nn.Conv2d(channels, 2 * channels, 3, 2, 1), norm_layer(norm, 2 * channels)]
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def head(width: int, outputs: int, norm: Norm) -> nn.Sequential:
    """(B, 4 width, H/4, W/4) -> (B, outputs, H, W) in [-1, 1]."""
    layers = []
    for channels in (4 * width, 2 * width):  # each doubles the size and halves the channels
        half = channels // 2
        layers += [nn.ConvTranspose2d(channels, half, 3, 2, 1, 1), norm_layer(norm, half)]
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, outputs, 7), nn.Tanh())


def init_normal(module: nn.Module) -> None:
    """pix2pix's initialisation: N(0, 0.02), norms N(1, 0.02), biases 0. For `Module.apply`."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm):
        nn.init.normal_(module.weight, 1.0, 0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)


def check_size(size: tuple[int, int], multiple: int, who: str) -> None:
    """Raise InputError for a height or width that is no multiple."""
    if any(side < multiple or side % multiple for side in size):
        near = [max(multiple, round(side / multiple) * multiple) for side in size]
        raise InputError(
            f"{who}: {size[0]}x{size[1]} pixels cannot be cut into pieces of {multiple}: choose "
            f"--data.size {near[0]} {near[1]}, or another --model.patch"
        )


def halvings(size: tuple[int, int], most: int = 8) -> int:
    """How often both sides can be halved, at most `most`. Raises InputError for less than 3."""
    common = gcd(*size)
    count = min(most, (common & -common).bit_length() - 1)  # factors of 2 in both sides
    if count < 3:
        raise InputError(
            f"a U-Net: {size[0]}x{size[1]} pixels cannot be halved three times: choose multiples "
            "of 8 as --data.size, better of a larger power of two"
        )
    return count
