"""S2-MLP: Spatial-Shift MLP Architecture for Vision (Yu et al., WACV 2022, arXiv 2106.07477).

Legend: B batch, H W image, ph pw patch, h w = H/ph W/pw the grid, S = h*w tokens, C channels.

A per-patch embedding and a LayerNorm, then N blocks `U = X + FC2 shift(GELU(FC1 LN(X)))`,
`Y = U + FC4 GELU(FC3 LN(U))`. The shift moves four groups of channels by one token, each another
way; no parameter knows the grid, so that the same weights run at any multiple of the patch.

There is no official code. Our reading, where the description leaves a choice: groups 1 and 2 go
+1 and -1 along the width, groups 3 and 4 along the height; GELU is exact; LayerNorms have
eps 1e-6; linear layers begin as a truncated normal of std 0.02 with biases 0; images are scaled as
the Mixer's. A deviation: one more LayerNorm, after the last block, which every backbone here has.
Parameters without a head: 71.47 M (wide), 53.53 M (deep). The published 51 M of deep fits neither
r = 4 nor r = 3 (42.9 M); r = 4 is taken, which the published FLOPs fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from core.errors import InputError
from core.memory import check_image
from core.models.networks.mlp import ChannelMlp, drop_path, drop_rates
from core.models.shapes import (
    Grid,
    as_pair,
    check_counts,
    check_depth,
    check_images,
    check_patches,
    check_rates,
    checked_depths,
    config_from,
    depths_in_order,
)

# One node each in a graph of torch.fx: they look at the values of shapes.
for leaf in ("check_images", "drop_path", "spatial_shift"):
    torch.fx.wrap(leaf)

# Blocks N and width C of the two networks of the paper; r = 4 and patch 16 in both.
S2MLPS = {"s2mlp_wide": (12, 768), "s2mlp_deep": (36, 384)}


@dataclass(frozen=True)
class S2MLPConfig:
    """An S2-MLP's architecture. Sizes are (height, width); one integer means a square."""

    image_size: tuple[int, int]
    patch_size: tuple[int, int]
    hidden_dim: int  # C, a multiple of 4
    num_blocks: int
    mlp_ratio: int = 4  # r: the channel MLP's hidden size is r * C
    in_channels: int = 3
    dropout: float = 0.0  # after the GELU and the output of both MLPs
    stochastic_depth: float = 0.0  # in the last block; linear from 0 in the first
    grad_checkpointing: bool = False  # recompute blocks in the backward pass to save memory

    def __post_init__(self):
        object.__setattr__(self, "image_size", as_pair("image_size", self.image_size))
        check_image("image_size", self.image_size)
        object.__setattr__(self, "patch_size", as_pair("patch_size", self.patch_size))
        check_counts(self, "hidden_dim", "num_blocks", "mlp_ratio", "in_channels")
        check_depth("num_blocks", self.num_blocks)
        check_rates(self, "dropout", "stochastic_depth")
        if self.hidden_dim % 4:
            raise InputError(
                f"hidden_dim {self.hidden_dim} does not divide into the shift's 4 groups: choose "
                f"{-(-self.hidden_dim // 4) * 4}"
            )
        check_patches(self.image_size, self.patch_size)

    @property
    def grid(self) -> Grid:
        """(h, w), tokens along the height and the width."""
        return self.image_size[0] // self.patch_size[0], self.image_size[1] // self.patch_size[1]


def spatial_shift(x: Tensor) -> Tensor:
    """(B, h, w, C) -> (B, h, w, C): each quarter of the channels moved by one token.

    The first goes +1 along the width (every token gets its left neighbour's values), the second
    -1, the third +1 along the height, the last -1; where no neighbour is, values stay. Raises
    InputError where C is not a multiple of 4.
    """
    if x.shape[-1] % 4:
        raise InputError(f"{x.shape[-1]} channels do not divide into the shift's 4 groups")
    # Never in place: where views overlap, torch on a CPU smears the first row over all others, as
    # in the public ports. Of the ways to copy, cat was the fastest to train (measured on a CPU).
    right, left, down, up = x.chunk(4, dim=-1)
    right = torch.cat((right[:, :, :1], right[:, :, :-1]), dim=2)
    left = torch.cat((left[:, :, 1:], left[:, :, -1:]), dim=2)
    down = torch.cat((down[:, :1], down[:, :-1]), dim=1)
    up = torch.cat((up[:, 1:], up[:, -1:]), dim=1)
    return torch.cat((right, left, down, up), dim=-1)


class ShiftMlp(nn.Module):
    """`FC2 shift(GELU(FC1 x))` over the channels of (B, h, w, C); both layers are C x C."""

    def __init__(self, dim: int, dropout: float):
        super().__init__()
        self.fc1 = nn.Linear(dim, dim)
        self.fc2 = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:  # (B, h, w, C)
        x = spatial_shift(self.dropout(F.gelu(self.fc1(x))))
        return self.dropout(self.fc2(x))


