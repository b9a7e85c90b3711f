"""PointNet++ (Qi et al. 2017, arXiv 1706.02413): a small PointNet over every point's neighbours.

Legend: N points, k neighbours, C channels.

    y_i = max_j MLP([p_j - p_i; x_j])        j among the k nearest neighbours of i

This is its set abstraction (section 3.2) with two differences: every point is the centre of a set,
since here points are refined and not thinned out, and sets are the k nearest neighbours instead of
a ball, as for the other operators.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from apps.pointcloud.models.layers import (
    BatchNorm,
    linear_norm_relu,
    linear_of_pairs,
    relative_positions,
)


class PointNet2Operator(nn.Module):
    """(N, C) -> (N, C), or over other centres (M, C): the maximum over each set."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = nn.Linear(3 + channels, channels, bias=False)
        self.norm = BatchNorm(channels)
        self.second = linear_norm_relu(channels, channels)

    def forward(self, features: Tensor, points: Tensor, batch: Tensor, index: Tensor) -> Tensor:
        """features (N, C), points (N, 3), index (N, k) -> (N, C)."""
        offsets = relative_positions(points, points, index)
        hidden = linear_of_pairs(self.first, features, offsets, index)  # (N, k, C)
        return self.second(F.relu(self.norm(hidden))).amax(1)
