"""Normals and local planes of a cloud. Legend: N points, k neighbours."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

CHUNK = 50_000  # points at a time, so that memory is bounded


def estimate_normals(points: np.ndarray, k: int = 16) -> np.ndarray:
    """Unit normals (N, 3) float32, without an orientation, of points (N, 3).

    The direction of least spread of the k nearest points, itself among them (Hoppe et al. 1992).
    Where these have no plane (fewer than 3, or all at one place) it is some unit vector.
    """
    tree, normals = cKDTree(points), [np.empty((0, 3))]
    for start in range(0, len(points), CHUNK):
        part = points[start : start + CHUNK]
        near = tree.query(part, min(k, len(points)))[1].reshape(len(part), -1)
        normals.append(local_axes(points[near])[:, :, 0])  # the axis of least spread
    return np.concatenate(normals).astype(np.float32)


def local_axes(neighbours: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Orthonormal axes (N, 3, 3) of neighbourhoods (N, k, 3), in columns, least spread first.

    weights (N, k), 0 or more; none are all equal.
    """
    neighbours = neighbours.astype(np.float64)
    weights = np.ones(neighbours.shape[:2]) if weights is None else weights
    share = weights / weights.sum(1, keepdims=True)
    # (N, k, 3) around the weighted mean, then (N, 3, 3); eigh sorts ascending: least spread first
    centred = neighbours - (share[:, :, None] * neighbours).sum(1, keepdims=True)
    covariance = np.einsum("nk,nki,nkj->nij", share, centred, centred)
    return np.linalg.eigh(covariance)[1]