class S2Block(nn.Module):
    """The paper's block. `shift_mixing` and `channel_mixing` leave the skip to the caller."""

    def __init__(self, config: S2MLPConfig, drop_rate: float = 0.0):
        super().__init__()
        dim, hidden = config.hidden_dim, config.mlp_ratio * config.hidden_dim
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp_shift = ShiftMlp(dim, config.dropout)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp_channels = ChannelMlp(dim, hidden, "exact", config.dropout)
        self.drop_rate = drop_rate

    def shift_mixing(self, x: Tensor) -> Tensor:
        """FC2 shift(GELU(FC1 LN(X))): (B, h, w, C) -> (B, h, w, C), from the four neighbours."""
        return self.mlp_shift(self.norm1(x))

    def channel_mixing(self, x: Tensor) -> Tensor:
        """FC4 GELU(FC3 LN(U)): (B, h, w, C) -> (B, h, w, C), the same for every token."""
        return self.mlp_channels(self.norm2(x))

    def forward(self, x: Tensor) -> Tensor:  # (B, h, w, C)
        x = x + drop_path(self.shift_mixing(x), self.drop_rate, self.training)
        return x + drop_path(self.channel_mixing(x), self.drop_rate, self.training)


class S2MLP(nn.Module):
    """The network without its head: images (B, 3, H, W) -> tokens (B, S, C)."""

    def __init__(self, config: S2MLPConfig):
        super().__init__()
        self.num_features, self.stride = config.hidden_dim, config.patch_size
        self.normalization = ((0.5,) * config.in_channels, (0.5,) * config.in_channels)
        self.stem = nn.Conv2d(config.in_channels, self.num_features, self.stride, self.stride)
        self.stem_norm = nn.LayerNorm(config.hidden_dim, eps=1e-6)
        rates = drop_rates(config.stochastic_depth, config.num_blocks)
        self.blocks = nn.ModuleList(S2Block(config, rate) for rate in rates)
        self.norm = nn.LayerNorm(config.hidden_dim, eps=1e-6)
        self._configure(config)
        self.apply(_truncated_normal)

    def _configure(self, config: S2MLPConfig) -> None:
        self.in_channels = config.in_channels
        self.config, self.image_size, self.grid = config, config.image_size, config.grid

    def set_image_size(self, image_size: int | Sequence[int]) -> None:
        """Move to another size, in place; the weights stay. InputError unless patches fit it."""
        self._configure(replace(self.config, image_size=image_size))

    def describe(self) -> dict:
        """What `backbone_from_description` builds the same network from; JSON can hold it."""
        return {"name": "s2mlp", **asdict(self.config)}

    def layer_depths(self) -> tuple[dict[str, int], int]:
        """Depth by parameter name, and N, the last norm's: 0 the stem, 1, 2, ... the blocks."""
        return depths_in_order(self)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> tokens (B, S, C) after the last LayerNorm, row by row of the grid."""
        return self.forward_features(images)

    def forward_features(self, images: Tensor) -> Tensor:
        """The tokens (B, S, C), by timm's name; also of a subclass whose `forward` gives others."""
        return self.feature_map(images).flatten(2).transpose(1, 2)

    def feature_map(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> the tokens laid out as a map (B, C, h, w)."""
        return self.pyramid(images, depths=[len(self.blocks)])[0]

    def pyramid(self, images: Tensor, depths: Sequence[int] | None = None) -> list[Tensor]:
        """Maps (B, C, h, w) after `depths` blocks (1 is the first), each through the last norm.

        All have one scale: the network is isotropic. By default four depths, evenly spaced, the
        last of them the last block (fewer where there are fewer than four blocks).
        """
        depths = checked_depths(depths, len(self.blocks))
        x, maps = self.embed(images), []
        for depth, block in enumerate(self.blocks[: depths[-1]], start=1):
            x = self._run(block, x)
            if depth in depths:
                maps.append(self.norm(x).permute(0, 3, 1, 2))
        return maps

    def embed(self, images: Tensor) -> Tensor:
        """The per-patch fully-connected layer and its LayerNorm: (B, 3, H, W) -> (B, h, w, C)."""
        check_images(images, self.in_channels, self.image_size)
        return self.stem_norm(self.stem(images).permute(0, 2, 3, 1).contiguous())

    def _run(self, block: S2Block, x: Tensor) -> Tensor:
        if self.config.grad_checkpointing and torch.is_grad_enabled():
            return checkpoint(block, x, use_reentrant=False)  # replays the random state too
        return block(x)


def s2mlp_config(name: str, **overrides) -> S2MLPConfig:
    """The S2MLPConfig of a name in S2MLPS, with fields replaced by `overrides`."""
    blocks, width = S2MLPS[name]
    sizes = {"num_blocks": blocks, "hidden_dim": width, "patch_size": 16, "mlp_ratio": 4}
    return config_from(S2MLPConfig, {**sizes, **overrides})


def _truncated_normal(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
