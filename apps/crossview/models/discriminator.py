"""pix2pix's conditional 70x70 PatchGAN (Isola et al., CVPR 2017, section 6.1.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from apps.crossview.config import CrossViewConfig, Norm
from apps.crossview.models.layers import init_normal, norm_layer


def build_discriminator(config: CrossViewConfig) -> PatchDiscriminator:
    """The discriminator of a run, with the generator's kind of norm."""
    settings = config.discriminator
    return PatchDiscriminator(settings.width, settings.halvings, config.model.norm)


class PatchDiscriminator(nn.Module):
    """(source, image), (B, 3, H, W) each -> logits (B, 1, h, w): is the patch of this pair real?

    Each logit sees 70x70 pixels where there are three halvings, 34x34 with two, 16x16 with one.
    """

    def __init__(self, width: int = 64, halvings: int = 3, norm: Norm = "batch"):
        super().__init__()
        # source and image beside each other are 6 channels; the first layer has no norm
        layers: list[nn.Module] = [nn.Conv2d(6, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        widths = [width * min(2**i, 8) for i in range(halvings + 1)]
        for i in range(halvings):
            stride = 2 if i < halvings - 1 else 1  # the last one only widens what a logit sees
            bias = norm != "batch"  # batch norm has its own
            layers += [
                nn.Conv2d(widths[i], widths[i + 1], 4, stride, 1, bias=bias),
                norm_layer(norm, widths[i + 1]),
                nn.LeakyReLU(0.2),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 1))
        self.apply(init_normal)

    def forward(self, source: Tensor, image: Tensor) -> Tensor:
        return self.layers(torch.cat([source, image], 1))
