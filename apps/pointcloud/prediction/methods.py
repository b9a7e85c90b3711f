"""What a person's cloud can be reconstructed by: a network, moving least squares, Poisson.

Each gives points in pieces, (P, 3) in the cloud's place, and the rows (n,) of input points that a
piece was made of. The last two learn nothing (`evaluation/baselines.py`): a run has no part in
them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from apps.pointcloud.evaluation.baselines import poisson_mesh, quadrics
from apps.pointcloud.evaluation.inference import reconstruct_places
from apps.pointcloud.geometry.meshes import sample_mesh
from apps.pointcloud.geometry.places import without_lonely
from apps.pointcloud.geometry.spacing import spacing_of
from apps.pointcloud.models.base import Network
from core.data.randomness import stream
from core.errors import InputError
from core.training.session import Session

Pieces = Iterator[tuple[np.ndarray, np.ndarray]]
Report = Callable[[int, int], None]  # pieces done, of how many
Method = Callable[[np.ndarray, int, Report], Pieces]  # points (N, 3), count out or 0
METHODS = ("network", "mls", "poisson")
TIMES = 4  # points out for one in, of methods that make as many as they are asked for
DEPTHS = 5, 10  # of Poisson's octree, at least and at most


@dataclass(frozen=True)
class NetworkMethod:
    """A trained network; how many points come out is its own affair."""

    session: Session
    network: Network

    def __call__(self, points: np.ndarray, _count: int, report: Report) -> Pieces:
        return reconstruct_places(self.session, self.network, points, report)


def mls(points: np.ndarray, count: int, report: Report) -> Pieces:
    """Outliers left out, then new points on local surfaces: moving least squares."""
    made = quadrics(points, count or TIMES * len(points))
    report(1, 1)
    yield made, np.arange(len(points))


def poisson(points: np.ndarray, count: int, report: Report) -> Pieces:
    """Points of Poisson's surface, uniform by area. Raises InputError where there is none."""
    vertices, faces = surface_of(without_lonely(points))
    report(1, 1)
    count = count or TIMES * len(points)
    yield sample_mesh(vertices, faces, count, stream(0))[0], np.arange(len(points))


def surface_of(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Poisson's surface with cells of about a spacing: vertices (V, 3) and triangles (F, 3).

    Raises InputError where the points, of a plane or a line, have none, and without Open3D.
    """
    cells = float(np.ptp(points, axis=0).max()) / max(spacing_of(points), 1e-300)
    depth = min(max(math.ceil(math.log2(max(cells, 1))), DEPTHS[0]), DEPTHS[1])
    vertices, faces = poisson_mesh(points.astype(np.float64), depth)
    if not len(faces):
        raise InputError("Poisson finds no surface in these points: take --method mls")
    return vertices, faces


LEARN_NOTHING: dict[str, Method] = {"mls": mls, "poisson": poisson}
