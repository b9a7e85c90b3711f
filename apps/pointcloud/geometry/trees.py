"""Nearest neighbours of a cloud's own points, searched once for all that asks for them.

Legend: N points, k neighbours.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree

AHEAD = 32  # neighbours that one search finds: the most that a surface is fitted to
ALONE = 20_000  # places; for fewer another thread costs more than it saves


def threads_for(count: int) -> int:
    """Threads of a search for so many places: torch's, of which each process has its share."""
    return torch.get_num_threads() if count > ALONE else 1


class Neighbours:
    """The nearest of points (N, 3) to each of them, in the order of their distance."""

    def __init__(self, points: np.ndarray):
        self.points = points
        self._distances, self._places = np.empty((len(points), 0)), np.empty((len(points), 0), int)

    def nearest(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Distances and places (N, k) among the points, or of fewer points (N, N)."""
        k = min(k, len(self.points))
        if k > self._places.shape[1]:
            ahead = min(max(k, AHEAD), len(self.points))
            tree, threads = cKDTree(self.points), threads_for(len(self.points))
            found = tree.query(self.points, range(1, ahead + 1), workers=threads)
            self._distances, self._places = found
        return self._distances[:, :k], self._places[:, :k]
