"""A cloud in the unit that a network has learnt, and cut into cubes that it can take.

Legend: N points in, P points out, T tiles.

Where a cloud is larger than a training shape it is cut into cubes, its *cores*. The network sees a
core and a margin around it, and of what it makes the points in the core are kept: each place
belongs to one core, so nothing comes twice. Cores and margins are whole numbers of the coarsest
voxels, so that all tiles have the same voxels, and points beside a border see the same neighbours
from both sides as far as the margin reaches. An operator that looks at all of its cloud
(`pointnet`) sees its tile.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

CORE, MARGIN = 1.0, 0.25  # at least, in the network's unit
NEIGHBOURS = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)  # (27, 3)


@dataclass(frozen=True)
class Normalization:
    """Where the network's unit cube lies in a cloud: p = center + unit * q."""

    center: np.ndarray  # (3,) float64
    unit: float  # the length in the cloud that is 1 to the network

    def apply(self, points: np.ndarray) -> np.ndarray:
        """The cloud's points (N, 3) in the network's unit, float64."""
        return (points.astype(np.float64) - self.center) / self.unit

    def undo(self, points: np.ndarray) -> np.ndarray:
        """The network's points (P, 3) in the cloud's place and unit, float64."""
        return points.astype(np.float64) * self.unit + self.center


@dataclass(frozen=True)
class Tiling:
    """Points in the network's unit, sorted by core; cores (T, 3) int64 that have something near."""

    points: np.ndarray  # (N, 3) float64
    rows: np.ndarray  # (N,) where each lies in the cloud
    core: float  # side of a core
    margin: float
    cells: dict[tuple[int, int, int], slice]  # the points of each core that has any
    cores: np.ndarray

    def __len__(self) -> int:
        return len(self.cores)

    @property
    def most(self) -> int:
        """Points of the fullest core."""
        return max(part.stop - part.start for part in self.cells.values())

    def around(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Points (n, 3) of a core and its margin, from the core's corner, and their rows (n,)."""
        core = self.cores[number]
        # a margin is no longer than a core, so that it lies within the 26 cores around
        parts = [self.cells.get(tuple(near)) for near in (core + NEIGHBOURS).tolist()]
        places = np.concatenate([np.r_[part] for part in parts if part is not None])
        local = self.points[places] - core * self.core
        near = ((local >= -self.margin) & (local < self.core + self.margin)).all(1)
        return local[near], self.rows[places[near]]

    def within(self, number: int, points: np.ndarray) -> np.ndarray:
        """Of points (P, 3) from a core's corner those in the core, in the network's unit."""
        # half open: a point on the border of two cores belongs to one of them
        inside = ((points >= 0) & (points < self.core)).all(1)
        return points[inside].astype(np.float64) + self.cores[number] * self.core


def tile(
    points: np.ndarray,
    coarsest: float,
    core: float = CORE,
    margin: float = MARGIN,
    reach: float | None = None,
) -> Tiling:
    """Cut points (N, 3), in the network's unit, into tiles of whole voxels of side `coarsest`.

    core, margin: their sides at least. reach: how far from the input the network puts points; as
    far as a margin where that is not known.
    """
    margin = math.ceil(margin / coarsest) * coarsest
    core = max(math.ceil(core / coarsest) * coarsest, margin)
    cell = np.floor(points / core).astype(np.int64)  # (N, 3)
    order = np.lexsort(cell.T[::-1])
    points, cell = points[order], cell[order]
    starts = np.flatnonzero(np.r_[True, (cell[1:] != cell[:-1]).any(1)])
    slices = map(slice, starts.tolist(), [*starts[1:].tolist(), len(points)])
    cells = dict(zip(map(tuple, cell[starts].tolist()), slices, strict=True))
    return Tiling(points, order, core, margin, cells, _cores(points, core, reach or margin))


def _cores(points: np.ndarray, core: float, reach: float) -> np.ndarray:
    """Every core that some point is in or within reach of: (T, 3), sorted.

    Also those without a point of their own: the network may put points there from next door. A
    reach is no longer than a core.
    """
    first, last = (np.floor((points + way) / core).astype(np.int64) for way in (-reach, reach))
    boxes = np.concatenate([first, last], 1)  # (N, 6): all that a point reaches, of few kinds
    boxes = boxes[np.lexsort(boxes.T)]
    boxes = boxes[np.r_[True, (boxes[1:] != boxes[:-1]).any(1)][: len(boxes)]].tolist()
    sides = ([range(box[i], box[i + 3] + 1) for i in range(3)] for box in boxes)
    cells = {cell for ranges in sides for cell in itertools.product(*ranges)}
    return np.array(sorted(cells), np.int64).reshape(-1, 3)
