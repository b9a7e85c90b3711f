"""The network with what is around it as one graph, in two layouts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from apps.pose.models.decoding import create_decoder
from apps.pose.models.network import PoseNet
from core.errors import InputError

# What rtmlib's RTMPose takes from every pixel and divides it by (rtmlib 0.0.16, rtmpose.py), and
# how many bins it counts to a pixel
RTMLIB_MEAN, RTMLIB_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
RTMLIB_SPLIT = 2.0
SPLITS = (1.0, 2.0)  # of a head that these bins can be made of


class PoseGraph(nn.Module):
    """crops (B, H, W, 3) uint8 RGB -> keypoints (B, K, 2) in pixels of the crop, scores (B, K).

    B people, K keypoints, (H, W) the crop; points are (x, y).
    """

    def __init__(self, network: PoseNet):
        super().__init__()
        self.network = network.eval()
        self.decode = create_decoder(network.config)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        images = crops.permute(0, 3, 1, 2)  # (B, 3, H, W), as the network takes them
        return self.decode(self.network(images))


class RtmlibGraph(nn.Module):
    """The same as rtmlib's `RTMPose` wants it, whose crops are ours for a network without UDP.

    images (B, 3, H, W) float BGR, from which it took its mean and deviation (RGB's, of a BGR image:
    undone here as it was done) -> (B, K, 2 W) and (B, K, 2 H): of each axis the probabilities of
    its bins, in heights of a perfect prediction's peak, which a higher peak is scaled to. rtmlib
    takes the largest bin, and for the score the mean of both axes' peaks; ours is the smaller one.
    Between the bins of a head that has one per pixel the mean of both is put. Raises InputError for
    a network that has no such axes.
    """

    def __init__(self, network: PoseNet):
        super().__init__()
        config = network.config
        if config.head != "simcc" or config.simcc_split not in SPLITS:
            raise InputError(
                f"rtmlib takes a SimCC head of 1 or {RTMLIB_SPLIT:g} bins per pixel: this run has "
                f"model.head {config.head}, model.simcc_split {config.simcc_split:g}"
            )
        self.network, self.perfect = network.eval(), create_decoder(config).perfect
        self.finer = config.simcc_split != RTMLIB_SPLIT
        for name, value in (("mean", RTMLIB_MEAN), ("std", RTMLIB_STD)):
            self.register_buffer(name, torch.tensor(value).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        pixels = (images * self.std + self.mean).flip(1)  # (B, 3, H, W) RGB, 0 to 255
        outputs = self.network(pixels)
        x, y = (outputs[axis].float().softmax(-1) / self.perfect for axis in ("x", "y"))
        x, y = (_doubled(axis) if self.finer else axis for axis in (x, y))
        return tuple(axis / axis.amax(-1, keepdim=True).clamp_min(1.0) for axis in (x, y))


def _doubled(axis: Tensor) -> Tensor:
    """(..., n) -> (..., 2 n): bin i at 2 i, the mean of bins i and i + 1 behind it."""
    following = torch.cat([axis[..., 1:], axis[..., -1:]], -1)
    return torch.stack([axis, (axis + following) / 2], -1).flatten(-2)
