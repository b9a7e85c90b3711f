"""Parts of a cloud by how dense they are: what a scanner sees far away is sparser.

One scale for all makes a network drop what is much sparser than the median, since its points are
as far from one another there as noise is. Parts whose spacings differ by more than those of a
training shape are scaled each by its own. Legend: N points, k neighbours.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from apps.pointcloud.geometry.spacing import NEIGHBOUR, spacing_of
from apps.pointcloud.geometry.trees import Neighbours, threads_for

# The density of training inputs is uneven by exp(1) in both directions (`corruption.bias` 1), and a
# surface's spacing goes with the root of it: exp(1/2) below the median to exp(1/2) above.
STEP = 1.0  # of the logarithm of the spacing, between levels
OUTLIER_NEIGHBOURS = 8
AROUND = 16  # neighbours whose median a place's spacing is: a lonely point has its neighbours'
LONELY = 1.5  # times the distance that a point's neighbours have to theirs
SURROUNDINGS = 4  # spacings around a part that is scaled on its own
FEWEST = 64  # points of a level; the points of smaller ones belong to the next


def density_levels(points: np.ndarray, around: Neighbours | None = None) -> np.ndarray:
    """A whole number (N,) for each point: the logarithm of its place's spacing over the median.

    0 throughout for a cloud that is about as dense everywhere, and where points are copies of one
    another, which have no density. around: the points' neighbours, where they are known.
    """
    if min(AROUND, len(points)) <= NEIGHBOUR:
        return np.zeros(len(points), np.int64)
    spacing, typical = place_spacings(around or Neighbours(points, AROUND))
    ratio = spacing / typical if typical else np.ones_like(spacing)
    ratio = np.where(ratio > 0, ratio, 1.0)
    return _populous(np.round(np.log(ratio) / STEP).astype(np.int64))


def place_spacings(around: Neighbours) -> tuple[np.ndarray, float]:
    """The spacing of each point's place, (N,), and of all: medians of the distance to the fourth
    neighbour, or to the farthest of fewer."""
    distance, near = around.nearest(AROUND)
    own = distance[:, min(NEIGHBOUR, near.shape[1] - 1)]
    return np.median(own[near], 1), float(np.median(own))


def with_surroundings(points: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Rows (n,) of a part, `own` (N,), and of the points within a few of its spacings."""
    reach = SURROUNDINGS * spacing_of(points[own])
    tree, threads = cKDTree(points[own]), threads_for(len(points))
    distance = tree.query(points, distance_upper_bound=reach, workers=threads)[0]
    return np.flatnonzero(np.isfinite(distance) | own)


def without_lonely(points: np.ndarray) -> np.ndarray:
    """Points (N, 3) less those much further from their neighbours than these are from theirs.

    Statistical outlier removal has one distance for all of a cloud, and takes the sparse parts too.
    """
    return points[~lonely(points)]


def lonely(points: np.ndarray) -> np.ndarray:
    """Which of points (N, 3) those are: (N,) bool."""
    k = min(OUTLIER_NEIGHBOURS + 1, len(points))
    if k < 3:
        return np.zeros(len(points), bool)
    distance, near = Neighbours(points, k).nearest(k)
    mean = distance[:, 1:].mean(1)
    return mean > LONELY * np.median(mean[near[:, 1:]], 1)


def _populous(levels: np.ndarray) -> np.ndarray:
    """Levels (N,) with those of few points moved to the nearest one that has enough."""
    names, counts = np.unique(levels, return_counts=True)
    large = names[counts >= FEWEST] if (counts >= FEWEST).any() else names[[counts.argmax()]]
    nearest = large[np.abs(names[:, None] - large).argmin(1)]
    return nearest[np.searchsorted(names, levels)]
