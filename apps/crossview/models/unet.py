"""pix2pix's U-Net (Isola et al., CVPR 2017, arXiv 1611.07004, section 6.1.1), at any size.

Legend: B batch, H W image, w width. n halvings, by 4x4 convolutions of stride 2, of
w, 2w, 4w, 8w, 8w, ... channels, and n doublings, each of which also sees the map of its size on the
way down. n is 8 at 256x256, as in the paper; elsewhere as often as both sides can be halved.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from apps.crossview.config import Norm
from apps.crossview.models.layers import norm_layer


class UNet(nn.Module):
    """(B, inputs, H, W) -> (B, outputs, H, W) in [-1, 1]; H and W are multiples of 2^halvings.

    dropout: of the three doublings after the innermost, where there are eight halvings (so many as
    there are beyond five otherwise), in training alone.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int = 64,
        halvings: int = 8,
        norm: Norm = "batch",
        dropout: float = 0.0,
    ):
        super().__init__()
        widths = [width * min(2**i, 8) for i in range(halvings)]
        self.down = nn.ModuleList()
        for i, (before, after) in enumerate(zip([inputs, *widths], widths, strict=False)):
            normed = 0 < i < halvings - 1  # neither the first nor the innermost
            self.down.append(_step(nn.Conv2d, before, after, norm, normed))
        self.up = nn.ModuleList()
        for i in reversed(range(1, halvings)):
            before = widths[i] * (1 if i == halvings - 1 else 2)  # what came up, and the skip
            drop = dropout if 4 <= i < halvings - 1 else 0.0
            self.up.append(_step(nn.ConvTranspose2d, before, widths[i - 1], norm, True, drop))
        self.last = nn.ConvTranspose2d(2 * width, outputs, 4, 2, 1)
        self.feature_channels = 2 * width

    def forward(self, x: Tensor) -> Tensor:
        return self.image_of(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """What the image is made of: (B, 2 width, H/2, W/2)."""
        skips = []
        for i, step in enumerate(self.down):
            x = step(F.leaky_relu(x, 0.2) if i else x)  # (B, w min(2^i, 8), H / 2^(i+1), ...)
            skips.append(x)
        for step, skip in zip(self.up, reversed(skips[:-1]), strict=True):
            x = torch.cat([skip, step(F.relu(x))], 1)
        return x

    def image_of(self, features: Tensor) -> Tensor:
        """(B, width, H, W) features -> the image (B, 3, H, W) in [-1, 1]."""
        return self.last(F.relu(features)).tanh()


def _step(
    kind, before: int, after: int, norm: Norm, normed: bool, dropout: float = 0.0
) -> nn.Module:
    """A 4x4 convolution of stride 2; with batch norm none has a bias, as in pix2pix."""
    layers = [kind(before, after, 4, 2, 1, bias=norm != "batch")]
    if normed:
        layers.append(norm_layer(norm, after))
    if dropout:
        layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)
