"""Points to occupied voxels, and voxels to the places of their centres.

Legend: N points, V voxels. Voxel (x, y, z) holds the points with floor(p / length) = (x, y, z).
"""

from __future__ import annotations

import torch
from torch import Tensor

from apps.pointcloud.geometry.segments import check_batch, segment_count, segment_mean
from apps.pointcloud.models.sparse.keys import LIMIT, pack_keys
from apps.pointcloud.models.sparse.sites import Sites
from apps.pointcloud.models.sparse.voxels import Voxels
from core.errors import InputError

CHANNELS = 5  # of what `voxelize` knows of a voxel


def voxelize(points: Tensor, batch: Tensor, length: float) -> Voxels:
    """points (N, 3), batch (N,) -> the voxels that hold any, with features (V, 5).

    Features: 1; the mean of the voxel's points, from its centre and in voxel lengths (-1/2 to 1/2);
    the logarithm of their number. Their order plays no role: means are taken in double precision.
    Raises InputError for points that are not finite or too many voxels from the origin.
    """
    cells = _cells(points, batch, length)
    keys, inverse = torch.unique(pack_keys(cells), return_inverse=True)  # (V,), (N,)
    # from the voxel's centre, (N, 3); in float64, so that the order of the points shows nowhere
    offsets = points.double() / length - cells[:, 1:] - 0.5
    means = segment_mean(offsets, inverse, len(keys))
    number = segment_count(inverse, len(keys)).to(means)[:, None]
    # the 1 tells an occupied voxel from none: sparse convolutions read empty places as zeros
    features = torch.cat([torch.ones_like(number), means, number.log()], 1)  # (V, 5)
    return Voxels(Sites(keys), features.to(points.dtype))


def occupied(points: Tensor, batch: Tensor, length: float) -> Sites:
    """The voxels that hold any of points (N, 3), batch (N,). Raises InputError as `voxelize`."""
    return Sites.of(_cells(points, batch, length))


def centres(sites: Sites, length: float) -> Tensor:
    """The middle of each voxel, in the unit of `length` at stride 1: (V, 3) float32."""
    return ((sites.coords[:, 1:] + 0.5) * (length * sites.stride)).float()


def _cells(points: Tensor, batch: Tensor, length: float) -> Tensor:
    """(N, 4) int64 [batch, x, y, z]."""
    check_batch(batch, len(points))
    if not length > 0:
        raise InputError(f"the voxel length is {length}; choose a number above 0")
    places = (points.double() / length).floor()
    if not bool((places.abs() <= LIMIT).all()):  # NaN is no number below it either
        raise InputError(
            f"points reach to {float(points.abs().max()):g}, with voxels of {length:g}: drop what "
            f"is not finite, choose voxels of at least 1/{LIMIT} of that, or cut it into tiles"
        )
    return torch.cat([batch[:, None], places.long()], 1)
