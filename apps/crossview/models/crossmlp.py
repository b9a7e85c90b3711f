"""CrossMLP's first stage: a cascade of blocks in which a map and an image change each other.

Legend: B batch, H W image, K channels of a map, C = 4 width channels at a quarter of the size.
Ren et al., BMVC 2021 (arXiv 2110.10183); sizes and wiring are those of the released code, which may
differ from the paper. The source image becomes the target's *map*, the target's map the *image*.
Block t, with x1 the image's and x2 the map's stream:

    f1 = conv(x1), f2 = conv(x2)      m = CrossMixer(f1, f2)
    x2 <- x2 + sigmoid(m) f2          x1 <- conv1x1([m, x2])

as_released keeps two defects of the released code: the first block's convolution of stream 1 serves
both streams, and so does one way back from tokens in every CrossMixer. The parameters that are then
never used (4.13 M of 109.91 M at full size) are there and frozen.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from apps.crossview.config import Norm
from apps.crossview.models.cross_mixer import CrossMixer
from apps.crossview.models.layers import check_size, conv_block, head, init_normal, stem


class CascadeBlock(nn.Module):
    """x1, x2 (B, C, h, w) -> the same, changed by each other."""

    def __init__(self, mixer: CrossMixer, channels: int, norm: Norm, share_conv: bool):
        super().__init__()
        self.conv1, self.conv2 = conv_block(channels, norm), conv_block(channels, norm)
        self.mixer = mixer
        self.join = nn.Conv2d(2 * channels, channels, 1)
        self.share_conv = share_conv
        if share_conv:
            self.conv2.requires_grad_(False)

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        f1 = self.conv1(x1)  # all of them (B, C, h, w)
        f2 = (self.conv1 if self.share_conv else self.conv2)(x2)
        mixed = self.mixer(f1, f2)
        x2 = x2 + mixed.sigmoid() * f2  # the map's stream is gated and keeps its residual
        return self.join(torch.cat([mixed, x2], 1)), x2  # the image's is made anew


class CascadeMixer(nn.Module):
    """source (B, 3, H, W) and map (B, K, H, W) in [-1, 1] -> coarse image, map, feature.

    "coarse" (B, 3, H, W) and "map" (B, K, H, W) in [-1, 1], "feature" (B, 2 width, H/2, W/2).
    Raises InputError for a size that 4 patch does not divide.
    """

    def __init__(
        self,
        size: tuple[int, int],
        map_channels: int = 3,
        width: int = 64,
        blocks: int = 9,
        depth: int = 7,
        patch: int = 8,
        norm: Norm = "batch",
        as_released: bool = False,
    ):
        super().__init__()
        check_size(size, 4 * patch, "CrossMLP")
        channels, grid = 4 * width, (size[0] // 4, size[1] // 4)
        dims = (2 * width, 8 * width, 16 * width)  # C, D_S and D_C of a CrossMixer
        self.stem1, self.stem2 = stem(3, width, norm), stem(map_channels, width, norm)
        self.blocks = nn.ModuleList()
        for number in range(blocks):
            mixer = CrossMixer(channels, grid, patch, depth, dims, as_released)
            self.blocks.append(CascadeBlock(mixer, channels, norm, as_released and number == 0))
        self.map_head, self.image_head = head(width, map_channels, norm), head(width, 3, norm)
        self.feature = nn.ConvTranspose2d(channels, 2 * width, 2, 2)
        self.feature_channels = 2 * width
        if not as_released:  # there this network alone is left out
            self._init_normal()

    def _init_normal(self) -> None:
        """pix2pix's initialisation of what is not a CrossMixer."""
        outside = [self.stem1, self.stem2, self.map_head, self.image_head, self.feature]
        for block in self.blocks:
            outside += [block.conv1, block.conv2, block.join]
        for part in outside:
            part.apply(init_normal)

    def forward(self, source: Tensor, target_map: Tensor) -> dict[str, Tensor]:
        x1, x2 = self.stem1(source), self.stem2(target_map)  # (B, C, H/4, W/4) each
        for block in self.blocks:
            x1, x2 = block(x1, x2)
        # crossed: the source's stream ends as the target's map, the map's as the target's image
        coarse, drawn_map = self.image_head(x2), self.map_head(x1)
        return {"coarse": coarse, "map": drawn_map, "feature": self.feature(x2)}
