"""One int64 for each voxel: its cloud and place, in an order that sorting and searching can use.

    key = batch << 51 | (x + 2^16) << 34 | (y + 2^16) << 17 | (z + 2^16)

Keys are ordered by (batch, x, y, z). The key of a neighbour is the key plus a constant
(`key_offset`), since LIMIT leaves room at the borders of each axis.
"""

from __future__ import annotations

import torch
from torch import Tensor

from core.errors import InputError

AXIS_BITS = 17
HALF = 1 << (AXIS_BITS - 1)
LIMIT = HALF - 4  # of a coordinate, either sign; kernels reach a little beyond
CLOUDS = 1 << (63 - 3 * AXIS_BITS)


def pack_keys(coords: Tensor) -> Tensor:
    """coords (V, 4) int64 [batch, x, y, z] -> keys (V,) int64, in the order of the rows.

    Raises InputError for coordinates beyond LIMIT and for clouds beyond CLOUDS.
    """
    _check(coords)
    # 17 bits an axis, shifted to start at 0: keys sort as (batch, x, y, z) rows do
    batch, x, y, z = coords.unbind(1)
    key = (batch << AXIS_BITS) | (x + HALF)
    key = (key << AXIS_BITS) | (y + HALF)
    return (key << AXIS_BITS) | (z + HALF)


def unpack_keys(keys: Tensor) -> Tensor:
    """keys (V,) -> coords (V, 4) [batch, x, y, z]."""
    mask = (1 << AXIS_BITS) - 1
    # x, y, z from the highest bits down; the batch is what is left above them
    axes = [((keys >> shift) & mask) - HALF for shift in (2 * AXIS_BITS, AXIS_BITS, 0)]
    return torch.stack([keys >> (3 * AXIS_BITS), *axes], 1)


def key_offset(x: int, y: int, z: int) -> int:
    """What the key of the voxel at (x, y, z) from another is larger by."""
    return (x << (2 * AXIS_BITS)) + (y << AXIS_BITS) + z


def _check(coords: Tensor) -> None:
    if coords.ndim != 2 or coords.shape[1] != 4 or coords.dtype != torch.int64:
        raise InputError(
            f"voxel coordinates are {tuple(coords.shape)} {coords.dtype}; "
            "give (V, 4) torch.int64 [batch, x, y, z]"
        )
    if not len(coords):
        return
    low, high = coords.amin(0).tolist(), coords.amax(0).tolist()
    if min(low[1:]) < -LIMIT or max(high[1:]) > LIMIT:
        raise InputError(
            f"voxel coordinates reach from {min(low[1:])} to {max(high[1:])}, beyond "
            f"{LIMIT} voxels from the origin: choose a larger voxel length, or cut the cloud "
            "into tiles"
        )
    if low[0] < 0 or high[0] >= CLOUDS:
        raise InputError(f"clouds {low[0]} to {high[0]} in a batch; number them 0 to {CLOUDS - 1}")
