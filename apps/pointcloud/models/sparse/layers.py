"""Layers over occupied voxels.

Legend: V voxels in, W out, C and D channels in and out, K cells of a kernel (x, y, z; z fastest).

    y_w = sum over the cells k whose input voxel v(w, k) is occupied of  x_v W_k

which is dense convolution with zeros at empty voxels, read at chosen places: the voxels themselves
(submanifold; Graham et al. 2018, arXiv 1711.10275), the coarser ones that hold them (strided), all
that touch one (dilated), or all their children (generative transposed; Gwak et al. 2020, arXiv
2006.12356). No bias: batch normalisation follows, or a linear layer that has one.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from apps.pointcloud.models.layers import BatchNorm
from apps.pointcloud.models.sparse.kernel_map import KernelMap
from apps.pointcloud.models.sparse.voxels import Voxels


class SparseConv(nn.Module):
    """A convolution read at the same voxels, the coarse ones or the dilated set.

    As torch's conv3d with kernel 3, padding 1 or kernel 2, padding 0, stride 2 for "coarse";
    weight (K, C, D) is its weight (D, C, kx, ky, kz) permuted.
    """

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: int = 3,
        to: Literal["same", "coarse", "dilated"] = "same",
    ):
        super().__init__()
        self.kernel, self.to_sites = kernel, to
        self.weight = nn.Parameter(torch.empty(kernel**3, channels, out))
        nn.init.normal_(self.weight, std=math.sqrt(2 / (kernel**3 * channels)))

    def forward(self, voxels: Voxels) -> Voxels:
        """(V, C) -> (W, D)."""
        sites = voxels.sites
        outputs = sites if self.to_sites == "same" else getattr(sites, self.to_sites)
        pairs = sites.map_to(outputs, self.kernel)
        return Voxels(outputs, convolve(voxels.features, self.weight, pairs))


class GenerativeConv(nn.Module):
    """Transposed convolution, kernel 2 and stride 2, onto all children: (V, C) -> (8V, D).

    weight (8, C, D) is conv_transpose3d's (C, D, 2, 2, 2) permuted. A child has one parent.
    """

    def __init__(self, channels: int, out: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(8, channels, out))
        nn.init.normal_(self.weight, std=math.sqrt(2 / channels))

    def forward(self, voxels: Voxels) -> Voxels:
        sites, order = voxels.sites.children
        cells, channels, out = self.weight.shape
        features = voxels.features @ self.weight.transpose(0, 1).reshape(channels, -1)  # (V, 8D)
        return Voxels(sites, features.view(len(voxels) * cells, out).index_select(0, order))


class ResidualBlock(nn.Module):
    """x + BN conv ReLU BN conv x, then ReLU (He et al. 2016): (V, C) -> (V, C), submanifold."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1, self.norm1 = SparseConv(channels, channels), BatchNorm(channels)
        self.conv2, self.norm2 = SparseConv(channels, channels), BatchNorm(channels)

    def forward(self, voxels: Voxels) -> Voxels:
        inner = self.conv1(voxels).apply(lambda x: F.relu(self.norm1(x)))
        inner = self.conv2(inner).apply(self.norm2)
        return inner.apply(lambda x: F.relu(voxels.features + x))


def convolve(features: Tensor, weight: Tensor, pairs: KernelMap) -> Tensor:
    """features (V, C), weight (K, C, D) -> (W, D), in autocast's precision where it is on."""
    device = features.device.type
    if torch.is_autocast_enabled(device) and features.dtype != torch.float64:
        dtype = torch.get_autocast_dtype(device)
        features, weight = features.to(dtype), weight.to(dtype)
    return _Convolution.apply(features, weight, pairs)


class _Convolution(torch.autograd.Function):
    """Run by run: gather, multiply, add. Backward gathers again, so that no layer keeps P rows."""

    @staticmethod
    def forward(ctx, features: Tensor, weight: Tensor, pairs: KernelMap) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.pairs = pairs
        out = _zeros((pairs.count, weight.shape[2]), features)  # (W, D)
        for cell, start, stop in pairs.runs:  # p pairs, of which no two add to one output
            inputs, outputs = pairs.rows(start, stop)  # (p,) each
            out.index_add_(
                0, outputs, (features.index_select(0, inputs) @ weight[cell]).to(out.dtype)
            )
        return out.to(features.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        (features, weight), pairs = ctx.saved_tensors, ctx.pairs
        # y[o] += x[i] W_k for each pair (i, o): dW_k = sum of x[i]^T dy[o], dx[i] += dy[o] W_k^T
        of_features, of_weight = _zeros(features.shape, features), _zeros(weight.shape, weight)
        for cell, start, stop in pairs.runs:
            inputs, outputs = pairs.rows(start, stop)
            # (p, C) and (p, D)
            rows, above = features.index_select(0, inputs), gradient.index_select(0, outputs)
            of_weight[cell] += rows.t() @ above
            of_features.index_add_(0, inputs, (above @ weight[cell].t()).to(of_features.dtype))
        return of_features.to(features.dtype), of_weight.to(weight.dtype), None


def _zeros(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Zeros to add up in: in float32 at least."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    return torch.zeros(shape, dtype=dtype, device=like.device)
