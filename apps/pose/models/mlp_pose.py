"""What MLP-Pose puts between a backbone and the SimCC head. A reconstruction.

Xiong et al., "MLP-Pose: Human Pose Estimation by MLP-Mixer", CCIS 2021, is known to us by its
abstract and its figures' captions: targets are one-dimensional heatmaps; an intra-level fuse module
"can adaptively learn the relationship of features in the layer", since the backbone has no fusion
within a layer; an MLP-Mixer learns "the global relationship among features". Neither equations nor
code are public. All below is our reading of these words, and says what else was weighed.

Each part adds to what it is given, and begins by adding nothing: a network with it starts as the
one without. Legend: B people, C channels, (h, w) a map, K keypoints, d numbers of a keypoint.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core import InputError, Mixer
from core.models.networks.mixer_config import free_config

DILATIONS = (1, 2, 3)  # of 3x3 kernels: neighbourhoods of 3, 5 and 7 positions
Shape = Sequence[int]  # (C, h, w)


class IntraLevelFuse(nn.Module):
    """Relates the features of one level to each other, and weighs how widely: (B, C, h, w) -> same.

    Three depthwise convolutions, 3x3 with dilations 1, 2 and 3, see neighbourhoods of different
    width. For each person and channel a softmax over the three weighs them, made from the level's
    pooled features by an MLP, as a selective-kernel unit does (arXiv 1903.06586, 3.1; it pools the
    branches' sum, which is linear in what is pooled here). A 1x1 convolution then relates the
    channels, and the result is added to the level.

    Our reading: HRNet, the likely backbone, exchanges features between its levels over and over,
    but has nothing that weighs those within one; the module acts in each level for itself. Weighed
    and not taken: self-attention within a level, since global relations are the Mixer's part; a
    fusion of the outputs of several layers of one level, which no backbone gives at all its levels.
    """

    def __init__(self, channels: int, reduction: int = 4):
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.branches = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=d, dilation=d, groups=channels)
            for d in DILATIONS
        )
        hidden = max(16, channels // reduction)
        self.squeeze = nn.Linear(channels, hidden)
        self.weigh = nn.Linear(hidden, len(DILATIONS) * channels)
        self.project = _from_zero(nn.Conv2d(channels, channels, 1))

    def forward(self, level: Tensor) -> Tensor:
        x = self.norm(level)  # (B, C, h, w)
        weights = self.weights(x)[..., None, None]  # (B, 3, C, 1, 1)
        # every branch keeps h and w: its padding is its dilation
        mixed = sum(weights[:, i] * branch(x) for i, branch in enumerate(self.branches))
        return level + self.project(F.gelu(mixed))

    def weights(self, x: Tensor) -> Tensor:
        """Of the branches: normalized features (B, C, h, w) -> (B, 3, C), which sum to 1 over 3."""
        hidden = F.gelu(self.squeeze(x.mean((2, 3))))  # (B, C) pooled, then the MLP's width
        return self.weigh(hidden).unflatten(1, (len(DILATIONS), -1)).softmax(1)


class JoinLevels(nn.Module):
    """Levels on one grid: each through a 1x1 convolution, enlarged to the first, and summed.

    Maps (B, C_i, h_i, w_i) -> (B, C_1, h_1, w_1). Concatenation and one 1x1 convolution, as
    HRNetV2 (arXiv 1908.07919) has it, is the same sum with the enlargement before.
    """

    def __init__(self, shapes: Sequence[Shape]):
        super().__init__()
        self.grid = tuple(shapes[0][1:])
        self.project = nn.ModuleList(nn.Conv2d(shape[0], shapes[0][0], 1) for shape in shapes)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        # channels first, then size: 1x1 convolutions are cheapest on the small grids
        maps = (project(level) for project, level in zip(self.project, levels, strict=True))
        return sum(
            F.interpolate(m, self.grid, mode="bilinear") if m.shape[2:] != self.grid else m
            for m in maps
        )


class GridMixer(nn.Module):
    """An MLP-Mixer over the places of a map: (B, C, h, w) -> (B, C, h, w).

    It is core's Mixer, whose image is the map: patches of it become tokens, and what the Mixer
    makes of each is spread over the patch again and added.
    """

    def __init__(self, shape: Shape, patch: int, depth: int, width: int):
        super().__init__()
        channels, *grid = shape
        self.mixer = Mixer(
            free_config(depth, width, patch, image_size=tuple(grid), in_channels=channels)
        )
        self.spread = _from_zero(nn.ConvTranspose2d(width, channels, patch, stride=patch))

    def forward(self, features: Tensor) -> Tensor:
        return features + self.spread(self.mixer.feature_map(features))


class KeypointMixer(nn.Module):
    """An MLP-Mixer over the keypoints, each a token of its flattened maps: (B, K, d) -> (B, K, d).

    It is core's Mixer on a picture of K rows and d columns, whose patches are the rows.
    """

    def __init__(self, keypoints: int, numbers: int, depth: int, width: int):
        super().__init__()
        rows = {"image_size": (keypoints, numbers), "in_channels": 1}
        self.mixer = Mixer(free_config(depth, width, (1, numbers), **rows))
        self.spread = _from_zero(nn.Linear(width, numbers))

    def forward(self, maps: Tensor) -> Tensor:
        stem = self.mixer.stem  # as the linear layer that it is: so long a convolution is slow
        tokens = F.linear(maps, stem.weight.flatten(1), stem.bias)  # (B, K, width)
        return maps + self.spread(self.mixer.forward_tokens(tokens))


class MLPPoseNeck(nn.Module):
    """Levels of a backbone in, fine to coarse, one map out: fuse each, join them, mix the places.

    ``shapes`` are the levels' (C, h, w). Without fuse, with one level and depth 0 it has no
    parameters and gives the level as it is. ``shape`` is that of its map, the first level's.
    """

    def __init__(
        self,
        shapes: Sequence[Shape],
        fuse: bool = False,
        depth: int = 0,
        width: int = 256,
        patch: int = 1,
    ):
        """depth, width and patch (positions of the map) are the `GridMixer`'s."""
        super().__init__()
        self.shape = tuple(shapes[0])
        self.fuse = nn.ModuleList(IntraLevelFuse(shape[0]) for shape in shapes if fuse)
        self.join = JoinLevels(shapes) if len(shapes) > 1 else None
        self.mix = GridMixer(self.shape, patch, depth, width) if depth else None

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """[(B, C_i, h_i, w_i), ...] -> (B, C_1, h_1, w_1)."""
        if self.fuse:
            levels = [fuse(level) for fuse, level in zip(self.fuse, levels, strict=True)]
        features = self.join(levels) if self.join else levels[0]
        return self.mix(features) if self.mix else features


def patch_of(stride: tuple[int, int], grid: Shape) -> int:
    """Side of a token in positions of a map: 16 image pixels, or one position where it is coarser.

    A map of stride 4 has 16 times as many places as a Mixer-B/16 has tokens; whole patches of it
    keep their number that of a Mixer for this crop. Raises InputError where they do not fill it.
    """
    patch = max(1, 16 // max(stride))
    if any(side % patch for side in grid):
        raise InputError(
            f"model.mixer_depth: patches of {patch} do not fill a map of {grid[0]} x {grid[1]} "
            "positions; choose a model.image_size of multiples of 16 or more, or coarser levels"
        )
    return patch


def _from_zero(layer: nn.Module) -> nn.Module:
    """The layer with weights and bias 0: what it adds begins as nothing."""
    for parameter in layer.parameters():
        torch.nn.init.zeros_(parameter)
    return layer
