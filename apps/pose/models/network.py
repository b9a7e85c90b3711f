"""A backbone, what MLP-Pose puts on it where that is asked for, and a keypoint head.

Legend: B people, (H, W) the crop, C channels, (h, w) the head's map, K keypoints.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from apps.pose.config import ModelConfig
from apps.pose.data.codec import HEATMAP_STRIDE
from apps.pose.data.keypoints import KeypointSet
from apps.pose.models.levels import level_maps, level_shapes
from apps.pose.models.mlp_pose import KeypointMixer, MLPPoseNeck, patch_of
from apps.pose.models.places import PlacesHead
from core import InputError, create_backbone
from core.app.kept import KeptNetworks
from core.app.runs import place_of
from core.config import build, to_plain
from core.models.building import backbone_from_description


class SimCCHead(nn.Module):
    """One classification over x and one over y for each keypoint (SimCC, arXiv 2107.03332, 3.1).

    A 1x1 convolution gives each keypoint ``maps`` maps; flattened, they give the logits of both
    axes by one linear layer each, shared by the keypoints. The paper has one map. More of them are
    ours: on the coarse grid of a small Mixer, h*w numbers say too little of a place within a patch.
    A Mixer over the keypoints (``mixer_depth`` blocks of ``mixer_width``) may come between.
    """

    def __init__(
        self,
        channels: int,
        grid: tuple[int, int],
        keypoints: int,
        bins: tuple[int, int],
        maps: int = 1,
        mixer_depth: int = 0,
        mixer_width: int = 256,
    ):
        super().__init__()
        self.keypoints, numbers = keypoints, maps * grid[0] * grid[1]
        self.to_keypoints = nn.Conv2d(channels, keypoints * maps, 1)
        mixer = (keypoints, numbers, mixer_depth, mixer_width)
        self.mix = KeypointMixer(*mixer) if mixer_depth else None
        self.x = nn.Linear(numbers, bins[0])
        self.y = nn.Linear(numbers, bins[1])
        for layer in (self.x, self.y):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """(B, C, h, w) -> logits {"x": (B, K, W*split), "y": (B, K, H*split)}."""
        maps = self.to_keypoints(features).flatten(1)  # (B, K*maps*h*w), a keypoint's together
        maps = maps.unflatten(1, (self.keypoints, -1))  # (B, K, maps*h*w)
        maps = self.mix(maps) if self.mix else maps
        return {"x": self.x(maps), "y": self.y(maps)}


class HeatmapHead(nn.Module):
    """Deconvolutions up to a quarter of the crop, then a 1x1 convolution (SimpleBaseline,
    arXiv 1804.06208): three for a backbone of stride 32, two for stride 16."""

    def __init__(self, channels: int, stride: tuple[int, int], keypoints: int, width: int = 256):
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(_doublings(stride)):
            layers += [
                nn.ConvTranspose2d(channels, width, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
            channels = width
        self.up = nn.Sequential(*layers)
        self.to_heatmap = nn.Conv2d(channels, keypoints, 1)
        for layer in self.modules():
            if isinstance(layer, nn.ConvTranspose2d | nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.001)
        nn.init.zeros_(self.to_heatmap.bias)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """(B, C, h, w) -> {"heatmap": (B, K, H/4, W/4)}."""
        return {"heatmap": self.to_heatmap(self.up(features))}


def _doublings(stride: tuple[int, int]) -> int:
    doublings = math.log2(stride[0] / HEATMAP_STRIDE)
    if stride[0] != stride[1] or doublings < 0 or doublings % 1:
        raise InputError(
            f"a heatmap head needs a backbone of stride 4, 8, 16 or 32, this one has "
            f"{stride[0]} x {stride[1]}: use model.head simcc"
        )
    return int(doublings)


class PoseNet(nn.Module):
    """Crops of people in, SimCC logits or heatmaps out.

    backbone -> levels of its pyramid -> `MLPPoseNeck` -> head. What the levels do not need of the
    backbone is not trained, nor is any of it with ``config.freeze``: it then also stays in
    evaluation mode, so that its BatchNorms keep their statistics.
    """

    SAID_ANEW: ClassVar = ("model.simcc_dark",)  # of decoding: an evaluation may say another
    KEPT: ClassVar = KeptNetworks(Path(__file__).parents[1] / "weights", "people")

    def __init__(
        self, config: ModelConfig, keypoints: KeypointSet, backbone: nn.Module | None = None
    ):
        super().__init__()
        self.config, self.keypoints = config, keypoints
        self.backbone = backbone or backbone_of(config)
        mean, std = self.backbone.normalization
        self.register_buffer("mean", 255 * torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std).view(3, 1, 1), persistent=False)
        shapes, unused = level_shapes(self.backbone, config.levels)  # (C, h, w) of each level
        _freeze(self.backbone, None if config.freeze else unused)
        stride = _stride(config, self.backbone, shapes[0][1:])
        self.neck = _neck(config, shapes, stride)
        self.head = _head(config, self.neck.shape, stride, len(keypoints))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) uint8 RGB -> the head's outputs."""
        # uint8 goes to the device, a quarter of the bytes; what the weights expect is made there
        images = (images.float() - self.mean) / self.std
        return self.head(self.neck(level_maps(self.backbone, images, self.config.levels)))

    def train(self, mode: bool = True) -> PoseNet:
        """As nn.Module, but for a frozen backbone."""
        super().train(mode)
        self.backbone.train(mode and not self.config.freeze)
        return self

    @classmethod
    def from_description(cls, info: dict[str, Any], source: str) -> PoseNet:
        """The network whose `describe()` this was, with random weights; ``source`` names it."""
        if info.get("app") != "pose":
            raise InputError(f"{source} is no checkpoint of apps/pose, but of {info.get('app')}")
        config = build(ModelConfig, info["model"], f"{source}: model")
        keypoints = build(KeypointSet, info["keypoints"], f"{source}: keypoints")
        # not by its name: weights may have decided on the GELU, and resizing on the hidden sizes
        backbone = backbone_from_description(info["backbone"])
        return cls(replace(config, weights=""), keypoints, backbone)

    def describe(self) -> dict[str, Any]:
        """What a checkpoint keeps, to build this network and its backbone again."""
        return {
            "app": "pose",
            "backbone": self.backbone.describe(),
            "model": to_plain(self.config),
            "keypoints": to_plain(self.keypoints),
        }


