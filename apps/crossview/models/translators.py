"""pix2pix, X-Fork and X-Seq: generators of one or two U-Nets.

Legend: B batch, H W image, K channels of a map, w width. All images and maps are in [-1, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from apps.crossview.config import Norm
from apps.crossview.models.layers import halvings
from apps.crossview.models.unet import UNet


class Translator(nn.Module):
    """pix2pix on [source, map]: "coarse" and "feature"."""

    def __init__(self, size, channels: int, width: int, norm: Norm, dropout: float):
        super().__init__()
        self.net = UNet(3 + channels, 3, width, halvings(size), norm, dropout)
        self.feature_channels = self.net.feature_channels

    def forward(self, source: Tensor, target_map: Tensor) -> dict[str, Tensor]:
        feature = self.net.features(torch.cat([source, target_map], 1))  # (B, 2 w, H/2, W/2)
        return {"coarse": self.net.image_of(feature), "feature": feature}


class Fork(nn.Module):
    """X-Fork: image and map of one network that sees the source alone."""

    def __init__(self, size, channels: int, width: int, norm: Norm, dropout: float):
        super().__init__()
        self.net = UNet(3, 3 + channels, width, halvings(size), norm, dropout)

    def forward(self, source: Tensor, target_map: Tensor) -> dict[str, Tensor]:
        both = self.net(source)  # (B, 3 + K, H, W)
        return {"coarse": both[:, :3], "map": both[:, 3:]}


class Sequel(nn.Module):
    """X-Seq: from the source to the image, and from that to the map."""

    def __init__(self, size, channels: int, width: int, norm: Norm, dropout: float):
        super().__init__()
        self.net = UNet(3, 3, width, halvings(size), norm, dropout)
        self.to_map = UNet(3, channels, width, halvings(size), norm, dropout)

    def forward(self, source: Tensor, target_map: Tensor) -> dict[str, Tensor]:
        image = self.net(source)
        return {"coarse": image, "map": self.to_map(image)}
