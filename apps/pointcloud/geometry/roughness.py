"""How noisy a cloud is, beside how far apart its points are, before anything is done to it.

sigma: the standard deviation of points from their local plane. Its ratio to the spacing says what
a cloud needs: one that is far below 1 is a clean surface that only wants more points. Legend: N
points, k neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from apps.pointcloud.geometry.normals import local_axes
from apps.pointcloud.geometry.spacing import spacing_of

NEIGHBOURS = 16  # of a plane; its three parameters take three from its degrees of freedom
SAMPLES = 4_000  # points that the median is taken over, at most
# The median of sqrt(chi squared / freedom): Wilson and Hilferty 1931
MEDIAN = (1 - 2 / (9 * (NEIGHBOURS - 3))) ** 1.5
CLEAN = 0.1  # sigma over spacing; the training inputs have about 0.2 to 0.3


@dataclass(frozen=True)
class Roughness:
    """Lengths in the cloud's unit."""

    spacing: float  # median distance to the fourth neighbour
    sigma: float  # of points from their local planes

    @property
    def ratio(self) -> float:
        return self.sigma / self.spacing if self.spacing else 0.0

    @property
    def clean(self) -> bool:
        """Whether more points are all that the cloud needs."""
        return self.ratio < CLEAN

    def __str__(self) -> str:
        need = "clean: it needs no more than points" if self.clean else "noisy: it needs cleaning"
        return f"noise {self.sigma:.3g}, {self.ratio:.2f} of the spacing {self.spacing:.3g}: {need}"


def roughness_of(points: np.ndarray) -> Roughness:
    """That of a cloud (N, 3). sigma is too large where the surface bends within 16 neighbours, and
    no more than half a spacing where planes can no longer be told; 0 of fewer than 16 points."""
    some = points[:: -(-len(points) // SAMPLES)]
    heights = plane_heights(some, points)
    if heights is None:
        return Roughness(spacing_of(points), 0.0)
    # rms over a neighbourhood, then the median over neighbourhoods: edges and outliers are few
    sigma = np.sqrt((heights**2).sum(1) / (NEIGHBOURS - 3))
    return Roughness(spacing_of(points), float(np.median(sigma)) / MEDIAN)


def plane_heights(centres: np.ndarray, points: np.ndarray) -> np.ndarray | None:
    """Heights (M, k) of the k nearest of points (N, 3) to centres (M, 3) over their own planes.

    None of fewer than k points.
    """
    if len(points) < NEIGHBOURS:
        return None
    near = points[cKDTree(points).query(centres, NEIGHBOURS, workers=-1)[1]].astype(np.float64)
    normals = local_axes(near)[:, :, 0]
    return np.einsum("mki,mi->mk", near - near.mean(1, keepdims=True), normals)


def heights_over(points: np.ndarray, cloud: np.ndarray) -> np.ndarray:
    """Distances (M,) of points (M, 3) from the planes of the 16 nearest of a cloud (N, 3)."""
    k = min(NEIGHBOURS, len(cloud))
    near = cKDTree(cloud).query(points, k, workers=-1)[1].reshape(len(points), k)
    near = cloud[near].astype(np.float64)
    normals = local_axes(near)[:, :, 0]
    return np.abs(((points - near.mean(1)) * normals).sum(1))
