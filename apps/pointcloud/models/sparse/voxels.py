"""Features at occupied voxels.

Legend: V voxels, C channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from apps.pointcloud.models.sparse.keys import pack_keys
from apps.pointcloud.models.sparse.sites import Sites
from core.errors import InputError


@dataclass(frozen=True, eq=False)
class Voxels:
    """features (V, C) at `sites`, row by row in the order of their keys."""

    sites: Sites
    features: Tensor

    @classmethod
    def of(cls, coords: Tensor, features: Tensor, stride: int = 1) -> Voxels:
        """From coords (V, 4) int64 [batch, x, y, z] in any order, features (V, C).

        Raises InputError where a voxel comes twice or coordinates do not fit into a key.
        """
        # rows go with their keys, whatever order they came in
        keys, order = pack_keys(coords).sort()
        if bool((keys[1:] == keys[:-1]).any()):
            raise InputError("a voxel comes twice; average its features first (voxelize does)")
        return cls(Sites(keys, stride), features[order])

    @property
    def coords(self) -> Tensor:
        """(V, 4) int64 [batch, x, y, z]."""
        return self.sites.coords

    @property
    def batch(self) -> Tensor:
        """The cloud of each voxel: (V,) int64, sorted."""
        return self.sites.batch

    @property
    def stride(self) -> int:
        """Edge of these voxels in the finest ones."""
        return self.sites.stride

    def __len__(self) -> int:
        return len(self.sites)

    def apply(self, function: Callable[[Tensor], Tensor]) -> Voxels:
        """The same voxels with features function(features), (V, C) -> (V, C')."""
        return Voxels(self.sites, function(self.features))

    def prune(self, mask: Tensor) -> Voxels:
        """Only the voxels where mask (V,) bool is true; none at all may be left."""
        if bool(mask.all()):
            return self  # and with it what its sites have computed
        return Voxels(Sites(self.sites.keys[mask], self.stride), self.features[mask])


def join(a: Voxels, b: Voxels) -> Voxels:
    """The voxels of a or b, features (V, C) summed; where one has no voxel, it adds nothing.

    Raises InputError for voxels of different strides.
    """
    if a.stride != b.stride:
        raise InputError(f"voxels of strides {a.stride} and {b.stride} cannot be joined")
    # the usual case up the hourglass: the skip's voxels are among the children of the coarse ones
    sites = a.sites
    if bool((sites.find(b.sites) < 0).any()):  # else a holds b, and keeps its kernel maps
        sites = Sites(torch.cat([a.sites.keys, b.sites.keys]).unique(), a.stride)
    features = a.features if sites is a.sites else _spread(a, sites)
    return Voxels(sites, features.index_add(0, sites.find(b.sites), b.features.to(features.dtype)))


def _spread(voxels: Voxels, sites: Sites) -> Tensor:
    """Features at more sites, zero where there were none."""
    features = voxels.features
    wide = features.new_zeros(len(sites), features.shape[1])
    return wide.index_add(0, sites.find(voxels.sites), features)