def backbone_of(config: ModelConfig) -> nn.Module:
    """The backbone that a configuration describes, with its weights where it names some."""
    if config.freeze and not config.weights:
        raise InputError("model.freeze keeps random weights as they are: give model.weights")
    names = ("stochastic_depth", "grad_checkpointing")
    options = {name: getattr(config, name) for name in names}
    if config.backbone.startswith(("timm:", "vit_")):
        options = {}
    if config.backbone.startswith("timm:hrnet"):
        options = {"head": ""}  # its four branches and nothing behind them, as for pose
    weights = place_of(config.weights, PoseNet) or None
    return create_backbone(config.backbone, config.image_size, weights, **options)


def _freeze(backbone: nn.Module, names: list[str] | None) -> None:
    """Let these parameters be; None: all."""
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(names is not None and name not in names)


def _stride(config: ModelConfig, backbone: nn.Module, grid: tuple[int, ...]) -> tuple[int, int]:
    """Crop pixels for a position of the finest level."""
    if not config.levels:
        return backbone.stride
    height, width = config.image_size
    return round(height / grid[0]), round(width / grid[1])


def _neck(config: ModelConfig, shapes: list[tuple[int, int, int]], stride) -> MLPPoseNeck:
    depth = config.mixer_depth if config.mixer_tokens == "grid" else 0
    patch = patch_of(stride, shapes[0][1:]) if depth else 1
    return MLPPoseNeck(shapes, config.fuse, depth, config.mixer_width, patch)


def _head(config: ModelConfig, shape: tuple[int, int, int], stride, keypoints: int) -> nn.Module:
    depth = config.mixer_depth if config.mixer_tokens == "keypoints" else 0
    channels, *grid = shape
    if config.head == "heatmap":
        if depth:
            raise InputError('model.mixer_tokens "keypoints" is for model.head simcc')
        return HeatmapHead(channels, stride, keypoints)
    height, width = config.image_size
    bins = round(width * config.simcc_split), round(height * config.simcc_split)
    if config.simcc_places:
        if depth:
            raise InputError('model.mixer_tokens "keypoints" is not for model.simcc_places')
        return PlacesHead(channels, (grid[0], grid[1]), keypoints, bins, config.sigma)
    mixer = depth, config.mixer_width
    return SimCCHead(channels, grid, keypoints, bins, config.simcc_maps, *mixer)
