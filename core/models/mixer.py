"""MLP-Mixer: An all-MLP Architecture for Vision (Tolstikhin et al. 2021, arXiv 2105.01601).

Legend: B batch, H W image, ph pw patch, h w = H/ph W/pw the grid, S = h*w tokens, C channels
(hidden width), D_S and D_C hidden sizes of the token-mixing and channel-mixing MLPs.

A Mixer is a per-patch embedding and L blocks `U = X + tokenMLP(LN(X)); Y = U + channelMLP(LN(U))`
(equation 1), then a LayerNorm. It has no position embedding, and here no head: heads belong to
whoever uses it. Parameters carry timm's names, so that weights of both are the same but for `stem`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from core.errors import InputError

# Table 1 of the paper: blocks L, width C, patch. D_S = C / 2 and D_C = 4 C in every column.
SPECS = {
    "S/32": (8, 512, 32),
    "S/16": (8, 512, 16),
    "B/32": (12, 768, 32),
    "B/16": (12, 768, 16),
    "L/32": (24, 1024, 32),
    "L/16": (24, 1024, 16),
    "H/14": (32, 1280, 14),
}


@dataclass(frozen=True)
class MixerConfig:
    """A Mixer's architecture. Sizes are (height, width); one integer means a square."""

    image_size: tuple[int, int]
    patch_size: tuple[int, int]
    hidden_dim: int  # C
    num_blocks: int
    tokens_mlp_dim: int  # D_S
    channels_mlp_dim: int  # D_C
    in_channels: int = 3
    gelu: str = "tanh"  # "tanh" as the official code (jax.nn.gelu), "exact" as timm
    dropout: float = 0.0
    stochastic_depth: float = 0.0  # in the last block; linear from 0 in the first (Table 4)
    grad_checkpointing: bool = False  # recompute blocks in the backward pass to save memory

    def __post_init__(self):
        object.__setattr__(self, "image_size", as_pair("image_size", self.image_size))
        object.__setattr__(self, "patch_size", as_pair("patch_size", self.patch_size))
        for name in [field.name for field in fields(self)][2:7]:  # hidden_dim ... in_channels
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)!r}; give a positive integer")
        (height, width), (ph, pw) = self.image_size, self.patch_size
        if height % ph or width % pw:
            raise InputError(
                f"image_size {height}x{width} is not a multiple of patch_size {ph}x{pw}: choose "
                f"{-(-height // ph) * ph}x{-(-width // pw) * pw} or another patch_size"
            )
        if self.gelu not in ("tanh", "exact"):
            raise InputError(f'gelu is {self.gelu!r}; choose "tanh" or "exact"')
        for name in ("dropout", "stochastic_depth"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; choose a number in [0, 1)")

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w), tokens along the height and the width."""
        return self.image_size[0] // self.patch_size[0], self.image_size[1] // self.patch_size[1]

    @property
    def num_tokens(self) -> int:
        """S = h * w."""
        return self.grid[0] * self.grid[1]


class MixerMlp(nn.Module):
    """`W2 gelu(W1 x + b1) + b2` over one axis of (B, S, C): "tokens" or "channels".

    Dropout follows the GELU and the output, as in timm's Mlp (the official code has none).
    """

    def __init__(self, dim: int, hidden: int, over: str, gelu: str, dropout: float):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)
        self.dropout = nn.Dropout(dropout)
        self.linear = _linear_over_tokens if over == "tokens" else F.linear
        self.approximate = {"tanh": "tanh", "exact": "none"}[gelu]

    def forward(self, x: Tensor) -> Tensor:  # (B, S, C)
        x = self.linear(x, self.fc1.weight, self.fc1.bias)  # (B, D_S, C) or (B, S, D_C)
        x = self.dropout(F.gelu(x, approximate=self.approximate))
        return self.dropout(self.linear(x, self.fc2.weight, self.fc2.bias))  # (B, S, C)


class MixerBlock(nn.Module):
    """Equation 1. `token_mixing` and `channel_mixing` leave the skip to the caller."""

    def __init__(self, config: MixerConfig, drop_rate: float = 0.0):
        super().__init__()
        dim, mlp = config.hidden_dim, {"gelu": config.gelu, "dropout": config.dropout}
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp_tokens = MixerMlp(config.num_tokens, config.tokens_mlp_dim, "tokens", **mlp)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp_channels = MixerMlp(dim, config.channels_mlp_dim, "channels", **mlp)
        self.drop_rate = drop_rate

    def token_mixing(self, x: Tensor) -> Tensor:
        """W2 gelu(W1 LN(X)): (B, S, C) -> (B, S, C), the same for every channel; no skip."""
        return self.mlp_tokens(self.norm1(x))

    def channel_mixing(self, x: Tensor) -> Tensor:
        """W4 gelu(W3 LN(U)): (B, S, C) -> (B, S, C), the same for every token; no skip."""
        return self.mlp_channels(self.norm2(x))

    def forward(self, x: Tensor) -> Tensor:  # (B, S, C)
        x = x + drop_path(self.token_mixing(x), self.drop_rate, self.training)
        return x + drop_path(self.channel_mixing(x), self.drop_rate, self.training)


class Mixer(nn.Module):
    """The paper's network without its head: images (B, 3, H, W) -> tokens (B, S, C)."""

    def __init__(self, config: MixerConfig):
        super().__init__()
        self.config = config
        self.image_size, self.grid, self.stride = config.image_size, config.grid, config.patch_size
        self.num_features = config.hidden_dim
        self.normalization = ((0.5,) * config.in_channels, (0.5,) * config.in_channels)
        self.stem = nn.Conv2d(config.in_channels, self.num_features, self.stride, self.stride)
        last = max(config.num_blocks - 1, 1)
        rates = [config.stochastic_depth * i / last for i in range(config.num_blocks)]
        self.blocks = nn.ModuleList(MixerBlock(config, rate) for rate in rates)
        self.norm = nn.LayerNorm(config.hidden_dim, eps=1e-6)
        self.apply(_lecun_normal)

    @classmethod
    def from_spec(cls, spec: str, image_size: int | Sequence[int] = 224, **overrides) -> Mixer:
        """A column of Table 1, e.g. `Mixer.from_spec("B/16")`; overrides are MixerConfig fields."""
        return cls(spec_config(spec, image_size=image_size, **overrides))

    def describe(self) -> dict:
        """What `backbone_from_description` builds the same network from; JSON can hold it."""
        return {"name": "mixer", **asdict(self.config)}

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> tokens (B, S, C) after the last LayerNorm, row by row of the grid."""
        return self.forward_tokens(self.embed(images))

    def forward_tokens(self, tokens: Tensor) -> Tensor:
        """Mix tokens that need not come from an image: (B, S, C) -> (B, S, C), normalised."""
        expected = (self.config.num_tokens, self.num_features)
        if tokens.ndim != 3 or tokens.shape[1:] != expected:
            raise InputError(
                f"tokens have shape {tuple(tokens.shape)}; this Mixer takes (B, S, C) with "
                f"S = {expected[0]} and C = {expected[1]}"
            )
        for block in self.blocks:
            tokens = self._run(block, tokens)
        return self.norm(tokens)

    def feature_map(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> the tokens laid out as a map (B, C, h, w)."""
        return tokens_to_map(self(images), self.grid)

    def pyramid(self, images: Tensor, depths: Sequence[int] | None = None) -> list[Tensor]:
        """Maps (B, C, h, w) after `depths` blocks (1 is the first), each through the last norm.

        All have one scale: a Mixer is isotropic. By default four depths, evenly spaced, the last
        of them the last block (fewer where there are fewer than four blocks).
        """
        depths = even_depths(len(self.blocks)) if depths is None else sorted(set(depths))
        if not depths or depths[0] < 1 or depths[-1] > len(self.blocks):
            raise InputError(f"depths {depths} must lie in 1..{len(self.blocks)}, the blocks")
        tokens, maps = self.embed(images), []
        for depth, block in enumerate(self.blocks[: depths[-1]], start=1):
            tokens = self._run(block, tokens)
            if depth in depths:
                maps.append(tokens_to_map(self.norm(tokens), self.grid))
        return maps

    def embed(self, images: Tensor) -> Tensor:
        """The per-patch fully-connected layer: (B, 3, H, W) -> (B, S, C)."""
        check_images(images, self.config.in_channels, self.image_size)
        # contiguous: the sums down the residual stream would keep a transposed layout, and be slow
        return self.stem(images).flatten(2).transpose(1, 2).contiguous()

    def _run(self, block: MixerBlock, tokens: Tensor) -> Tensor:
        if self.config.grad_checkpointing and torch.is_grad_enabled():
            return checkpoint(block, tokens, use_reentrant=False)  # replays the random state too
        return block(tokens)


