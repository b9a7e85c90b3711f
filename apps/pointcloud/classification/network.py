"""A classifier of clouds around any of the operators, so that rows differ by the operator alone.

Legend: B clouds of N points, C channels of a level, k neighbours.

Each level has blocks around the operator. Between two, one of `stride` points stays (farthest
point sampling) and takes the maximum of a layer over its k nearest, as PointNet++ thins out (Qi et
al. 2017), whatever the operator. Mean and maximum of the last level are the cloud's features.
PointNet's operator sees no neighbours but here. PointMixer's own network is in `models/nets.py`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from apps.pointcloud.classification.config import ModelConfig
from apps.pointcloud.geometry.search import farthest_points, knn
from apps.pointcloud.geometry.segments import segment_max, segment_mean
from apps.pointcloud.models.layers import linear_norm_relu, linear_of_pairs, relative_positions
from apps.pointcloud.models.operators import Blocks
from core.config import build, to_plain
from core.errors import InputError
from core.ranges import check_ranges


class CloudClassifier(nn.Module):
    """(B, N, 3) float32 -> scores (B, classes). Raises InputError for sizes that do not go."""

    def __init__(self, config: ModelConfig, classes: list[str]):
        super().__init__()
        check_ranges(config, "model.")
        if not config.channels or len(config.channels) != len(config.blocks):
            raise InputError(
                f"model.channels are {config.channels} and model.blocks {config.blocks}: give one "
                "of each for every level"
            )
        self.config, self.classes = config, list(classes)
        width = config.channels[-1]
        self.stem = linear_norm_relu(3, config.channels[0])
        self.downs = nn.ModuleList(map(Thinning, config.channels, config.channels[1:]))
        self.levels = nn.ModuleList(
            Blocks(config.operator, channels, config.neighbours, count)
            for channels, count in zip(config.channels, config.blocks, strict=True)
        )
        self.head = nn.Sequential(
            *linear_norm_relu(2 * width, width),
            nn.Dropout(config.dropout),
            nn.Linear(width, len(classes)),
        )

    def forward(self, clouds: Tensor) -> Tensor:
        points = clouds.flatten(0, 1)
        batch = torch.arange(len(clouds), device=clouds.device).repeat_interleave(clouds.shape[1])
        features = self.levels[0](self.stem(points), points, batch)
        for down, blocks in zip(self.downs, self.levels[1:], strict=True):
            chosen = farthest_points(points, 1.0 / self.config.stride, batch)
            index = knn(points[chosen], points, self.config.neighbours, batch[chosen], batch)
            features = down(features, points, points[chosen], index)
            points, batch = points[chosen], batch[chosen]
            features = blocks(features, points, batch)
        pooled = [pool(features, batch, len(clouds)) for pool in (segment_mean, segment_max)]
        return self.head(torch.cat(pooled, 1))

    def describe(self) -> dict[str, Any]:
        """What a checkpoint keeps, to build this network again."""
        model, head = to_plain(self.config), {"classes": self.classes}
        return {"app": "pointcloud", "task": "classify", "model": model, "head": head}

    @classmethod
    def from_description(cls, info: dict[str, Any], source: str) -> CloudClassifier:
        """The network that a checkpoint describes, with random weights. InputError for another."""
        if info.get("task") != "classify" or "classes" not in (info.get("head") or {}):
            raise InputError(f"{source} is no classifier of clouds: give a run of classify.py")
        return cls(build(ModelConfig, info["model"], source), info["head"]["classes"])


class Thinning(nn.Module):
    """Features (N, C) at fewer points (M, D): the maximum of a layer over their neighbours."""

    def __init__(self, channels: int, out: int):
        super().__init__()
        self.first = nn.Linear(3 + channels, out, bias=False)
        self.after = linear_norm_relu(out, out)[1:]  # norm and ReLU

    def forward(self, features: Tensor, points: Tensor, centres: Tensor, index: Tensor) -> Tensor:
        """features (N, C), points (N, 3), centres (M, 3), index (M, k) -> (M, D)."""
        offsets = relative_positions(points, centres, index)
        return self.after(linear_of_pairs(self.first, features, offsets, index)).amax(1)
