"""core's Mixer over patches of points: what MLP-Mixer itself makes of a cloud.

Legend: N points, k neighbours, C channels, S tokens of a window, V windows of all clouds.

    patch   x_i <- max_j MLP([p_j - p_i; x_j])       the patch of a point: its k nearest neighbours
    window  S points behind one another on a Z-curve through the cloud are one "image"
    token   W x_i + P (p_i - mean of the window)     W only where the Mixer is wider than C
    Mixer   L blocks of token and channel mixing over each window, then a LayerNorm; back to C

There is no such operator in the PointMixer paper, which argues that token mixing, whose weights
belong to places, does not suit unordered sets. Here the curve gives every token a place: along it,
and so roughly in space. A Mixer over the k neighbours of each point, ordered by distance, would be
the other choice: it costs k times as much, and ties k to the weights. Windows of a cloud are spread
evenly and overlap where S does not divide its points; a point in two of them gets their mean, and a
cloud of fewer than S points repeats them. The curve depends on the set of points alone.

The channel-mixing weights may be those of an image Mixer of the same width: `load_channel_mixing`.
`core_mixer_c256` is as wide as the kept `photos`, whatever the channels around it.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from apps.pointcloud.geometry.farthest import lexicographic_order
from apps.pointcloud.geometry.segments import (
    cloud_sizes,
    cloud_starts,
    gather_sets,
    segment_mean,
)
from apps.pointcloud.models.operators.block import OperatorBlock
from apps.pointcloud.models.operators.pointnet2 import PointNet2Operator
from core import InputError, Mixer, MixerConfig, load_backbone

TOKENS, BLOCKS = 64, 2  # S and L
BITS = 16  # of a place on the curve, along each axis


class CoreMixerOperator(nn.Module):
    """(N, C) -> (N, C) through Mixer blocks of ``width`` channels, of C where it is 0."""

    def __init__(self, channels: int, width: int = 0):
        super().__init__()
        width = width or channels
        self.patches = PointNet2Operator(channels)
        self.position = nn.Linear(3, width)
        self.widen = nn.Identity() if width == channels else nn.Linear(channels, width)
        self.mixer = Mixer(_config(width))
        self.mixer.stem = nn.Identity()  # of images; tokens come from points
        self.narrow = nn.Identity() if width == channels else nn.Linear(width, channels)

    def forward(self, features: Tensor, points: Tensor, batch: Tensor, index: Tensor) -> Tensor:
        """features (N, C), points (N, 3), batch (N,), index (N, k) -> (N, C)."""
        patches = self.patches(features, points, batch, index)
        members = windows(points, batch, TOKENS)  # (V, S)
        places = gather_sets(points, members)
        tokens = gather_sets(self.widen(patches), members)  # (V, S, width)
        tokens = tokens + self.position(places - places.mean(1, True))
        mixed = self.narrow(self.mixer.forward_tokens(tokens))  # (V, S, C)
        return segment_mean(mixed.flatten(0, 1), members.flatten(), len(features))


def _config(channels: int) -> MixerConfig:
    """The proportions of Table 1 of the MLP-Mixer paper; a window is an image one pixel high."""
    return MixerConfig(
        image_size=(1, TOKENS),
        patch_size=1,
        hidden_dim=channels,
        num_blocks=BLOCKS,
        tokens_mlp_dim=channels // 2,
        channels_mlp_dim=4 * channels,
    )


@torch.no_grad()
def windows(points: Tensor, batch: Tensor, tokens: int) -> Tensor:
    """Which points (N, 3) form each window: (V, S), with S = tokens, cloud by cloud."""
    order = curve_order(points, batch)
    sizes = cloud_sizes(batch)
    counts = (sizes + tokens - 1).div(tokens, rounding_mode="floor")  # windows of each cloud
    cloud = torch.arange(len(sizes), device=points.device).repeat_interleave(counts)  # (V,)
    number = torch.arange(len(cloud), device=points.device) - cloud_starts(counts)[cloud]
    spare, gaps = (sizes[cloud] - tokens).clamp_min(0), (counts[cloud] - 1).clamp_min(1)
    start = (number * spare).div(gaps, rounding_mode="floor")  # even steps from 0 to n - S
    place = start[:, None] + torch.arange(tokens, device=points.device)  # (V, S)
    return order[cloud_starts(sizes)[cloud][:, None] + place % sizes[cloud][:, None]]


def curve_order(points: Tensor, batch: Tensor) -> Tensor:
    """The order (N,) of points along a Z-curve (Morton 1966) through each cloud's bounding cube."""
    order = lexicographic_order(points)  # decides where several points share a place on the curve
    points, batch = points[order], batch[order]
    code = torch.zeros_like(batch)
    places = _places(points, batch)
    for bit in range(BITS):
        for axis in range(3):
            code |= (places[:, axis] >> bit & 1) << (3 * bit + axis)
    by_code = code.argsort(stable=True)
    return order[by_code[batch[by_code].argsort(stable=True)]]


def _places(points: Tensor, batch: Tensor) -> Tensor:
    """Cells (N, 3) int64 of a grid of 2^BITS cells along the longest side of each cloud."""
    index, start = batch[:, None].expand(-1, 3), points.new_zeros(len(cloud_sizes(batch)), 3)
    low = start.scatter_reduce(0, index, points, "amin", include_self=False)[batch]
    high = start.scatter_reduce(0, index, points, "amax", include_self=False)[batch]
    side = (high - low).amax(1, keepdim=True).clamp_min(1e-30)
    return ((points - low) / side * (2**BITS - 1)).long()


def load_channel_mixing(block: OperatorBlock, weights: str | Path | Mixer) -> None:
    """Channel mixing of a core_mixer operator from an image Mixer's first blocks, in place.

    block: what `create_operator("core_mixer", ...)` gave. weights: a Mixer, or anything that
    `core.load_backbone` opens. The LayerNorm before channel mixing comes along, token mixing does
    not: it belongs to the grid of images. Raises InputError where the widths differ, or the Mixer
    has too few blocks.
    """
    source = weights if isinstance(weights, nn.Module) else load_backbone(weights)
    operator, name = block.operator, weights if isinstance(weights, str | Path) else "the Mixer"
    if not isinstance(operator, CoreMixerOperator) or not isinstance(source, Mixer):
        raise InputError(f"channel mixing goes from a Mixer to core_mixer alone; {name} is not one")
    ours, theirs = operator.mixer.config, source.config
    if (ours.hidden_dim, ours.channels_mlp_dim) != (theirs.hidden_dim, theirs.channels_mlp_dim):
        wide = f"choose the operator core_mixer_c{theirs.hidden_dim}"
        same = "channel MLPs are to be four times as wide as the Mixer"
        raise InputError(
            f"{name} has {theirs.hidden_dim} channels and a channel MLP of "
            f"{theirs.channels_mlp_dim}, this operator {ours.hidden_dim} and "
            f"{ours.channels_mlp_dim}: {same if ours.hidden_dim == theirs.hidden_dim else wide}"
        )
    if theirs.num_blocks < ours.num_blocks:
        raise InputError(f"{name} has {theirs.num_blocks} blocks; {ours.num_blocks} are needed")
    for own, other in zip(operator.mixer.blocks, source.blocks, strict=False):
        own.norm2.load_state_dict(other.norm2.state_dict())
        own.mlp_channels.load_state_dict(other.mlp_channels.state_dict())
        own.mlp_channels.approximate = other.mlp_channels.approximate  # which GELU
