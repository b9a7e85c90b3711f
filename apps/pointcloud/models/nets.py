"""PointMixer's classification and segmentation networks, with the released parameter counts.

Legend: N points, B clouds, F input features, C channels of a level.

Encoder and decoder of the released code (commit 31e5f1b; its README says 6.5M for segmentation):
five levels of 32 to 512 channels with 1, 2, 3, 5, 2 PointMixer blocks, each level after the first
with N/stride points of the one before. W of every block (`operators.pointmixer`) is the release's
k, so that the parameters are 6,419,585 (S3DIS: xyz + rgb, 13 classes) and 4,146,789 (ModelNet40).

Differences, all named where they are: the way up goes over the pairs of the way down; points in no
set take their nearest coarse point's feature (`hierarchy`); neighbours are searched once a level
instead of once a block; sampling starts at a point that the set alone decides (`search`), so that
the order of points plays no role; clouds may have different sizes.

No command of this app trains them (`classify.py` has a smaller one, around any operator): they are
parts for code of one's own, with tests that counts, symmetries and gradients are right.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from apps.pointcloud.geometry.search import knn
from apps.pointcloud.geometry.segments import cloud_count, segment_max, segment_mean
from apps.pointcloud.models.hierarchy import HierarchicalDown, HierarchicalUp, SetMap, set_map
from apps.pointcloud.models.layers import BatchNorm, linear_norm_relu
from apps.pointcloud.models.operators.block import OperatorBlock
from apps.pointcloud.models.operators.pointmixer import SHARE, Form, PointMixing
from core.errors import InputError

WIDTHS = (32, 64, 128, 256, 512)
BLOCKS = (1, 2, 3, 5, 2)  # the release counts the transition as one more


@dataclass(frozen=True)
class NetConfig:
    """Sizes of a network; one entry for each of the five levels."""

    classes: int
    features: int  # F
    neighbours: tuple[int, ...]  # k of each level, and W of its blocks
    strides: tuple[int, ...]  # points of the level before for one of this; the first is 1
    form: Form  # of inter-set mixing


def classifier_config(classes: int = 40, features: int = 3) -> NetConfig:
    """As released for ModelNet40: 1,024 points, input features are their positions."""
    return NetConfig(classes, features, (8,) * 5, (1, 2, 2, 2, 2), "add")


def segmenter_config(classes: int = 13, features: int = 6) -> NetConfig:
    """As released for S3DIS: input features are positions and colours."""
    return NetConfig(classes, features, (8, 16, 16, 16, 16), (1, 4, 4, 4, 4), "concatenate")


@dataclass(frozen=True)
class Level:
    """What one level of the encoder leaves for the way up."""

    features: Tensor  # (N, C)
    points: Tensor  # (N, 3)
    batch: Tensor  # (N,)
    index: Tensor  # (N, k) neighbours
    sets: SetMap | None  # from the level before to this one; None for the first


class Encoder(nn.Module):
    """Five levels, fine to coarse. `neighbours`, k of each, may be set to others at any time."""

    def __init__(self, config: NetConfig):
        super().__init__()
        self.config, self.neighbours = config, config.neighbours
        before = (config.features, *WIDTHS)
        self.stem = linear_norm_relu(config.features, WIDTHS[0])
        self.down = nn.ModuleList(map(HierarchicalDown, before[1:], WIDTHS[1:]))
        self.blocks = nn.ModuleList(
            _blocks(config, level, count) for level, count in enumerate(BLOCKS)
        )

    def forward(self, features: Tensor, points: Tensor, batch: Tensor) -> list[Level]:
        """features (N, F), points (N, 3), batch (N,) -> the levels."""
        _check(features, points, self.config)
        levels, sets = [], None
        for i, (k, stride) in enumerate(zip(self.neighbours, self.config.strides, strict=True)):
            if i == 0:
                x = self.stem(features)
            else:
                sets = set_map(points, batch, stride, k)
                x = self.down[i - 1](x, points, sets)
                points, batch = sets.points, sets.batch
            index = knn(points, points, k, batch, batch)
            for block in self.blocks[i]:
                x = block(x, points, batch, index)
            levels.append(Level(x, points, batch, index, sets))
        return levels


class PointMixerClassifier(nn.Module):
    """One vector of class scores for each cloud: (B, classes)."""

    def __init__(self, config: NetConfig):
        super().__init__()
        wide, width = WIDTHS[-1], WIDTHS[-1] // 2
        self.encoder = Encoder(config)
        self.head = nn.Sequential(
            *(*linear_norm_relu(2 * wide, wide, bias=True), nn.Dropout(0.5)),
            *(*linear_norm_relu(wide, width, bias=True), nn.Dropout(0.5)),
            nn.Linear(width, config.classes),
        )

    def forward(self, features: Tensor, points: Tensor, batch: Tensor) -> Tensor:
        """features (N, F), points (N, 3), batch (N,) sorted, no cloud empty -> (B, classes)."""
        last = self.encoder(features, points, batch)[-1]
        pooled = [
            f(last.features, last.batch, cloud_count(batch)) for f in (segment_mean, segment_max)
        ]
        return self.head(torch.cat(pooled, 1))


class PointMixerSegmenter(nn.Module):
    """Class scores for each point: (N, classes)."""

    def __init__(self, config: NetConfig):
        super().__init__()
        first, last = WIDTHS[0], WIDTHS[-1]
        self.encoder = Encoder(config)
        self.of_cloud = nn.Sequential(nn.Linear(last, last), nn.ReLU())
        self.deepest = linear_norm_relu(2 * last, last)
        self.up = nn.ModuleList(map(HierarchicalUp, WIDTHS[1:], WIDTHS[:-1]))
        self.blocks = nn.ModuleList(_blocks(config, level, 1) for level in range(len(WIDTHS)))
        self.head = nn.Sequential(
            nn.Linear(first, first), BatchNorm(first), nn.ReLU(), nn.Linear(first, config.classes)
        )

    def forward(self, features: Tensor, points: Tensor, batch: Tensor) -> Tensor:
        """features (N, F), points (N, 3), batch (N,) sorted -> (N, classes)."""
        levels = self.encoder(features, points, batch)
        x = self._with_cloud(levels[-1])
        for i in reversed(range(len(levels))):
            level = levels[i]
            if i < len(levels) - 1:
                x = self.up[i](level.features, x, levels[i + 1].sets)
            for block in self.blocks[i]:
                x = block(x, level.points, level.batch, level.index)
        return self.head(x)

    def _with_cloud(self, level: Level) -> Tensor:
        """The deepest features with the mean of their cloud beside them: (N, C) -> (N, C)."""
        means = segment_mean(level.features, level.batch, cloud_count(level.batch))
        return self.deepest(torch.cat([level.features, self.of_cloud(means)[level.batch]], 1))


def _blocks(config: NetConfig, level: int, count: int) -> nn.ModuleList:
    channels, k = WIDTHS[level], config.neighbours[level]
    mixings = [PointMixing(channels, k, SHARE, config.form) for _ in range(count)]
    return nn.ModuleList(OperatorBlock(channels, mixing, k) for mixing in mixings)


def _check(features: Tensor, points: Tensor, config: NetConfig) -> None:
    if features.shape != (len(points), config.features):
        raise InputError(
            f"features are {tuple(features.shape)}; this network takes ({len(points)}, "
            f"{config.features}), a row for each point"
        )
