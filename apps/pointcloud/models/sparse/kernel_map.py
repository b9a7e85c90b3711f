"""Kernel maps: which input voxel meets which output voxel under which cell of a kernel.

Legend: V inputs, W outputs, P pairs that meet, K = kernel^3 cells (x, y, z; z fastest).

A map is a list of pairs, first by tiles of outputs, then by cell. In a run of pairs that share tile
and cell, input and output ascend and come once each. A tile's rows stay in the processor's cache
while its K products are added up, which makes a layer up to twice as fast as without tiles; no run
adds twice to one output, which makes sums deterministic on a GPU too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from apps.pointcloud.models.sparse.keys import key_offset


@dataclass(frozen=True, eq=False)
class KernelMap:
    """inputs (P,) and outputs (P,) int32, half the memory of int64, in runs (cell, start, stop)."""

    inputs: Tensor
    outputs: Tensor
    runs: tuple[tuple[int, int, int], ...]
    count: int  # W

    def __len__(self) -> int:
        return len(self.inputs)

    def rows(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Inputs and outputs of a run, int64: with int32 index_add_ takes three times as long."""
        return self.inputs[start:stop].long(), self.outputs[start:stop].long()


def kernel_range(kernel: int) -> range:
    """Steps of a kernel along an axis: -1, 0, 1 for 3; 0, 1 for 2."""
    first = -((kernel - 1) // 2)
    return range(first, first + kernel)


def kernel_map(keys: Tensor, anchors: Tensor, kernel: int) -> KernelMap:
    """The map from inputs, sorted keys (V,), to outputs whose kernels stand at anchors (W,)."""
    size = tile_size(keys.device)
    runs = [
        (cell, places, rows + number * size)  # rows of the tile as rows of all outputs
        for number, tile in enumerate(anchors.split(size))
        for cell, places, rows in _pairs_of_tile(keys, tile, kernel)
    ]
    cells, places, outputs = zip(*runs, strict=True) if runs else ((), (), ())
    return KernelMap(
        _joined(places, keys), _joined(outputs, keys), _runs(cells, places), len(anchors)
    )


def tile_size(device: torch.device) -> int:
    """Outputs at a time: few enough for the cache of a processor, many enough for a GPU."""
    return 2**13 if device.type == "cpu" else 2**20


def _pairs_of_tile(
    keys: Tensor, anchors: Tensor, kernel: int
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """(cell, places in keys, rows of anchors) of each cell that meets anything."""
    padded = torch.cat([keys, keys.new_full((1,), -1)])  # a search beyond the last key meets -1
    steps = kernel_range(kernel)
    columns = [(x, y) for x in steps for y in steps]
    for column, (x, y) in enumerate(columns):
        lowest = anchors + key_offset(x, y, steps[0])  # (W,) keys of the column's first cell
        places = torch.searchsorted(keys, lowest)  # (W,) of the first key that is no smaller
        # Keys along z are consecutive numbers, so that one search serves the whole column: where a
        # cell is occupied, the key of the next one comes right behind it, if that is there at all.
        for z in range(kernel):
            met = padded[places] == lowest + z
            rows = met.nonzero().squeeze(1)
            if len(rows):
                yield column * kernel + z, places[rows], rows
            places = places + met


def _joined(parts: tuple[Tensor, ...], like: Tensor) -> Tensor:
    if not parts:
        return torch.zeros(0, dtype=torch.int32, device=like.device)
    return torch.cat([part.int() for part in parts])


def _runs(cells: tuple[int, ...], places: tuple[Tensor, ...]) -> tuple[tuple[int, int, int], ...]:
    runs, start = [], 0
    for cell, part in zip(cells, places, strict=True):
        runs.append((cell, start, start + len(part)))
        start += len(part)
    return tuple(runs)
