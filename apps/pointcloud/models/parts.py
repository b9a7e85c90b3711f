"""Clouds as SurfaceNet sees them: patches and parts of one density, in units of the spacing.

Legend: N points less the lonely ones, Q of them in parts with what lies around, c new points of
each. All of it comes from the points alone, without a gradient, in float64 on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from apps.pointcloud.geometry.patches import Patches, patches_of
from apps.pointcloud.geometry.places import with_surroundings
from apps.pointcloud.geometry.quadrics import NEIGHBOURS
from apps.pointcloud.geometry.segments import pack, unpack

FEATURES = 16  # of each point: `_features`
LARGEST = 4.0  # of a feature: ill-posed surfaces have any curvature
POINT_LIKE = 1e-6  # of the extent: no spacing is less, also where all points are copies


@dataclass(frozen=True)
class Parts:
    """Packed parts, float32."""

    positions: Tensor  # (Q, 3) of input points in units of the part's spacing, about its middle
    features: Tensor  # (Q, 16)
    batch: Tensor  # (Q,) the part of each
    own: Tensor  # (N,) which of Q are the part's own, and not of what lies around it
    clouds: Tensor  # (N,) the cloud of each own point
    units: Tensor  # (N,) spacing of its part
    normals: Tensor  # (N, 3)
    places: Tensor  # (N, c, 3) of the new points, in the input's unit
    offsets: Tensor  # (N, c, 3) from the own point, in spacings


@torch.no_grad()
def parts_of(points: Tensor, batch: Tensor, count: int) -> Parts:
    """The parts of packed clouds (N', 3) with c = count new points of each point."""
    parts = [
        (part, number)
        for number, cloud in enumerate(unpack(points, batch))
        for part in (_of_cloud(cloud.cpu().numpy(), count) if len(cloud) else ())
    ]
    columns = {name: [torch.from_numpy(part[name]) for part, _ in parts] for name in parts[0][0]}
    positions, of_part = pack(columns["positions"])
    sizes = torch.tensor([len(own) for own in columns["places"]])
    numbers = torch.tensor([number for _, number in parts]).repeat_interleave(sizes)
    rows = {n: torch.cat(each) for n, each in columns.items() if n not in ("positions", "own")}
    own = torch.cat(columns["own"]).nonzero()[:, 0]
    packed = {"positions": positions, "batch": of_part, "own": own, "clouds": numbers, **rows}
    return Parts(**{name: rows.to(points.device) for name, rows in packed.items()})


def _of_cloud(points: np.ndarray, count: int) -> Iterator[dict[str, np.ndarray]]:
    """Fields of Parts of each part of a cloud (N', 3); `own` as a mask (Q,)."""
    patches = patches_of(points)
    places, floor = patches.spread(count), POINT_LIKE * (np.ptp(patches.points) or 1.0)
    for level in np.unique(patches.levels):
        inside = patches.levels == level
        rows = (
            np.arange(len(patches)) if inside.all() else with_surroundings(patches.points, inside)
        )
        own, middle = inside[rows], patches.points[inside].mean(0)
        unit = max(float(np.median(patches.spacing[inside])), floor)
        offsets = (places[inside] - patches.points[inside][:, None]) / unit
        fields = {
            "positions": (patches.points[rows] - middle) / unit,
            "features": _features(patches, unit)[rows],
            "units": np.full(inside.sum(), unit),
            "normals": patches.surfaces.normals[inside],
            "places": places[inside],
            "offsets": offsets.clip(-LARGEST, LARGEST),
        }
        yield {"own": own, **{name: np.float32(values) for name, values in fields.items()}}


def _features(patches: Patches, unit: float) -> np.ndarray:
    """(N, 16), of which none depends on the sign of a normal."""
    normals = patches.surfaces.normals
    across = normals[:, [0, 1, 2, 0, 0, 1]] * normals[:, [0, 1, 2, 1, 2, 2]]
    residual = (patches.own() - patches.points) / unit
    lengths = np.stack([patches.noise, patches.surfaces.deviations], 1) / unit
    spacing = np.log(np.maximum(patches.spacing / unit, 1e-3))
    share = patches.neighbours / NEIGHBOURS[0]
    columns = [across, patches.bends(), residual, lengths, spacing[:, None], share[:, None]]
    return np.concatenate(columns, 1).clip(-LARGEST, LARGEST)
