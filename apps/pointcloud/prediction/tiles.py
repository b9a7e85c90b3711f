"""Clouds of any size through a network that has learnt the unit sphere: by density, in tiles.

Legend: N points in, P points out, u the length in the cloud that is 1 to the network.

u makes the cloud's points as far apart as those of the training inputs (`spacing`), so that noise,
points and voxels have the proportions that were learnt, whatever the cloud's extent. Where a
cloud of a network's unit is larger than a training shape it is cut into cubes, its *cores*. The
network sees a core and a margin around it, and of what it makes the points in the core are kept:
each place belongs to one core, so nothing comes twice. Cores and margins are whole numbers of the
coarsest voxels, so that all tiles have the same voxels, and points beside a border see the same
neighbours from both sides as far as the margin reaches. An operator that looks at all of its cloud
(`pointnet`) sees its tile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from apps.pointcloud.evaluation.benchmark import Method
from apps.pointcloud.evaluation.inference import exactly, reconstruct
from apps.pointcloud.geometry.cloud import sphere_of
from apps.pointcloud.geometry.spacing import spacing_of
from apps.pointcloud.models.network import ReconNet
from core.training.session import Session

WHOLE = 1.3  # half the extent, in units, of a cloud that is not cut: a training shape with outliers
CORE, MARGIN = 1.0, 0.25  # at least, in units
BUDGET = 8_000  # input points of the tiles that go through the network at a time
FEWEST = 8  # points of a tile; what is as lonely as fewer is noise


@dataclass(frozen=True)
class Frame:
    """Where the network's unit cube lies in a cloud: p = center + unit * q."""

    center: np.ndarray  # (3,) float64
    unit: float

    def into(self, points: np.ndarray) -> np.ndarray:
        """The cloud's points (N, 3) in the network's unit, float64."""
        return (points.astype(np.float64) - self.center) / self.unit

    def back(self, points: np.ndarray) -> np.ndarray:
        """The other way, float64."""
        return points.astype(np.float64) * self.unit + self.center


def frame_of(points: np.ndarray, network: ReconNet, where: str = "the cloud") -> Frame:
    """The frame of a cloud (N, 3): by density, or its sphere where no density is known.

    Raises InputError for points that are all at one place.
    """
    center, radius = sphere_of(points, where)
    learnt, own = float(network.spacing), spacing_of(points)
    return Frame(center, own / learnt if learnt and own else radius)


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

    def around(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Points (n, 3) of a core and its margin, from the core's corner, and their rows (n,)."""
        core = self.cores[number]
        parts = [self.cells.get(tuple(near)) for near in (core + NEIGHBOURS).tolist()]
        places = np.concatenate([np.r_[part] for part in parts if part is not None])
        local = self.points[places] - core * self.core
        near = ((local >= -self.margin) & (local < self.core + self.margin)).all(1)
        return local[near], self.rows[places[near]]


NEIGHBOURS = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)


def tile(points: np.ndarray, config) -> Tiling:
    """Cut points (N, 3), in the network's unit, for a network of this configuration."""
    coarsest = config.voxel_length * 2**config.depth
    margin = math.ceil(MARGIN / coarsest) * coarsest
    core = max(math.ceil(CORE / coarsest) * coarsest, margin)
    cell = np.floor(points / core).astype(np.int64)
    order = np.lexsort(cell.T[::-1])
    points, cell = points[order], cell[order]
    starts = np.flatnonzero(np.r_[True, (cell[1:] != cell[:-1]).any(1)])
    slices = map(slice, starts.tolist(), [*starts[1:].tolist(), len(points)])
    cells = dict(zip(map(tuple, cell[starts].tolist()), slices, strict=True))
    return Tiling(points, order, core, margin, cells, _cores(points, core, margin))


def _cores(points: np.ndarray, core: float, margin: float) -> np.ndarray:
    """Every core that some point is in or within a margin of: (T, 3), sorted."""
    found = set()
    for near in NEIGHBOURS * margin:
        cells = np.floor((points + near) / core).astype(np.int64)
        found.update(map(tuple, np.unique(cells, axis=0).tolist()))
    return np.array(sorted(found))


def reconstruct_cloud(
    session: Session,
    network: ReconNet,
    points: np.ndarray,
    frame: Frame,
    told: Callable[[int, int], None] = lambda done, of: None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The points that the network makes of a cloud (N, 3), in pieces that come as they are ready.

    Each piece: points (P, 3) float64 in the cloud's unit, and the rows (n,) of input points that
    they were made of. `told` takes how many tiles are done, and of how many.
    """
    inside = frame.into(points)
    if np.abs(inside).max() <= WHOLE:
        (found,) = reconstruct(session, network, [_tensor(inside)])
        told(1, 1)
        yield frame.back(found.numpy()), np.arange(len(points))
        return
    tiling, done = tile(inside, network.config), 0
    for batch in _batches(tiling):
        made = reconstruct(session, network, [_tensor(local) for _, local, _ in batch])
        for (number, _, rows), found in zip(batch, made, strict=True):
            yield frame.back(_in_core(found.numpy(), tiling, number)), rows
        done = batch[-1][0] + 1
        told(done, len(tiling))


def network_method(session: Session, network: ReconNet, scenes: bool = False) -> Method:
    """The network as a method of `benchmark`. Shapes come in its unit; scenes do not, and tiled."""

    def shape(points: np.ndarray, count: int) -> np.ndarray:
        return exactly(reconstruct(session, network, [torch.from_numpy(points)])[0], count)

    def scene(points: np.ndarray, count: int) -> np.ndarray:
        frame = frame_of(points, network)
        pieces = [made for made, _ in reconstruct_cloud(session, network, points, frame)]
        return exactly(_tensor(np.concatenate(pieces)), count)

    return scene if scenes else shape


def _batches(tiling: Tiling) -> Iterator[list[tuple[int, np.ndarray, np.ndarray]]]:
    """Tiles (number, points, rows) that together have about as many points as the budget."""
    batch, size = [], 0
    for number in range(len(tiling)):
        local, rows = tiling.around(number)
        if len(local) < FEWEST:
            continue
        batch.append((number, local, rows))
        size += len(local)
        if size >= BUDGET:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _in_core(found: np.ndarray, tiling: Tiling, number: int) -> np.ndarray:
    """Of points (P, 3) from a core's corner those in the core, in the network's unit."""
    kept = found[((found >= 0) & (found < tiling.core)).all(1)].astype(np.float64)
    return kept + tiling.cores[number] * tiling.core


def _tensor(points: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(points.astype(np.float32))
