"""How far apart a cloud's points are: what clouds of unknown size are scaled by.

A network has learnt one ratio of noise, spacing and voxel length. A cloud whose points are as far
from one another as those of the training inputs looks to it like those, whatever its extent.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree
from torch.utils.data import Dataset

from apps.pointcloud.geometry.cloud import Cloud, make_cloud
from apps.pointcloud.geometry.trees import threads_for
from core.data.loading import BadSample

NEIGHBOUR = 4  # the first ones are as near as noise and sampling happen to bring them
SAMPLES = 20_000  # points that the median is taken over, at most
ITEMS = 32  # of a data set


def spacing_of(points: np.ndarray) -> float:
    """The median distance of points (N, 3) to their 4th nearest neighbour, in their unit.

    Of fewer than 5 points the farthest neighbour; 0 for one point.
    """
    return local_spacing(points, points)


def local_spacing(part: np.ndarray, points: np.ndarray) -> float:
    """The same of a part (M, 3) of points (N, 3): the neighbours are of all."""
    return float(np.median(spacings(part[:: -(-len(part) // SAMPLES)], points)))


def spacings(part: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The distance of each of a part (M, 3) of points (N, 3) to its 4th nearest neighbour: (M,)."""
    # the point itself is its own first neighbour
    k = min(NEIGHBOUR + 1, len(points))
    return cKDTree(points).query(part, [k], workers=threads_for(len(part)))[0][:, 0]


def typical_spacing(items: Dataset) -> float:
    """The median over the inputs of a data set's first items; 0 where none can be read.

    Damaged ones are passed over: the loaders, which meet them again, name and count them.
    """
    spacings = []
    for i in range(min(ITEMS, len(items))):
        with suppress(BadSample):
            spacings.append(spacing_of(items[i]["input"].numpy()))
    return float(np.median(spacings)) if spacings else 0.0


def thinned(cloud: Cloud, length: float) -> Cloud:
    """One point, the mean, with mean colour, of each cube of this side that has any."""
    cells = np.floor((cloud.points - cloud.points.min(0).astype(np.float64)) / length)
    # a sort by cube brings the points of each together; no number a cube, which may overflow
    order = np.lexsort(cells.T[::-1])
    starts = np.flatnonzero(np.r_[True, (np.diff(cells[order], axis=0) != 0).any(1)])
    counts = np.diff(np.r_[starts, len(cells)])[:, None]

    def means(rows: np.ndarray | None) -> np.ndarray | None:
        if rows is None:
            return None
        return np.add.reduceat(rows[order].astype(np.float64), starts) / counts

    return replace(make_cloud(means(cloud.points), None, means(cloud.colours)), origin=cloud.origin)