def spec_config(spec: str, **overrides) -> MixerConfig:
    """The MixerConfig of a column of Table 1, with fields replaced by `overrides`."""
    if spec not in SPECS:
        raise InputError(f"unknown Mixer {spec!r}; the paper's are {', '.join(SPECS)}")
    return free_config(*SPECS[spec], **overrides)


def free_config(blocks: int, width: int, patch: int | Sequence[int], **overrides) -> MixerConfig:
    """A Mixer of any size with the proportions of Table 1: D_S = C / 2, D_C = 4 C."""
    sizes = {"num_blocks": blocks, "hidden_dim": width, "patch_size": patch}
    mlps = {"tokens_mlp_dim": width // 2, "channels_mlp_dim": 4 * width}
    return checked_config({**sizes, **mlps, **overrides})


def checked_config(values: dict) -> MixerConfig:
    """MixerConfig(**values), where a wrong field is an InputError that names it."""
    try:
        return MixerConfig(**values)
    except TypeError as error:
        known = ", ".join(field.name for field in fields(MixerConfig))
        raise InputError(f"{error}; the fields of a Mixer are {known}") from error


def as_pair(name: str, size: int | Sequence[int]) -> tuple[int, int]:
    """(height, width) from one integer or from two (a list too: JSON has no tuples)."""
    pair = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(pair) != 2 or not all(isinstance(side, int) and side > 0 for side in pair):
        raise InputError(f"{name} is {size!r}; give one positive integer or (height, width)")
    return pair


def check_images(images: Tensor, in_channels: int, image_size: tuple[int, int]) -> None:
    """InputError unless images are (B, in_channels, *image_size)."""
    expected = (in_channels, *image_size)
    if images.ndim != 4 or images.shape[1:] != expected:
        raise InputError(
            f"images have shape {tuple(images.shape)}; this backbone takes (B, C, H, W) with "
            f"C = {in_channels}, H = {image_size[0]}, W = {image_size[1]}"
        )


def even_depths(blocks: int, count: int = 4) -> list[int]:
    """`count` depths in 1..blocks, evenly spaced, the last one `blocks`."""
    return sorted({math.ceil(blocks * i / count) for i in range(1, count + 1)})


def tokens_to_map(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, S, C) -> (B, C, h, w)."""
    return tokens.transpose(1, 2).unflatten(2, grid)


def drop_path(x: Tensor, rate: float, training: bool) -> Tensor:
    """Stochastic depth for each sample, x (B, ...); the kept ones are scaled by 1 / (1 - rate).

    The scale keeps the expectation, as in timm; big_vision's Mixer has none.
    """
    if rate == 0.0 or not training:
        return x
    keep = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(1 - rate)
    return x * keep.div_(1 - rate)


def _linear_over_tokens(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """weight (D, S) times x (B, S, C) -> (B, D, C), with no transposed copy of x in memory."""
    return torch.baddbmm(bias[:, None], weight.expand(x.shape[0], -1, -1), x)


def _lecun_normal(module: nn.Module) -> None:
    """The official init: truncated normal of variance 1 / fan_in, biases 0."""
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        fan_in = module.weight[0].numel()
        # .8796... is the std of a unit normal cut at 2, which jax divides by and trunc_normal_ not
        std = fan_in**-0.5 / 0.87962566103423978
        nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
        nn.init.zeros_(module.bias)
