"""PointMixer (Choe et al., ECCV 2022, arXiv 2111.11187): mixing within and between sets of points.

Legend: N points, k neighbours, C channels, W width of the score, share groups of C/share channels,
M_i the set of the k nearest neighbours of point i.

    s_ij = g2([g1([p_j - p_i; x_j]); delta(p_j - p_i)])
    intra   y_i = sum over j in M_i of softmax_j(s_ij) * (g3(x_j) + delta_ij)
    inter   z_j = y_j + sum over the i with j in M_i of softmax_i(t_ij) * h(y_ij)

There is no token-mixing MLP: a softmax over the set takes its place, so any number of points comes
in any order. y_ij is the term of the sum in y_i; the inverse sets, all i whose set holds j, come in
all sizes and are rows grouped by j (`segments`). One weight serves `share` channels.

Intra-set mixing is that of the released code (github.com/LifeBeyondExpectations/ECCV22-PointMixer,
commit 31e5f1b). It adds delta to the value, unlike the paper's figure, and takes p_j - p_i, where
the paper has p_i - p_j. There W is k: **k is baked into the weights**. Here W is a number of its
own. With W = k the parameters are those of the release (`nets`); the stage-2 operator has W = 16
for any k.

Inter-set mixing has the two forms of the release: "concatenate" (segmentation, and our operator),
t = relu(W [delta'; y_ij]) and h = relu(Linear), and "add" (classification), t = W (y_ij + delta')
and h = Linear. Its classification block hands k and the groups over in the wrong order, which does
no harm there since both are 8; here both have names.

Products of two linear layers without a nonlinearity between them (delta summed in groups, delta'
in t) are computed as one: the numbers are the same, and the largest tensors are not needed.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from apps.pointcloud.geometry.segments import gather_sets, segment_softmax, segment_sum
from apps.pointcloud.models.layers import linear_norm_relu, linear_of_pairs, relative_positions
from apps.pointcloud.models.operators.quadratic import quadratic_form
from core.errors import InputError

Form = Literal["concatenate", "add"]
WIDTH, SHARE = 16, 8  # of our operator; 16 is the release's k from its second level on


class PointMixing(nn.Module):
    """Intra-set, then inter-set mixing: (N, C) -> (N, C).

    Raises InputError where C is no multiple of `width` and `share`.
    """

    def __init__(
        self, channels: int, width: int = WIDTH, share: int = SHARE, form: Form = "concatenate"
    ):
        super().__init__()
        if channels % width or channels % share:
            raise InputError(
                f"channels is {channels}; PointMixer takes a multiple of its width {width} and of "
                f"the {share} groups that share weights"
            )
        self.intra = IntraSetMixing(channels, width, share, delta_bias=form == "add")
        self.inter = InterSetMixing(channels, share, form)

    def forward(self, features: Tensor, points: Tensor, batch: Tensor, index: Tensor) -> Tensor:
        """features (N, C), points (N, 3), index (N, k) -> (N, C)."""
        offsets = relative_positions(points, points, index)
        terms = self.intra(features, offsets, index)
        return self.inter(terms, offsets, index)


class IntraSetMixing(nn.Module):
    """The terms of y_i: features (N, C) -> (N, k, C), whose sum over k is y."""

    def __init__(self, channels: int, width: int, share: int, delta_bias: bool = False):
        super().__init__()
        self.width, self.share, shared = width, share, channels // share
        self.first = nn.Linear(3 + channels, width)
        self.bilinear = nn.Bilinear(width, width, width)
        self.delta = Delta(channels, bias=delta_bias)
        self.score = nn.Sequential(
            linear_norm_relu(2 * width, channels),
            linear_norm_relu(channels, shared),
            nn.Linear(shared, shared),
        )
        self.value = nn.Linear(channels, channels)

    def forward(self, features: Tensor, offsets: Tensor, index: Tensor) -> Tensor:
        """features (N, C), offsets (N, k, 3), index (N, k) -> (N, k, C)."""
        hidden = self.delta.hidden(offsets)  # (N, k, 3)
        weights = self.weights(features, offsets, hidden, index)  # (N, k, C/share)
        values = gather_sets(self.value(features), index) + self.delta.linear(hidden)
        # (N, k, share, C/share) * (N, k, 1, C/share): one weight serves `share` channels
        return (values.unflatten(2, (self.share, -1)) * weights[:, :, None]).flatten(2)

    def weights(self, features: Tensor, offsets: Tensor, hidden: Tensor, index: Tensor) -> Tensor:
        """softmax_j(s_ij): (N, k, C/share), which sums to 1 over k."""
        mixed = F.relu(linear_of_pairs(self.first, features, offsets, index))  # (N, k, W)
        mixed = quadratic_form(mixed, self.bilinear.weight, self.bilinear.bias)  # (N, k, W)
        # The release adds up delta's C channels in groups, those W apart. Its last layer is linear,
        # so the sum goes into the weights: delta (N, k, C) is not needed for it.
        summed = self.delta.linear_then(hidden, self._sum_of_groups(hidden))
        return self.score(torch.cat([mixed, summed], 2)).softmax(1)

    def _sum_of_groups(self, like: Tensor) -> Tensor:
        """(W, C), which adds channels W apart."""
        groups = self.value.out_features // self.width
        return torch.eye(self.width, device=like.device, dtype=like.dtype).repeat(1, groups)


class InterSetMixing(nn.Module):
    """z from the terms of y: (N, k, C) -> (N, C)."""

    def __init__(self, channels: int, share: int, form: Form):
        super().__init__()
        self.share, self.form, shared = share, form, channels // share
        self.delta = Delta(channels)
        self.score = nn.Linear(2 * channels if form == "concatenate" else channels, shared)
        self.value = nn.Linear(channels, shared)

    def forward(self, terms: Tensor, offsets: Tensor, index: Tensor) -> Tensor:
        """terms (N, k, C), offsets (N, k, 3), index (N, k) -> (N, C)."""
        weights = self.weights(terms, offsets, index)  # (N*k, C/share)
        values = self.value(terms).flatten(0, 1)
        values = F.relu(values) if self.form == "concatenate" else values
        # rows (i, j) summed by their member j: the inverse sets, without ever listing them
        gathered = segment_sum(weights * values, index.flatten(), len(terms))  # (N, C/share)
        return terms.sum(1) + gathered.repeat(1, self.share)

    def weights(self, terms: Tensor, offsets: Tensor, index: Tensor) -> Tensor:
        """softmax_i(t_ij): rows (N*k, C/share), which sum to 1 over the rows of each member j."""
        # W [delta; y] is two products, of which delta's goes through its own last layer as well
        of_delta = of_terms = self.score.weight
        if self.form == "concatenate":
            of_delta, of_terms = self.score.weight.chunk(2, 1)
        positions = self.delta.linear_then(self.delta.hidden(offsets), of_delta)
        scores = F.linear(terms, of_terms, self.score.bias) + positions
        scores = F.relu(scores) if self.form == "concatenate" else scores
        return segment_softmax(scores.flatten(0, 1), index.flatten(), len(terms))


class Delta(nn.Module):
    """The encoding of relative positions: Linear (3 -> 3), batch normalisation, ReLU, Linear."""

    def __init__(self, channels: int, bias: bool = False):
        super().__init__()
        self.hidden = linear_norm_relu(3, 3, bias=bias)
        self.linear = nn.Linear(3, channels)

    def linear_then(self, hidden: Tensor, weight: Tensor) -> Tensor:
        """hidden (..., 3) through the last layer and then through `weight` (D, C): (..., D)."""
        return F.linear(hidden, weight @ self.linear.weight, weight @ self.linear.bias)
