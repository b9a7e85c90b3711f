"""SurfaceNet: the input's own moving least squares surface, displaced by what a network has learnt.

Legend: B clouds, N points in less the lonely ones, Q of them in parts (Q >= N), c new points of
each, P = N * c points out, C channels, s the spacing of a part.

1   every input point has a patch, the quadric around it, and c new points spread on that patch
    (`geometry/patches.py`): moving least squares, which learns nothing. Where the input is sparse
    there are as many new points for one as elsewhere, where voxels would stay empty.
2   blocks around the operator (`operators`, any of the six) over the input points, in units of
    their spacing. What is much sparser or denser than the rest of a cloud is a part with a unit of
    its own (`geometry/places.py`), in training as in prediction.
3   for each new point a displacement, up to REACH spacings along the patch's normal and SLIDE
    beside it, and a logit of whether anything true is near it: without training those that
    outliers and bridges over holes give could not be told.
4   in evaluation a second pass (`smoothing`): new points go half of the way to the quadric through
    the new ones around. What the network is not sure of is on either side of the truth, and as
    many points as there are now average it out; the whole way would leave fewer on edges.

The last layer begins at 0: the untrained network is moving least squares, to the last bit (less
the second pass). Features are chosen so that a normal's sign plays no role, for a plane has none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from apps.pointcloud.config import ModelConfig
from apps.pointcloud.geometry.quadrics import Quadrics, quadrics_of
from apps.pointcloud.geometry.segments import cloud_count, segment_max
from apps.pointcloud.models.base import Network
from apps.pointcloud.models.layers import linear_norm_relu
from apps.pointcloud.models.operators import Blocks
from apps.pointcloud.models.parts import FEATURES, Parts, parts_of
from core.errors import InputError

REACH, SLIDE = 1.0, 0.3  # spacings along the normal, and beside it
VALID = 3.0  # the logit of every point before training
SECOND = 0.5  # of the way to the surface through new points
FEWEST = 16  # of those: through fewer, a quadric is anywhere beside them


class SurfaceNet(Network):
    """Packed clouds to packed clouds; how in the module's docstring.

    Raises InputError for a number out of its range and an unknown operator.
    """

    def __init__(self, config: ModelConfig):
        super().__init__(config)
        self.smooth_over(config.smoothing)
        self.refine = SurfaceRefinement(config)

    def smooth_over(self, points: int) -> None:
        """Lay the second pass's surfaces through so many points; 0: no second pass.

        Raises InputError for fewer than a surface can be laid through.
        """
        if 0 < points < FEWEST:
            raise InputError(
                f"model.smoothing is {points}: choose 0, which is none, or {FEWEST} "
                "points and more, through which a surface can be laid"
            )
        self.config = replace(self.config, smoothing=points)

    def forward(
        self,
        points: Tensor,
        batch: Tensor,
        target: Tensor | None = None,
        target_batch: Tensor | None = None,
    ) -> dict[str, Any]:
        """points (N, 3), batch (N,) -> {"points": (P, 3), "batch": (P,), "spacing": (P,),
        "validity": (P,) logits}; in evaluation mode less the points that are not valid.

        Nothing depends on the target, which other networks of this app look at in training.
        """
        del target, target_batch
        parts = parts_of(points, batch, self.config.points)
        moved, validity = self.refine(parts)  # (N, c, 3) in spacings, (N, c)
        made = parts.places + moved * parts.units[:, None, None]
        if self.config.smoothing and not self.training:
            made = smoothed(made, validity >= 0, parts, self.config.smoothing)
        output = {
            "points": made.flatten(0, 1),
            "batch": parts.clouds.repeat_interleave(self.config.points),
            "spacing": parts.units.repeat_interleave(self.config.points),
            "validity": validity.flatten(),
        }
        return output if self.training else _valid(output)


class SurfaceRefinement(nn.Module):
    """Displacements and validity of the new points."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        channels = config.channels
        self.stem = linear_norm_relu(FEATURES, channels)
        self.blocks = Blocks(config.operator, channels, config.neighbours, config.blocks)
        self.first = nn.Linear(channels, channels)
        self.of_offset = nn.Linear(3, channels, bias=False)
        self.second = nn.Linear(channels, channels)
        self.last = nn.Linear(channels, 4)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, parts: Parts) -> tuple[Tensor, Tensor]:
        """Displacements (N, c, 3), in spacings, and logits (N, c)."""
        features = self.blocks(self.stem(parts.features), parts.positions, parts.batch)
        # of each point once, of each new point its offset: the sum is a layer over both
        hidden = self.first(features[parts.own])[:, None] + self.of_offset(parts.offsets)
        raw = self.last(F.relu(self.second(F.relu(hidden)))).float()  # (N, c, 4)
        return bounded(raw[..., :3], parts.normals[:, None]), raw[..., 3] + VALID


def bounded(raw: Tensor, normals: Tensor) -> Tensor:
    """Vectors (N, c, 3) within REACH along the normals (N, 1, 3), of either sign, and SLIDE
    beside."""
    along = (raw * normals).sum(-1, keepdim=True)
    beside = raw - along * normals
    # no norm, whose gradient at 0 is not finite
    size = (1 + beside.square().sum(-1, keepdim=True)).sqrt()
    return REACH * along.tanh() * normals + SLIDE * beside / size


@torch.no_grad()
def smoothed(made: Tensor, valid: Tensor, parts: Parts, neighbours: int) -> Tensor:
    """New points (N, c, 3), those of an input point moved towards one surface: the quadric through
    the valid (N, c) ones of its cloud that are nearest to the first of them.

    By SECOND * REACH spacings at most. Clouds of fewer valid points than neighbours stay.
    """
    moved = made.clone()
    for cloud in parts.clouds.unique():
        rows = parts.clouds == cloud
        places, points = made[rows].cpu().numpy(), made[rows][valid[rows]].cpu().numpy()
        if len(points) >= neighbours:
            surfaces = quadrics_of(places[:, 0], points, neighbours)
            reach = REACH * parts.units[rows].cpu().numpy()
            moved[rows] = torch.from_numpy(_towards(surfaces, places, reach)).to(made)
    return moved


def _towards(surfaces: Quadrics, places: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Places (N, c, 3) after SECOND of their way to the N surfaces, or of reach (N,) if less."""
    local, reach = surfaces.local(places.astype(np.float64)), reach[:, None]
    over = (local[..., 0] - surfaces.heights(local)).clip(-reach, reach)
    return places - SECOND * over[..., None] * surfaces.normals[:, None]


def _valid(output: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of each cloud the points that are valid, or all where none is."""
    batch, validity = output["batch"], output["validity"]
    best = segment_max(validity, batch, cloud_count(batch))
    keep = (validity >= 0) | (best < 0)[batch]
    return {name: rows[keep] for name, rows in output.items()}
