"""The residual block that every operator sits in, so that networks differ by the operator alone.

Legend: N points of all clouds, k neighbours, C channels.

    y = relu(x + norm(W2 relu(norm(operator(relu(norm(W1 x)))))))

This is the block of Point Transformer and of PointMixer's released code; Table 3 of the PointMixer
paper swaps the operator, and what stood around the others there is not public.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from apps.pointcloud.geometry.search import knn
from apps.pointcloud.models.layers import BatchNorm, linear_norm_relu
from core.errors import InputError


class OperatorBlock(nn.Module):
    """(N, C) -> (N, C) with an operator inside, `operator(features, points, batch, index)`.

    neighbours: k, which may be set to another number at any time; 0 for an operator that looks at
    no neighbours.
    """

    def __init__(self, channels: int, operator: nn.Module, neighbours: int):
        super().__init__()
        self.channels, self.neighbours = channels, neighbours
        self.before = linear_norm_relu(channels, channels)
        self.operator = operator
        self.norm = BatchNorm(channels)
        self.after = nn.Sequential(nn.Linear(channels, channels, bias=False), BatchNorm(channels))

    def forward(
        self, features: Tensor, points: Tensor, batch: Tensor, index: Tensor | None = None
    ) -> Tensor:
        """features (N, C), points (N, 3), batch (N,) sorted -> (N, C).

        index (N, k): the neighbours of `knn(points, points, k, batch, batch)`, where the caller has
        them already, for example for several blocks over the same points.
        """
        if features.shape != (len(points), self.channels):
            raise InputError(
                f"features are {tuple(features.shape)}; this operator takes ({len(points)}, "
                f"{self.channels}), a row for each point"
            )
        if index is None and self.neighbours:
            index = knn(points, points, self.neighbours, batch, batch)
        x = self.operator(self.before(features), points, batch, index)
        return F.relu(features + self.after(F.relu(self.norm(x))))
