"""Points on triangles, uniform by area. Legend: V vertices, F faces, N points."""

from __future__ import annotations

import numpy as np

from core.errors import InputError


def triangles(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, ...]:
    """Corners (F, 3, 3), areas (F,) and unit normals (F, 3); faces without area are left out."""
    corners = np.asarray(vertices, np.float64)[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    doubled = np.linalg.norm(cross, axis=1)
    real = doubled > 1e-12 * max(doubled.max(initial=0), 1e-300)
    return corners[real], doubled[real] / 2, cross[real] / doubled[real, None]


def pick_triangles(ends: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Places (N,) of triangles, by area; ends (F,) are the sums of the areas up to each."""
    chosen = np.searchsorted(ends, rng.random(count) * ends[-1], side="right")
    return np.minimum(chosen, len(ends) - 1)


def points_within(corners: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A uniform point of each triangle (N, 3, 3): Osada et al. 2002, equation 1."""
    # the root makes it uniform: without it points crowd at the first corner
    root, along = np.sqrt(rng.random(len(corners))), rng.random(len(corners))
    weights = np.stack([1 - root, root * (1 - along), root * along], 1)
    return (weights[:, :, None] * corners).sum(1)


def sample_mesh(
    vertices: np.ndarray,
    faces: np.ndarray,
    count: int,
    rng: np.random.Generator,
    where: str = "the mesh",
) -> tuple[np.ndarray, np.ndarray]:
    """`count` points of a mesh and their triangles' unit normals, (N, 3) float32 each.

    A pure function of the arguments and of the generator's state. Triangles with a corner that is
    not finite are left out. Raises InputError where nothing with an area is left.
    """
    finite = faces[np.isfinite(vertices).all(1)[faces].all(1)]
    corners, areas, normals = triangles(vertices, finite)
    if not len(areas):
        what = "an area" if len(finite) else "finite corners"
        raise InputError(f"{where}: none of its {len(faces)} triangles has {what}")
    chosen = pick_triangles(np.cumsum(areas), count, rng)
    points = points_within(corners[chosen], rng)
    return points.astype(np.float32), normals[chosen].astype(np.float32)
