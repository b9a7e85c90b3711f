"""A generator on one of core's backbones: tokens of the source, mixed with those of the map.

Legend: B batch, H W image, K channels of a map, G of what guides (the map or the source), S = h*w
tokens of C channels, p pixels of a token.
Ours, of no paper. The backbone, pretrained or not, reads the source; each token of its grid gets
the embedding of the map's patch at the same place; Mixer blocks (core's) then carry what was seen
from above to where it is seen from the street, which convolutions, local as they are, cannot. A
light convolutional decoder doubles the size up to the image, with the map beside it at every size.
Without a map (`sees_map`) the source stands in its place: nothing of the wanted view is known then.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from apps.crossview.config import Norm
from apps.crossview.models.layers import norm_layer
from core.errors import InputError
from core.models.backbone import create_backbone
from core.models.networks.mixer import Mixer
from core.models.networks.mixer_config import free_config
from core.models.shapes import as_pair


class MixerGenerator(nn.Module):
    """source (B, 3, H, W) and map (B, K, H, W) in [-1, 1] -> "coarse", "map", "feature".

    Shapes as those of `CascadeMixer`. Raises InputError for a backbone whose tokens are no square
    of a power of two, at least 4, or a size that it cannot take.
    """

    def __init__(
        self,
        size: tuple[int, int],
        backbone: str,
        weights: str = "",
        map_channels: int = 3,
        width: int = 64,
        fusion: int = 2,
        norm: Norm = "batch",
        sees_map: bool = True,
    ):
        super().__init__()
        self.sees_map = sees_map
        self.backbone = create_backbone(backbone, size, weights or None)
        patch, channels = _patch(self.backbone), self.backbone.num_features
        normalization = torch.tensor(self.backbone.normalization)  # mean and std of [0, 1]
        self.register_buffer("mean", normalization[0].view(-1, 1, 1), persistent=False)
        self.register_buffer("std", normalization[1].view(-1, 1, 1), persistent=False)
        guides = map_channels if sees_map else 3
        options = {"image_size": size, "in_channels": guides}
        self.fusion = Mixer(free_config(fusion, channels, patch, **options))
        self.up = nn.ModuleList()
        sides = patch.bit_length() - 1
        for number in range(sides):  # from the tokens' size up to the image's
            after = width * max(1, min(8, 2 ** (sides - 1 - number)))
            self.up.append(_doubling(channels + guides, after, norm))
            channels = after
            if number == sides - 2:  # at half of the image's size, where the selection begins
                self.feature_channels = after
        self.to_image = nn.Conv2d(channels + guides, 3, 3, padding=1)
        self.to_map = nn.Conv2d(channels, map_channels, 3, padding=1)

    def forward(self, source: Tensor, target_map: Tensor) -> dict[str, Tensor]:
        guide = target_map if self.sees_map else source  # (B, G, H, W)
        images = (0.5 * source + 0.5 - self.mean) / self.std  # as its weights expect them
        features = self.backbone.feature_map(images)  # (B, C, h, w)
        grid = features.shape[2:]
        tokens = features.flatten(2).transpose(1, 2) + self.fusion.embed(guide)  # (B, S, C)
        x = self.fusion.forward_tokens(tokens).transpose(1, 2).unflatten(2, grid)  # (B, C, h, w)
        for number, step in enumerate(self.up):
            # "area": a class's channel becomes its share of the pixels under a coarser one
            beside = F.interpolate(guide, x.shape[2:], mode="area")
            x = step(torch.cat([x, beside], 1))  # twice as high and wide
            if number == len(self.up) - 2:
                feature = x
        image = self.to_image(torch.cat([x, guide], 1)).tanh()
        return {"coarse": image, "map": self.to_map(x).tanh(), "feature": feature}


def _patch(backbone: nn.Module) -> int:
    high, wide = as_pair("stride", backbone.stride)
    if high != wide or high < 4 or high & (high - 1):
        raise InputError(
            f"a token of this backbone is {high}x{wide} pixels: the generator doubles its size, so "
            "choose one with 4, 8, 16 or 32"
        )
    return high


def _doubling(before: int, after: int, norm: Norm) -> nn.Sequential:
    """Twice the size: a 3x3 convolution before, nearest neighbours, and one behind."""
    upsample = (nn.Upsample(scale_factor=2), nn.ReflectionPad2d(1))
    return nn.Sequential(*upsample, nn.Conv2d(before, after, 3), norm_layer(norm, after), nn.ReLU())
