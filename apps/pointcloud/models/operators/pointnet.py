"""PointNet (Qi et al. 2017, arXiv 1612.00593): a shared MLP and the maximum over the whole cloud.

Legend: N points, B clouds, C channels.

    h_i = MLP([p_i; x_i])        y_i = W [h_i; max_j h_j]

as in its segmentation network (figure 2), which gives every point the cloud's global feature.
Positions are taken from the cloud's mean, so that the result does not depend on where it lies; the
paper learns a transformation of the input (T-Net) instead, which is left out here.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from apps.pointcloud.geometry.segments import cloud_count, segment_max, segment_mean
from apps.pointcloud.models.layers import linear_norm_relu


class PointNetOperator(nn.Module):
    """(N, C) -> (N, C) through one global feature for each cloud."""

    def __init__(self, channels: int):
        super().__init__()
        self.mlp = nn.Sequential(
            linear_norm_relu(3 + channels, channels), linear_norm_relu(channels, channels)
        )
        self.local = nn.Linear(channels, channels)
        self.from_cloud = nn.Linear(channels, channels, bias=False)

    def forward(self, features: Tensor, points: Tensor, batch: Tensor, index=None) -> Tensor:
        """features (N, C), points (N, 3), batch (N,); there are no neighbours."""
        clouds = cloud_count(batch)
        offsets = points - segment_mean(points, batch, clouds)[batch]
        hidden = self.mlp(torch.cat([offsets, features], 1))  # (N, C)
        largest = segment_max(hidden, batch, clouds)  # (B, C)
        return self.local(hidden) + F.embedding(batch, self.from_cloud(largest))
