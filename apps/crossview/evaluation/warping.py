"""The other view by geometry alone: a flat earth, one camera for all pairs, and nothing drawn.

The view from above has its camera in the middle and looks down; ahead is up in it. The street is a
photograph (a pinhole) or a panorama (all directions, equirectangular) from the same place. On a
flat ground every place of one view is somewhere in the other: below the horizon in the street,
within the square from above. What has no such place has the mean training image's colour.

Where the horizon is, how high the camera stands and what it sees are those of CAMERAS that come
nearest to the training images. Legend: B batch, H W image. The lengths on the ground are in halves
of the side of the square.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from apps.crossview.config import Direction

Size = tuple[int, int]
PIXELS = 64 * 64 * 40  # of the images that cameras are tried on
LEVEL = torch.pi / 2  # a panorama is a quarter of a turn high
HORIZONS = (0.4, 0.45, 0.5, 0.55, 0.6)
HEIGHTS = (0.02, 0.04, 0.06, 0.09, 0.13, 0.2, 0.3)
FIELDS = (1.0, 1.4, 1.7, 2.3)  # 53, 70, 81 and 98 degrees
NEAREST = 1e-6  # ahead of the camera


@dataclass(frozen=True)
class Camera:
    """How the street is seen."""

    horizon: float  # as a share of the picture's height, from its top
    height: float  # of the camera over the ground
    field: float = 0.0  # a photograph's width over its focal length; 0: a panorama

    def ground(self, size: Size) -> tuple[Tensor, Tensor]:
        """Where the pixels of a street view meet the ground: across and ahead, (H, W) each; NaN
        above the horizon."""
        rows, columns = _middles(size)
        below = rows - self.horizon
        below = torch.where(below > 0, below, torch.nan)
        if self.field:
            # rows are as far apart as columns are
            ahead = self.height / (below * self.field * size[0] / size[1])
            return (columns - 0.5) * self.field * ahead, ahead.expand(size)
        far, turn = self.height / torch.tan(below * LEVEL), 2 * torch.pi * (columns - 0.5)
        return far * turn.sin(), far * turn.cos()

    def street(self, size: Size) -> tuple[Tensor, Tensor]:
        """Where the pixels of a view from above are in the street: columns and rows as shares,
        (H, W) each; NaN behind a photograph's camera."""
        rows, columns = _middles(size)
        across, ahead = (2 * columns - 1).expand(size), (1 - 2 * rows).expand(size)
        if self.field:
            ahead = torch.where(ahead > NEAREST, ahead, torch.nan)
            below = self.height / ahead / (self.field * size[0] / size[1])
            return 0.5 + across / ahead / self.field, self.horizon + below
        fall = torch.atan2(torch.tensor(self.height), torch.hypot(across, ahead))
        return 0.5 + torch.atan2(across, ahead) / (2 * torch.pi), self.horizon + fall / LEVEL


PHOTOGRAPHS = itertools.product(HORIZONS, HEIGHTS, FIELDS)
PANORAMAS = itertools.product(HORIZONS, HEIGHTS)
CAMERAS = [Camera(*numbers) for numbers in (*PHOTOGRAPHS, *PANORAMAS)]


def warp(source: Tensor, camera: Camera, direction: Direction, mean: Tensor) -> Tensor:
    """Views (B, 3, H, W) of the other side by a camera; mean (3, H, W) where there is nothing."""
    size = (source.shape[-2], source.shape[-1])
    if direction == "a2g":
        across, ahead = camera.ground(size)
        columns, rows = across, -ahead  # the square from above is -1 to 1
    else:
        columns, rows = (2 * share - 1 for share in camera.street(size))
    grid = torch.stack([columns, rows], -1).to(source)  # (H, W, 2)
    seen = (grid.abs() <= 1).all(-1)  # not of NaN
    grid = torch.where(seen[..., None], grid, 2.0).expand(len(source), *size, 2)
    made = F.grid_sample(source, grid, padding_mode="border", align_corners=False)
    return torch.where(seen, made, mean.to(source))


def fit_camera(sources: Tensor, targets: Tensor, direction: Direction, mean: Tensor) -> Camera:
    """The one of CAMERAS whose views are nearest to the targets, in mean square; (n, 3, H, W)."""
    some = max(1, min(len(sources), PIXELS // (sources.shape[-2] * sources.shape[-1])))
    sources, targets = sources[:some], targets[:some]

    def error(camera: Camera) -> float:
        return float((warp(sources, camera, direction, mean) - targets).square().mean())

    return min(CAMERAS, key=error)


def _middles(size: Size) -> tuple[Tensor, Tensor]:
    """Middles of pixels as shares of the sides: rows (H, 1), columns (1, W)."""
    height, width = size
    rows, columns = torch.arange(height) + 0.5, torch.arange(width) + 0.5
    return rows[:, None] / height, columns[None] / width
