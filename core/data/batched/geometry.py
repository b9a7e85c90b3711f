"""Crops, flips, shears and turns of a batch, as one map of coordinates each, sampled once.

A map is (B, 3, 3): where in the source the pixel of the result lies, in coordinates from -1 to 1
over the picture (`F.grid_sample` without align_corners). Maps multiply from the source's side.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from core.data.batched.draws import Draws

ASPECTS = (3 / 4, 4 / 3)  # of a crop: torchvision's RandomResizedCrop


def identity(count: int) -> Tensor:
    """(B, 3, 3)."""
    return torch.eye(3).repeat(count, 1, 1)


def random_crop(draws: Draws, area: tuple[float, float]) -> Tensor:
    """A share of the picture within `area`, at an aspect of 3/4 to 4/3, anywhere.

    As RandomResizedCrop, but for shapes that do not fit in: it draws anew, ten times at most, here
    the longer side is the picture's.
    """
    share = draws.between(*area)
    aspect = torch.exp(draws.between(*map(math.log, ASPECTS)))
    width, height = (share * aspect).sqrt().clamp(max=1), (share / aspect).sqrt().clamp(max=1)
    return window(draws, width, height)


def window(draws: Draws, width: Tensor, height: Tensor) -> Tensor:
    """A rectangle of these shares (B,) of the picture's sides, anywhere within it."""
    x, y = ((1 - side) * draws.between(-1, 1) for side in (width, height))
    return _map(len(width), xx=width, yy=height, x=x, y=y)


def shift(draws: Draws, count: int, pixels: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """By whole pixels of the result, up to (y, x) to each side; `size` is the result's (H, W)."""
    y, x = (draws.whole(2 * reach + 1) - reach for reach in pixels)
    return _map(count, x=2 * x / size[1], y=2 * y / size[0])


def flips(draws: Draws, count: int, horizontal: float, vertical: float) -> Tensor:
    """Mirrored with these probabilities."""
    x, y = (torch.where(draws.chance(rate), -1.0, 1.0) for rate in (horizontal, vertical))
    return _map(count, xx=x, yy=y)


def shear_x(amount: Tensor, size: tuple[int, int]) -> Tensor:
    """x + amount * y in pixels from the upper left corner, as Pillow's and timm's."""
    slope = amount * size[0] / size[1]
    return _map(len(amount), xy=slope, x=slope)


def shear_y(amount: Tensor, size: tuple[int, int]) -> Tensor:
    """y + amount * x in pixels from the upper left corner."""
    slope = amount * size[1] / size[0]
    return _map(len(amount), yx=slope, y=slope)


def translate_x(share: Tensor, _size: tuple[int, int]) -> Tensor:
    """By a share of the width."""
    return _map(len(share), x=2 * share)


def translate_y(share: Tensor, _size: tuple[int, int]) -> Tensor:
    """By a share of the height."""
    return _map(len(share), y=2 * share)


def rotate(degrees: Tensor, size: tuple[int, int]) -> Tensor:
    """About the middle, counter-clockwise as one sees it, as Pillow's."""
    angle, ratio = torch.deg2rad(degrees), size[0] / size[1]
    cos, sin = angle.cos(), angle.sin()
    return _map(len(degrees), xx=cos, xy=-sin * ratio, yx=sin / ratio, yy=cos)


def sample(
    images: Tensor, maps: Tensor, size: tuple[int, int], moved: Tensor | None, grey: float
) -> Tensor:
    """Images (B, 3, h, w) by `maps` at `size`: bilinear, mirrored at the edges, antialiased.

    moved (B, 3, 3): the part of `maps` that comes last, beyond whose picture all is `grey`.
    """
    fine = tuple(max(pair) for pair in zip(images.shape[-2:], size, strict=True))
    grid = _grid(maps, fine)
    result = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    if moved is not None:
        within = _grid(moved, fine).abs().amax(-1) <= 1  # (B, H, W)
        result = torch.where(within[:, None], result, grey)
    if fine != size:
        result = F.interpolate(result, size, mode="bilinear", antialias=True)
    return result


def _grid(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.affine_grid(maps[:, :2], [len(maps), 3, *size], align_corners=False)


def _map(count: int, xx=1.0, xy=0.0, x=0.0, yx=0.0, yy=1.0, y=0.0) -> Tensor:
    """(u, v) -> (xx u + xy v + x, yx u + yy v + y); each a number or (B,)."""
    maps = identity(count)
    for row, values in enumerate(((xx, xy, x), (yx, yy, y))):
        for column, value in enumerate(values):
            maps[:, row, column] = value
    return maps
