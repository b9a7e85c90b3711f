"""Which voxels are occupied, and how the sets of neighbouring resolutions hang together.

Legend: V voxels, s stride. A grid of stride s has voxels s times as long as the finest grid's; its
coordinates are its own: voxel x of stride 2s holds voxels 2x and 2x + 1 of stride s.

What is derived from a set (coarser and finer sets, kernel maps) is computed on demand and kept with
it, so that all layers of one resolution share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from apps.pointcloud.models.sparse.kernel_map import KernelMap, kernel_map, kernel_range
from apps.pointcloud.models.sparse.keys import key_offset, pack_keys, unpack_keys
from core.errors import InputError


@dataclass(frozen=True, eq=False)
class Sites:
    """Occupied voxels: keys (V,) int64 (`keys.pack_keys`), sorted, each once."""

    keys: Tensor
    stride: int = 1

    @classmethod
    def of(cls, coords: Tensor, stride: int = 1) -> Sites:
        """The set of coords (V, 4) int64 [batch, x, y, z], in any order, with repetitions or not.

        Raises InputError for coordinates that do not fit into a key.
        """
        return cls(torch.unique(pack_keys(coords)), stride)

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def coords(self) -> Tensor:
        """(V, 4) int64 [batch, x, y, z], in the order of the keys."""
        return unpack_keys(self.keys)

    @property
    def batch(self) -> Tensor:
        """The cloud of each voxel, sorted: (V,) int64."""
        return self.coords[:, 0]

    @cached_property
    def coarse(self) -> Sites:
        """The voxels of twice the length that hold these."""
        batch, places = self.coords.split((1, 3), 1)
        return Sites.of(torch.cat([batch, places >> 1], 1), self.stride * 2)

    @cached_property
    def children(self) -> tuple[Sites, Tensor]:
        """The eight voxels of half the length in each of these, and their order.

        Child j of the sorted ones is number order[j] (8V,) among the children (x, y, z in
        {0, 1}^3, z fastest) of the first voxel, then of the second, and so on. Raises InputError
        at stride 1, which is the finest.
        """
        if self.stride % 2:
            raise InputError(f"voxels of stride {self.stride} have no children")
        batch, places = self.coords.split((1, 3), 1)
        anchors = pack_keys(torch.cat([batch, places << 1], 1))
        keys, order = (anchors[:, None] + _offsets(2, anchors)).flatten().sort()
        return Sites(keys, self.stride // 2), order

    @cached_property
    def dilated(self) -> Sites:
        """These and all that touch them: every voxel of which a 3x3x3 kernel reaches one."""
        keys = (self.keys[:, None] + _offsets(3, self.keys)).unique()
        return Sites(pack_keys(unpack_keys(keys)), self.stride)  # packed anew: checks the borders

    @cached_property
    def _maps(self) -> dict[tuple[int, int], KernelMap]:
        return {}

    def map_to(self, outputs: Sites, kernel: int) -> KernelMap:
        """Which of these voxels a kernel of edge `kernel` at each voxel of `outputs` reaches.

        outputs: these sites, `coarse` or `dilated`.
        """
        # by identity: layers of one resolution pass the same object, and equal keys need not be
        # compared
        name = id(outputs), kernel  # what is named lives as long as the sites do
        if name not in self._maps:
            # where the kernel stands, in this grid: a coarse voxel's first child
            scale = torch.tensor([1, *3 * [outputs.stride // self.stride]])
            anchors = pack_keys(outputs.coords * scale.to(self.keys.device))
            self._maps[name] = kernel_map(self.keys, anchors, kernel)
        return self._maps[name]

    def find(self, others: Sites) -> Tensor:
        """The place of each of `others` among these, or -1: (V',) int64."""
        padded = torch.cat([self.keys, self.keys.new_full((1,), -1)])  # no key is -1
        places = torch.searchsorted(self.keys, others.keys)
        return torch.where(padded[places] == others.keys, places, -1)


def _offsets(kernel: int, like: Tensor) -> Tensor:
    """Key offsets of a kernel's cells, z fastest: (kernel^3,)."""
    steps = kernel_range(kernel)
    offsets = [key_offset(x, y, z) for x in steps for y in steps for z in steps]
    return torch.tensor(offsets, device=like.device)
