"""Local surfaces of second degree: h(u, v) over the plane of a place's neighbours.

A plane cuts a bend flat; a quadric follows it, and can therefore be fitted to more points, which
takes more of the noise away (moving least squares of degree 2: Levin 2003, Alexa et al. 2003).
Legend: M places, N points, k neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from apps.pointcloud.geometry.normals import local_axes

TERMS = 6  # 1, u, v, u^2, uv, v^2
RIDGE = 1e-6  # neighbours on a line leave the surface free across it
CHUNK = 50_000  # places at a time, so that memory is bounded


@dataclass(frozen=True)
class Fit:
    """The surfaces around M places."""

    heights: np.ndarray  # (M,) of the places over their surfaces, signed
    normals: np.ndarray  # (M, 3) along which heights are measured
    deviations: np.ndarray  # (M,) standard deviation of the neighbours around their surface


def fit_quadrics(places: np.ndarray, points: np.ndarray, k: int) -> Fit:
    """The surface of the k nearest of points (N, 3) to each of places (M, 3); a level plane where
    they are fewer than 8."""
    tree, k, parts = cKDTree(points), min(k, len(points)), []
    for start in range(0, len(places), CHUNK):
        part = places[start : start + CHUNK].astype(np.float64)
        near = tree.query(part, k, workers=-1)[1].reshape(len(part), k)
        parts.append(_fit(part, points[near].astype(np.float64)))
    return Fit(*(np.concatenate(rows) for rows in zip(*parts, strict=True)))


def _fit(places: np.ndarray, near: np.ndarray) -> tuple[np.ndarray, ...]:
    """Heights, normals and deviations of places (M, 3) and their neighbours (M, k, 3)."""
    middle, axes, k = near.mean(1, keepdims=True), local_axes(near), near.shape[1]
    local, own = (near - middle) @ axes, (places[:, None] - middle) @ axes  # h, u, v
    # in units of the neighbourhood: of a tiny one the squares would vanish beside the 1
    size = np.maximum(np.abs(local).max((1, 2)), 1e-300)[:, None, None]
    count = TERMS if k > TERMS + 1 else 1
    terms = _terms(local / size)[..., :count]
    gram = terms.mT @ terms + RIDGE * k * np.eye(count)
    weights = np.linalg.solve(gram, terms.mT @ local[..., :1])
    rest = (local[..., :1] - terms @ weights)[..., 0]
    heights = own[:, 0, 0] - (_terms(own / size)[..., :count] @ weights)[:, 0, 0]
    deviations = np.sqrt((rest**2).sum(1) / max(k - count, 1))
    return heights, axes[:, :, 0], deviations


def _terms(local: np.ndarray) -> np.ndarray:
    """(..., 6) of local places (..., 3), whose heights, the first, are left out."""
    u, v = local[..., 1], local[..., 2]
    return np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], -1)
