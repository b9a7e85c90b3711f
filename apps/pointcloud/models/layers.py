"""Layers that the operators and networks share.

Legend: N points, k members of a set, C and D channels in and out.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from apps.pointcloud.geometry.segments import gather_sets


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation over all rows of (..., C).

    One row has no variance: a batch of a single point is normalised by the running statistics in
    training too, and leaves them as they are (torch raises an error there).
    """

    def forward(self, x: Tensor) -> Tensor:  # (..., C)
        rows = x.reshape(-1, x.shape[-1])
        if len(rows) > 1 or not self.training:
            return super().forward(rows).view_as(x)
        statistics = self.running_mean, self.running_var, self.weight, self.bias
        return F.batch_norm(rows, *statistics, eps=self.eps).view_as(x)


def linear_norm_relu(width: int, out: int, bias: bool = False) -> nn.Sequential:
    """Linear, batch normalisation, ReLU."""
    return nn.Sequential(nn.Linear(width, out, bias=bias), BatchNorm(out), nn.ReLU())


def linear_of_pairs(linear: nn.Linear, features: Tensor, offsets: Tensor, index: Tensor) -> Tensor:
    """`linear` of [offset; feature of the member]: (N, C), (M, k, 3), (M, k) -> (M, k, D).

    The part of the features is computed once for each point instead of once for each set that it
    lies in.
    """
    # [offset; x] W^T = offset W_1^T + x W_2^T, and the second product does not depend on the set
    of_points = F.linear(features, linear.weight[:, 3:])  # (N, D)
    return gather_sets(of_points, index) + F.linear(offsets, linear.weight[:, :3], linear.bias)


def relative_positions(points: Tensor, centres: Tensor, index: Tensor) -> Tensor:
    """p_j - p_i of the members j of each set i: points (N, 3), centres (M, 3) -> (M, k, 3)."""
    return gather_sets(points, index) - centres[:, None]
