"""The transformer of Deep Point Cloud Reconstruction (Choe et al., ICLR 2022, arXiv 2111.11704).

Legend: N points, k neighbours, C channels, n_ij = p_i - p_j.

Known from the paper's abstract: its second stage turns voxels into points by transformers, with an
"amplified positional encoding" that amplifies the magnitude of the encoding vectors differently,
by the distances between points. There is no public code.

Our reading:

    y_i = sum_j softmax_j(gamma(phi(x_i) - psi(x_j) + e_ij)) * (alpha(x_j) + e_ij)
    e_ij = exp(-|n_ij|_1 / s) theta(n_ij)

vector attention over the k nearest neighbours as in `point_transformer`, of which the amplification
exp(-|n|_1 / s) is the only difference: the nearer a neighbour, the larger its encoding. s is the
mean |n|_1 over all neighbours in the cloud. The paper's points are voxels, whose side is a unit of
length; s stands for that unit, so that the operator acts the same on clouds of any scale. Whether
the paper's attention is scalar or a vector, and that it has cross-attention too, is left open.
"""

from __future__ import annotations

from torch import Tensor

from apps.pointcloud.geometry.segments import cloud_count, segment_mean
from apps.pointcloud.models.layers import relative_positions
from apps.pointcloud.models.operators.point_transformer import PointTransformerOperator


class ReconTransformerOperator(PointTransformerOperator):
    """(N, C) -> (N, C): Point Transformer with the amplified positional encoding."""

    def encode(self, points: Tensor, batch: Tensor, index: Tensor) -> Tensor:
        """e (N, k, C)."""
        offsets = -relative_positions(points, points, index)
        return amplification(offsets, batch)[..., None] * self.position(offsets)


def amplification(offsets: Tensor, batch: Tensor) -> Tensor:
    """exp(-|n|_1 / s), in (0, 1]: offsets n (N, k, 3), batch (N,) -> (N, k)."""
    lengths = offsets.abs().sum(-1)
    scale = segment_mean(lengths.mean(1), batch, cloud_count(batch))  # (B,)
    # where all points are one, lengths and s are 0
    return (-lengths / scale.clamp_min(1e-12)[batch][:, None]).exp()
