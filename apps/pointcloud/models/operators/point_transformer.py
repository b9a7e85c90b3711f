"""Point Transformer (Zhao et al. 2021, arXiv 2012.09164): vector attention over the neighbours.

Legend: N points, k neighbours, C channels.

    y_i = sum_j softmax_j(gamma(phi(x_i) - psi(x_j) + delta_ij)) * (alpha(x_j) + delta_ij)
    delta_ij = theta(p_i - p_j)

Equations 3 and 4: phi, psi, alpha are linear, gamma and theta two linear layers with a ReLU
between, * is elementwise, and the softmax runs over the k neighbours for each channel by itself.
The paper does not print hidden widths: theta's is 3, as PointMixer's, gamma's is C. Both normalise
before their ReLU, which the paper does not print either: offsets between neighbours are small, and
their size depends on the density.
"""

from __future__ import annotations

from torch import Tensor, nn

from apps.pointcloud.geometry.segments import gather_sets
from apps.pointcloud.models.layers import linear_norm_relu, relative_positions


class PointTransformerOperator(nn.Module):
    """(N, C) -> (N, C)."""

    def __init__(self, channels: int):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(channels, channels) for _ in range(3))
        self.position = nn.Sequential(linear_norm_relu(3, 3), nn.Linear(3, channels))
        self.score = nn.Sequential(
            linear_norm_relu(channels, channels), nn.Linear(channels, channels)
        )

    def forward(self, features: Tensor, points: Tensor, batch: Tensor, index: Tensor) -> Tensor:
        """features (N, C), points (N, 3), index (N, k) -> (N, C)."""
        encoding = self.encode(points, batch, index)  # (N, k, C)
        weights = self.weights(features, encoding, index)
        values = gather_sets(self.value(features), index) + encoding
        return (weights * values).sum(1)

    def encode(self, points: Tensor, batch: Tensor, index: Tensor) -> Tensor:
        """delta (N, k, C)."""
        return self.position(-relative_positions(points, points, index))

    def weights(self, features: Tensor, encoding: Tensor, index: Tensor) -> Tensor:
        """The attention (N, k, C), which sums to 1 over the neighbours."""
        # (N, 1, C) - (N, k, C)
        relation = self.query(features)[:, None] - gather_sets(self.key(features), index)
        return self.score(relation + encoding).softmax(1)
