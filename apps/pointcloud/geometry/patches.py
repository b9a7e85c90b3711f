"""The surface through a cloud in patches, one around each of its points, and new points on them.

Moving least squares with the surfaces kept: each point has the quadric that explains most of what
lies around it, up to the noise of its place, and any number of points can be put on it. Nothing
depends on the order, the place, the size or the direction of the cloud. Legend: N points, c new
points of each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.pointcloud.geometry.places import density_levels, place_spacings, without_lonely
from apps.pointcloud.geometry.quadrics import NEIGHBOURS as OF_SURFACE
from apps.pointcloud.geometry.quadrics import REACH, Quadrics, quadrics_through, widest_quadrics
from apps.pointcloud.geometry.roughness import MEDIAN
from apps.pointcloud.geometry.roughness import NEIGHBOURS as OF_NOISE
from apps.pointcloud.geometry.trees import Neighbours

PLANE = 7  # of the level plane where no quadric fits: at edges
SPREAD = 0.75  # spacings from a point to the outermost of its new ones
INNER = 0.4  # share of the new ones that are half as far


@dataclass(frozen=True)
class Patches:
    """N points of a cloud, less the lonely ones, and the surface around each."""

    points: np.ndarray  # (N, 3) float64
    surfaces: Quadrics  # N
    neighbours: np.ndarray  # (N,) that the surface was fitted to
    spacing: np.ndarray  # (N,) of the point's place
    noise: np.ndarray  # (N,) standard deviation about the surfaces of the point's level
    levels: np.ndarray  # (N,) of density, as places.density_levels has them
    nearest: np.ndarray  # (N,) the nearest other point

    def __len__(self) -> int:
        return len(self.points)

    def bends(self) -> np.ndarray:
        """(N, 3): the mean curvature as a vector to the inside of the bend, times the spacing.

        Unlike curvature and normal it has a sign that does not depend on the normal's.
        """
        sizes = np.maximum(self.surfaces.sizes, 1e-100)  # of copies there is no size
        across = self.surfaces.coefficients[:, [3, 5]].sum(1) / sizes**2
        return (across * self.spacing)[:, None] * self.surfaces.normals

    def own(self) -> np.ndarray:
        """The points themselves, projected: (N, 3)."""
        return self._lifted(self.surfaces.local(self.points[:, None]))[:, 0]

    def spread(self, count: int) -> np.ndarray:
        """New points around each, on its surface: (N, count, 3)."""
        local = self.surfaces.local(self.points[:, None])
        # the nearest other point says where the pattern begins: turned clouds get turned points
        nearest = self.points[self.nearest][:, None]
        along = (self.surfaces.local(nearest) - local)[..., 1:]  # (N, 1, 2)
        length = np.linalg.norm(along, axis=2, keepdims=True)
        along = np.where(length > 0, along / np.maximum(length, 1e-300), [1.0, 0.0])
        turned = np.concatenate([along, along[..., ::-1] * [-1, 1]], 1)  # (N, 2, 2), rows
        moved = (_pattern(count) @ turned) * self.spacing[:, None, None]  # (N, count, 2)
        shift = np.concatenate([np.zeros_like(moved[..., :1]), moved], 2)
        return self._lifted(local + shift)

    def _lifted(self, local: np.ndarray) -> np.ndarray:
        """Local places (N, c, 3) moved along the normal to the surface, in the cloud's axes."""
        reach = REACH * self.spacing[:, None]
        heights = self.surfaces.heights(local).clip(-reach, reach)
        local = np.concatenate([heights[..., None], local[..., 1:]], 2)
        return local @ self.surfaces.axes.mT + self.surfaces.middles[:, None]


def patches_of(points: np.ndarray) -> Patches:
    """The patches of a cloud (N, 3); of what is lonely there is none."""
    points = without_lonely(points.astype(np.float64))
    around = Neighbours(points, max(OF_SURFACE))
    levels, (spacing, _) = density_levels(points, around), place_spacings(around)
    noise = _noise(around, levels)
    few = around.nearest(PLANE)[1]
    surfaces, neighbours = quadrics_through(points, few), np.full(len(points), few.shape[1])
    for rows, k, wider in widest_quadrics(points, points, noise, around=around):
        for own, new in zip(vars(surfaces).values(), vars(wider).values(), strict=True):
            own[rows] = new
        neighbours[rows] = k
    return Patches(
        points, surfaces, neighbours, spacing, noise, levels, around.nearest(2)[1][:, -1]
    )


def _noise(around: Neighbours, levels: np.ndarray) -> np.ndarray:
    """(N,): the median deviation in each level, as roughness_of has it of a cloud; 0 of few."""
    if len(levels) < OF_NOISE:
        return np.zeros(len(levels))
    surfaces = quadrics_through(around.points, around.nearest(OF_NOISE)[1])
    noise = np.empty(len(levels))
    for level in np.unique(levels):
        noise[levels == level] = np.median(surfaces.deviations[levels == level]) / MEDIAN
    return noise


def _pattern(count: int) -> np.ndarray:
    """(count, 2) in spacings: the point itself and two rings, the same when mirrored at x."""
    inner = round(INNER * (count - 1))
    rings = ((inner, SPREAD / 2, 0.0), (count - 1 - inner, SPREAD, 0.5))
    angles = [2 * np.pi * (np.arange(n) + half) / max(n, 1) for n, _, half in rings]
    circles = [
        radius * np.stack([np.cos(angle), np.sin(angle)], 1)
        for (_, radius, _), angle in zip(rings, angles, strict=True)
    ]
    return np.concatenate([np.zeros((1, 2)), *circles])
