"""Nearest neighbours of a cloud's own points, searched once for all that asks for them.

Legend: N points, k neighbours.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree

ALONE = 20_000  # places; for fewer another thread costs more than it saves


def threads_for(count: int) -> int:
    """Threads of a search for so many places: torch's, of which each process has its share."""
    return torch.get_num_threads() if count > ALONE else 1


def nearest_of(tree: cKDTree, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each place (P, 3) the distance (P,) of the tree's nearest point, and its number (P,)."""
    return tree.query(places, workers=threads_for(len(places)))


class Neighbours:
    """The k nearest of points (N, 3) to each of them, or of fewer points all, the nearest first."""

    def __init__(self, points: np.ndarray, k: int):
        self.points = points
        near, threads = range(1, min(k, len(points)) + 1), threads_for(len(points))
        self._distances, self._places = cKDTree(points).query(points, near, workers=threads)

    def nearest(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Distances and places (N, k) among the points of the first k of them."""
        return self._distances[:, :k], self._places[:, :k]
