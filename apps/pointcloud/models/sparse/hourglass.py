"""An hourglass of sparse convolutions that says which voxels are occupied, coarse to fine.

Legend: V voxels, C channels, s stride, D depth.

Down: a residual block, then a strided convolution, D times. At the bottom the voxels are dilated by
one, so that what lies between known places can be filled. Up: all children of the voxels that stay,
joined with the voxels that went down at that stride (features summed, as in Newell et al. 2016,
arXiv 1603.06937), a residual block, one occupancy logit each; what is unlikely is pruned before the
next finer level, so that the number of voxels stays that of a surface.

Pruning. In prediction a voxel stays where p > 1/2, and in each cloud its likeliest one in any case:
no cloud is ever left empty. In training the truly occupied ones stay as well. Were only they kept,
the finer levels would never meet the false ones that prediction brings them; were only the likely
ones kept, an early mistake would take away the truth from all finer levels, and an untrained
network would have nothing to learn from.
"""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from apps.pointcloud.geometry.segments import cloud_count, segment_max
from apps.pointcloud.models.layers import BatchNorm
from apps.pointcloud.models.sparse.layers import GenerativeConv, ResidualBlock, SparseConv
from apps.pointcloud.models.sparse.sites import Sites
from apps.pointcloud.models.sparse.voxels import Voxels, join

Level = dict[str, Tensor]  # "logits" (V,), "batch" (V,), and in training "labels" (V,) bool


class Hourglass(nn.Module):
    """Voxels (V, C) at stride 1 -> the occupied voxels (V', C) at stride 1, and all D + 1 levels.

    Channels grow by C with each coarser level.
    """

    def __init__(self, channels: int, depth: int):
        super().__init__()
        widths = [channels * (level + 1) for level in range(depth + 1)]
        steps, fine, last = list(pairwise(widths)), widths[:-1], widths[-1]
        self.encode = nn.ModuleList(ResidualBlock(width) for width in fine)
        self.down = nn.ModuleList(ConvNorm(SparseConv(a, b, 2, to="coarse"), b) for a, b in steps)
        dilate = ConvNorm(SparseConv(last, last, 3, to="dilated"), last)
        self.bottom = nn.Sequential(dilate, ResidualBlock(last))
        self.up = nn.ModuleList(ConvNorm(GenerativeConv(b, a), a) for a, b in steps)
        self.decode = nn.ModuleList(ResidualBlock(width) for width in fine)
        self.occupancy = nn.ModuleList(Occupancy(width) for width in widths)

    def forward(self, voxels: Voxels, targets: Sites | None = None) -> tuple[Voxels, list[Level]]:
        """targets: the truly occupied voxels at stride 1; in training."""
        skips = []
        for encode, down in zip(self.encode, self.down, strict=True):
            skips.append(encode(voxels))  # stride 2^i, C (i + 1) channels
            voxels = down(skips[-1])
        # stride 2^D: dilation adds voxels here, where one step reaches 2^D fine voxels far
        voxels, level = self.occupancy[-1](self.bottom(voxels), targets)
        levels = [level]
        for i in reversed(range(len(skips))):
            # 8 children of each, among them empty ones; the skip adds what was seen at this stride
            voxels = self.decode[i](join(self.up[i](voxels), skips[i]))
            voxels, level = self.occupancy[i](voxels, targets)
            levels.append(level)
        return voxels, levels


class Occupancy(nn.Module):
    """A logit for each voxel, and the voxels that stay."""

    def __init__(self, channels: int):
        super().__init__()
        self.logit = nn.Linear(channels, 1)
        nn.init.normal_(self.logit.weight, std=0.01)
        nn.init.constant_(self.logit.bias, -1.0)  # an untrained network adds no voxel of its own

    def forward(self, voxels: Voxels, targets: Sites | None) -> tuple[Voxels, Level]:
        """(V, C) -> those that stay, and what is said of all V candidates."""
        logits = self.logit(voxels.features).squeeze(1).float()
        level = {"logits": logits, "batch": voxels.batch}
        staying = likely(logits.detach(), voxels.batch)  # (V,) bool
        if targets is not None:
            level["labels"] = at_stride(targets, voxels.stride).find(voxels.sites) >= 0
            staying = staying | level["labels"]  # why: see "Pruning" above
        return voxels.prune(staying), level


class ConvNorm(nn.Module):
    """A convolution, batch normalisation over its voxels, ReLU."""

    def __init__(self, conv: nn.Module, channels: int):
        super().__init__()
        self.conv, self.norm = conv, BatchNorm(channels)

    def forward(self, voxels: Voxels) -> Voxels:
        return self.conv(voxels).apply(lambda x: F.relu(self.norm(x)))


def likely(logits: Tensor, batch: Tensor) -> Tensor:
    """Where p > 1/2, or no voxel of the cloud is likelier: logits (V,), batch (V,) -> (V,) bool."""
    best = segment_max(logits, batch, cloud_count(batch))
    return (logits > 0) | (logits == best[batch])


def at_stride(sites: Sites, stride: int) -> Sites:
    """The voxels of a coarser stride that hold these."""
    while sites.stride < stride:
        sites = sites.coarse
    return sites
