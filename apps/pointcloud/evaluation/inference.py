"""What a network makes of clouds: in its own unit, or of any size, by density and in tiles.

Legend: N points in, P points out, u the length in the cloud that is 1 to the network.

u makes the cloud's points as far apart as those of the training inputs (`spacing`), so that noise,
points and voxels have the proportions that were learnt, whatever the cloud's extent. Parts that are
much sparser or denser have a u of their own (`geometry/places.py`). What is then larger than a
training shape goes through in tiles (`geometry/tiles.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor, nn

from apps.pointcloud.geometry.cloud import sphere_of
from apps.pointcloud.geometry.places import density_levels, lonely, with_surroundings
from apps.pointcloud.geometry.resample import resample_cloud
from apps.pointcloud.geometry.segments import pack, unpack
from apps.pointcloud.geometry.spacing import local_spacing, spacing_of
from apps.pointcloud.geometry.tiles import Normalization, Tiling, tile
from apps.pointcloud.geometry.trees import nearest_of
from apps.pointcloud.models.base import Network
from core.errors import DIVERGED, InputError
from core.training.session import Session

Method = Callable[[np.ndarray, int], np.ndarray]  # (N, 3), count -> (count, 3), in the item's unit

WHOLE = 1.3  # half the extent, in units, of a cloud that is not cut: a training shape with outliers
BUDGET = 8_000  # input points of the tiles that go through the network at a time
ON_SURFACE = 24_000  # of one tile where no voxels are made: the larger, the less is margin
# Of a surface nothing depends on the extent: cores as large as the budget allows, in units, and
# margins of six spacings, as far as a point's neighbours' neighbours' neighbours are; new points
# lie within two and a half of theirs
CORES, MARGIN, NEAR = (16.0, 12.0, 8.0, 6.0, 4.0, 2.0, 1.0), 1.0, 0.4
FEWEST = 8  # points of a tile; what is as lonely as fewer is noise


@torch.inference_mode()
def reconstruct(session: Session, network: nn.Module, clouds: list[Tensor]) -> list[Tensor]:
    """All points that the network makes of each cloud (N_b, 3), in its unit: (P_b, 3) on the CPU.

    Several clouds at a time give what each alone gives. Raises InputError for points that are not
    finite.
    """
    points, batch = session.to_device(pack(clouds))
    with session.accelerator.autocast():
        output = network(points, batch)
    if not output["points"].isfinite().all():
        raise InputError(f"the network makes points that are not finite, {DIVERGED}")
    return [cloud.cpu() for cloud in unpack(output["points"], output["batch"], len(clouds))]


def normalization_of(
    points: np.ndarray,
    network: Network,
    where: str = "the cloud",
    spacing: float | None = None,
) -> Normalization:
    """That of a cloud (N, 3): by density, or by its sphere where no density is known.

    spacing: instead of the cloud's own, that of the part of it that counts. Raises InputError for
    points that are all at one place.
    """
    center, radius = sphere_of(points, where)
    learnt, own = float(network.spacing), spacing_of(points) if spacing is None else spacing
    return Normalization(center, own / learnt if learnt and own else radius)


def reconstruct_cloud(
    session: Session,
    network: Network,
    points: np.ndarray,
    normalization: Normalization,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The points that the network makes of a cloud (N, 3), in pieces that come as they are ready.

    Each piece: points (P, 3) float64 in the cloud's unit, and the rows (n,) of input points that
    they were made of. `report` takes how many tiles are done, and of how many.
    """
    inside = normalization.apply(points)
    # a training shape, as it was in training: in one piece and centred, without a margin
    if np.abs(inside).max() <= WHOLE or (_on_surface(network) and len(points) <= ON_SURFACE):
        (output,) = reconstruct(session, network, [_tensor(inside)])
        report(1, 1)
        yield normalization.undo(output.numpy()), np.arange(len(points))
        return
    tiling = _tiling(inside, network)
    for batch in _batches(tiling):
        outputs = reconstruct(session, network, [_tensor(local) for _, local, _ in batch])
        for (number, _, rows), output in zip(batch, outputs, strict=True):
            yield normalization.undo(tiling.within(number, output.numpy())), rows
        report(batch[-1][0] + 1, len(tiling))


def reconstruct_places(
    session: Session,
    network: Network,
    points: np.ndarray,
    report: Callable[[int, int], None] = lambda done, of: None,
    where: str = "the cloud",
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same, each part scaled by its own spacing; raises InputError as `normalization_of`.

    A part goes through with what lies around it, and of what comes out the points stay whose
    nearest input point is of this part: each place belongs to one. Rows are the part's.
    """
    if _on_surface(network):
        # outliers are told from all of the cloud: a tile may hold too little beside them
        inner = np.flatnonzero(~lonely(points))
        for made, rows in _by_places(session, network, points[inner], report, where):
            yield made, inner[rows]
    else:
        yield from _by_places(session, network, points, report, where)


def _by_places(
    session: Session,
    network: Network,
    points: np.ndarray,
    report: Callable[[int, int], None],
    where: str,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """reconstruct_places of points that are all taken."""
    levels = density_levels(points)
    if not network.spacing or levels.min() == levels.max():
        normalization = normalization_of(points, network, where)
        yield from reconstruct_cloud(session, network, points, normalization, report)
        return
    tree, tiles = cKDTree(points), 0

    def go_on(before: int, done: int, of: int) -> None:
        nonlocal tiles
        tiles = before + of
        report(before + done, tiles)

    for level in np.unique(levels):
        rows = with_surroundings(points, levels == level)
        spacing = local_spacing(points[levels == level], points)
        normalization = normalization_of(points[rows], network, where, spacing)
        pieces = reconstruct_cloud(
            session, network, points[rows], normalization, partial(go_on, tiles)
        )
        for made, inner in pieces:
            own = levels[nearest_of(tree, made)[1]] == level if len(made) else slice(0)
            yield made[own], rows[inner]


def network_method(session: Session, network: Network, scenes: bool = False) -> Method:
    """The network as a method for suites. Shapes come in its unit; scenes do not, and tiled."""

    def shape(points: np.ndarray, count: int) -> np.ndarray:
        return resample_cloud(reconstruct(session, network, [torch.from_numpy(points)])[0], count)

    def scene(points: np.ndarray, count: int) -> np.ndarray:
        pieces = reconstruct_places(session, network, points)
        return resample_cloud(_tensor(np.concatenate([piece for piece, _ in pieces])), count)

    return scene if scenes else shape


def _tiling(points: np.ndarray, network: Network) -> Tiling:
    """That of points (N, 3) in the network's unit."""
    if not _on_surface(network):
        return tile(points, network.config.coarsest)
    for core in CORES:
        tiling = tile(points, network.config.coarsest, core, MARGIN, NEAR)
        if tiling.most <= ON_SURFACE:
            break
    return tiling


def _on_surface(network: Network) -> bool:
    return network.config.start == "surface"


def _batches(tiling: Tiling) -> Iterator[list[tuple[int, np.ndarray, np.ndarray]]]:
    """Tiles (number, points, rows) that together have about as many points as the budget."""
    batch, size = [], 0
    for number in range(len(tiling)):
        local, rows = tiling.around(number)
        # also cores beyond the surface, which hold a few margin points or none
        if len(local) < FEWEST:
            continue
        batch.append((number, local, rows))
        size += len(local)
        if size >= BUDGET:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _tensor(points: np.ndarray) -> Tensor:
    return torch.from_numpy(points.astype(np.float32))
