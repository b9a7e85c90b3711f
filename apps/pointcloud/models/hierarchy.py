"""Hierarchical-set mixing: PointMixer's way down to fewer points, and up again by the same sets.

Legend: N fine points, M coarse points (M < N), k members of a coarse point's set, C channels.

    down   y_i = sum over j in M_i of softmax_j(s_ij) * f(x_j)
    up     z_j = f1(x_j) + sum over the i with j in M_i of softmax_i(t_ij) * f2(y_i)

Coarse points are chosen by farthest point sampling, and M_i holds their k nearest fine points (Choe
et al. 2022, arXiv 2111.11187, hierarchical-set mixing). Scores are scalars of [p_j - p_i; feature].

The way up goes back over *the same* pairs (i, j): both take one `SetMap`. The released code says so
as well, but searches neighbours again, and at the finest step fewer (8 instead of 16). Fine points
that lie in no set get no feature from above in the release (about 0.5 % of a sphere at stride 4 and
k = 8); here they take that of their nearest coarse point.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from apps.pointcloud.geometry.search import farthest_points, knn
from apps.pointcloud.geometry.segments import gather_sets, segment_softmax, segment_sum
from apps.pointcloud.models.layers import linear_norm_relu, linear_of_pairs, relative_positions


@dataclass(frozen=True)
class SetMap:
    """Which fine points form the set of each coarse point."""

    points: Tensor  # (M, 3) the coarse points
    batch: Tensor  # (M,) their clouds
    chosen: Tensor  # (M,) which fine points they are
    index: Tensor  # (M, k) the members of each set, nearest first
    pairs: Tensor  # (2, P) coarse and fine: every (i, j) of `index`, then those of the left out
    offsets: Tensor  # (P, 3) p_j - p_i of each pair


def set_map(points: Tensor, batch: Tensor, stride: int, neighbours: int) -> SetMap:
    """Sets over packed clouds (N, 3) with M = N / stride coarse points, of each cloud one at least.

    The release rounds down as well, but to none.
    """
    chosen = farthest_points(points, 1.0 / stride, batch)
    coarse, coarse_batch = points[chosen], batch[chosen]
    index = knn(coarse, points, neighbours, coarse_batch, batch)
    above = torch.arange(len(chosen), device=points.device).repeat_interleave(index.shape[1])
    inside = torch.zeros(len(points), dtype=torch.bool, device=points.device)
    inside[index.flatten()] = True
    # points in no set take their nearest coarse point, so that none stays without a feature
    left_out = (~inside).nonzero()[:, 0]
    nearest = knn(points[left_out], coarse, 1, batch[left_out], coarse_batch)[:, 0]
    pairs = torch.stack([torch.cat([above, nearest]), torch.cat([index.flatten(), left_out])])
    offsets = points[pairs[1]] - coarse[pairs[0]]
    return SetMap(coarse, coarse_batch, chosen, index, pairs, offsets)


class HierarchicalDown(nn.Module):
    """Fine features (N, C) -> coarse (M, D): hierarchical-set mixing, as released."""

    def __init__(self, channels: int, out: int):
        super().__init__()
        self.value = linear_norm_relu(channels, out)
        self.first = nn.Linear(3 + channels, channels, bias=False)
        self.score = _after_linear(channels)

    def forward(self, features: Tensor, points: Tensor, sets: SetMap) -> Tensor:
        """features (N, C), points (N, 3) -> (M, D)."""
        weights = self.weights(features, points, sets)
        return (weights * gather_sets(self.value(features), sets.index)).sum(1)

    def weights(self, features: Tensor, points: Tensor, sets: SetMap) -> Tensor:
        """softmax_j(s_ij): (M, k, 1), which sums to 1 over the set."""
        offsets = relative_positions(points, sets.points, sets.index)
        hidden = linear_of_pairs(self.first, features, offsets, sets.index)  # (M, k, C)
        return self.score(hidden).softmax(1)


class HierarchicalUp(nn.Module):
    """Coarse features (M, C) and fine ones (N, D) -> fine (N, D): the symmetric transition up."""

    def __init__(self, channels: int, out: int):
        super().__init__()
        self.skip = linear_norm_relu(out, out)
        self.value = linear_norm_relu(channels, out)
        self.first = nn.Linear(3 + channels, channels, bias=False)
        self.score = _after_linear(channels)

    def forward(self, features: Tensor, above: Tensor, sets: SetMap) -> Tensor:
        """features (N, D), above (M, C) -> (N, D)."""
        weights = self.weights(above, len(features), sets)
        terms = weights * self.value(above).index_select(0, sets.pairs[0])
        return self.skip(features) + segment_sum(terms, sets.pairs[1], len(features))

    def weights(self, above: Tensor, count: int, sets: SetMap) -> Tensor:
        """softmax_i(t_ij): (P, 1), which sums to 1 over the pairs of each of the N = `count`."""
        index, offsets = sets.pairs[0][:, None], sets.offsets[:, None]
        hidden = linear_of_pairs(self.first, above, offsets, index)[:, 0]  # (P, C)
        return segment_softmax(self.score(hidden), sets.pairs[1], count)


def _after_linear(channels: int) -> nn.Sequential:
    return nn.Sequential(*linear_norm_relu(channels, channels)[1:], nn.Linear(channels, 1))
