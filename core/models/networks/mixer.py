"""MLP-Mixer: An all-MLP Architecture for Vision (Tolstikhin et al. 2021, arXiv 2105.01601).

Legend: B batch, H W image, ph pw patch, h w = H/ph W/pw the grid, S = h*w tokens, C channels
(hidden width), D_S and D_C hidden sizes of the token-mixing and channel-mixing MLPs.

A Mixer is a per-patch embedding and L blocks `U = X + tokenMLP(LN(X)); Y = U + channelMLP(LN(U))`
(equation 1), then a LayerNorm. It has no position embedding, and here no head: heads belong to
whoever uses it. Parameters carry timm's names, so that weights of both are the same but for `stem`.

Inside, tokens come first, (S, B, C), which is how token mixing multiplies them (mlp.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from core.errors import InputError
from core.models.networks.mixer_config import MixerConfig, spec_config
from core.models.networks.mlp import ChannelMlp, TokenMlp, drop_path, drop_rates
from core.models.networks.resize import Maps, grid_maps, is_known, resize_token_mlp
from core.models.room import check_room
from core.models.shapes import (
    Grid,
    check_images,
    check_tokens,
    checked_depths,
    checked_sides,
    depths_in_order,
    times,
    tokens_to_map,
)

# What looks at the values of shapes is one node each in a graph of torch.fx, which has none.
for leaf in ("check_images", "check_tokens", "checked_sides", "drop_path", "grid_maps"):
    torch.fx.wrap(leaf)

PARTS = ("block", "token_mixing", "channel_mixing")  # what forward_intermediates can give


class MixerBlock(nn.Module):
    """Equation 1 on (S, B, C). `token_mixing` and `channel_mixing` leave the skip to the caller."""

    def __init__(self, config: MixerConfig, drop_rate: float = 0.0):
        super().__init__()
        dim = config.hidden_dim
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        options = {"gelu": config.gelu, "dropout": config.dropout}
        self.mlp_tokens = TokenMlp(config.num_tokens, config.tokens_mlp_dim, **options)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp_channels = ChannelMlp(dim, config.channels_mlp_dim, **options)
        self.drop_rate = drop_rate

    def token_mixing(self, x: Tensor, maps: Maps | None = None) -> Tensor:
        """W2 gelu(W1 LN(X)): (S, B, C) -> (S, B, C), the same for every channel; no skip."""
        return self.mlp_tokens(self.norm1(x), maps)

    def channel_mixing(self, x: Tensor) -> Tensor:
        """W4 gelu(W3 LN(U)): (S, B, C) -> (S, B, C), the same for every token; no skip."""
        if not torch.jit.is_scripting() and isinstance(x.shape[0], torch.SymInt):
            # In a graph that torch.export makes with S free, its reshape of (S, B, C) refuses B = 1
            return self.mlp_channels(self.norm2(x.transpose(0, 1))).transpose(0, 1)
        return self.mlp_channels(self.norm2(x))

    def forward(self, x: Tensor, maps: Maps | None = None) -> Tensor:  # (S, B, C)
        x = x + self.drop(self.token_mixing(x, maps))
        return x + self.drop(self.channel_mixing(x))

    def drop(self, x: Tensor) -> Tensor:
        """Stochastic depth."""
        return drop_path(x, self.drop_rate, self.training, sample_axis=1)


class Mixer(nn.Module):
    """The paper's network without its head: images (B, 3, H, W) -> tokens (B, S, C)."""

    __constants__ = ("any_size",)  # torch.jit.script leaves out what it rules out

    def __init__(self, config: MixerConfig):
        super().__init__()
        self.num_features, self.stride = config.hidden_dim, config.patch_size
        self.normalization = ((0.5,) * config.in_channels, (0.5,) * config.in_channels)
        self.stem = nn.Conv2d(config.in_channels, self.num_features, self.stride, self.stride)
        rates = drop_rates(config.stochastic_depth, config.num_blocks)
        self.blocks = nn.ModuleList(MixerBlock(config, rate) for rate in rates)
        self.norm = nn.LayerNorm(config.hidden_dim, eps=1e-6)
        self.apply(_lecun_normal)
        self._configure(config)

    def _configure(self, config: MixerConfig) -> None:
        self.in_channels, self.any_size = config.in_channels, config.any_size
        self.config, self.image_size, self.grid = config, config.image_size, config.grid

    @classmethod
    def from_spec(cls, spec: str, image_size: int | Sequence[int] = 224, **overrides) -> Mixer:
        """A column of Table 1, e.g. `Mixer.from_spec("B/16")`; overrides are MixerConfig fields."""
        return cls(spec_config(spec, image_size=image_size, **overrides))

    def describe(self) -> dict:
        """What `backbone_from_description` builds the same network from; JSON can hold it."""
        return {"name": "mixer", **asdict(self.config)}

    def layer_depths(self) -> tuple[dict[str, int], int]:
        """Depth by parameter name, and N, the last norm's: 0 the stem, 1, 2, ... the blocks."""
        return depths_in_order(self)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> tokens (B, S, C) after the last LayerNorm, row by row of the grid."""
        return self.forward_features(images)

    def forward_features(self, images: Tensor) -> Tensor:
        """The tokens (B, S, C), by timm's name; also of a subclass whose `forward` gives others."""
        return self.forward_tokens(self.embed(images), self._grid_of(images))

    def forward_tokens(self, tokens: Tensor, grid: Grid | None = None) -> Tensor:
        """Mix tokens that need not come from an image: (B, S, C) -> (B, S, C), normalised.

        `grid` (h, w) is for `any_size` alone, where S may be another than the configuration's.
        """
        if grid is None or not self.any_size:
            grid = self.grid
        if not torch.jit.is_scripting():
            check_tokens(tokens, grid, self.num_features)
        # tokens first, in memory too: token mixing multiplies them where they lie
        x, maps = tokens.transpose(0, 1).contiguous(), self._maps(grid)  # (S, B, C)
        for block in self.blocks:
            x = block(x, maps) if torch.jit.is_scripting() else self._run(block, x, maps)
        return self.norm(x).transpose(0, 1)

    def feature_map(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> the tokens laid out as a map (B, C, h, w)."""
        # by a call, for hooks (FSDP's among them), but of a subclass whose `forward` gives others
        call = self if type(self).forward is Mixer.forward else self.forward_features
        return tokens_to_map(call(images), self._grid_of(images))

    def pyramid(self, images: Tensor, depths: Sequence[int] | None = None) -> list[Tensor]:
        """Maps (B, C, h, w) after `depths` blocks (1 is the first), each through the last norm.

        All have one scale: a Mixer is isotropic. By default four depths, evenly spaced, the last
        of them the last block (fewer where there are fewer than four blocks).
        """
        return list(self.forward_intermediates(images, depths).values())

    def forward_intermediates(
        self,
        images: Tensor,
        depths: Sequence[int] | None = None,
        of: Sequence[str] = ("block",),
        output: str = "map",
        norm: bool = True,
    ) -> dict[str, Tensor]:
        """Features at `depths` (1 is the first block; four by default): {"block_3": ..., ...}.

        of: "block" (what leaves the block, through the last LayerNorm unless `norm` is False),
        "token_mixing", "channel_mixing" (what each MLP adds to the residual stream).
        output: "map" (B, C, h, w), "tokens" (B, S, C) or "pooled" (B, C), the mean over tokens.
        """
        depths, grid = checked_depths(depths, len(self.blocks)), self._grid_of(images)
        shape = _choose("output", output, _outputs(grid))
        for kind in of:
            _choose("of", kind, PARTS)
        tokens, features = self.embed(images), {}
        x, maps = tokens.transpose(0, 1), self._maps(grid)
        for depth, block in enumerate(self.blocks[: depths[-1]], start=1):
            if depth not in depths or tuple(of) == ("block",):
                parts = {"block": self._run(block, x, maps)}
            else:
                parts = _parts(block, x, maps)
            x = parts["block"]
            if depth in depths:
                parts["block"] = self.norm(x) if norm else x
                kept = {f"{kind}_{depth}": parts[kind].transpose(0, 1) for kind in of}
                features.update({name: shape(value) for name, value in kept.items()})
        return features

    def embed(self, images: Tensor) -> Tensor:
        """The per-patch fully-connected layer: (B, 3, H, W) -> (B, S, C)."""
        self._grid_of(images)
        tokens_first = self.stem(images).flatten(2).permute(2, 0, 1).contiguous()
        return tokens_first.transpose(0, 1)

    def set_image_size(self, image_size: int | Sequence[int], resize: str = "auto") -> None:
        """Move to another `image_size`, in place: token mixing is resized (resize.py).

        Its parameters are new ones, frozen where the old ones were: build the optimizer afterwards.
        `exact` multiplies D_S. Raises InputError where patches do not fit the size, where `resize`
        does not apply, and where token mixing has other layers than its own (adapters, int8).
        """
        config = replace(self.config, image_size=image_size)
        if config.grid == self.grid:
            return
        check_room(partial(Mixer, config), f"this Mixer at {times(config.image_size)}")
        if resize == "auto" and config.any_size:
            resize = "pi"  # what it was trained with
        old = [block.mlp_tokens.own_weights() for block in self.blocks]
        new = [resize_token_mlp(weights, self.grid, config.grid, resize) for weights in old]
        for block, weights in zip(self.blocks, new, strict=True):
            block.mlp_tokens.replace_weights(weights)
        hidden = self.blocks[0].mlp_tokens.fc1.out_features
        self._configure(replace(config, tokens_mlp_dim=hidden))

    def _grid_of(self, images: Tensor) -> Grid:
        """(h, w) of checked images."""
        size = self.image_size
        if self.any_size:
            size = checked_sides(images, self.stride)
        if not torch.jit.is_scripting():
            check_images(images, self.in_channels, size)
        return size[0] // self.stride[0], size[1] // self.stride[1]

    def _maps(self, grid: Grid) -> Maps | None:
        """To another grid and back, where `any_size` needs it; None at the weights' own grid."""
        if not self.any_size:
            return None
        if is_known(grid) and grid == self.grid:
            return None
        return grid_maps(self.grid, grid, self.norm.weight)

    def _run(self, block: MixerBlock, x: Tensor, maps: Maps | None) -> Tensor:
        if self.config.grad_checkpointing and torch.is_grad_enabled():
            return checkpoint(block, x, maps, use_reentrant=False)  # replays the random state too
        return block(x, maps)


def _parts(block: MixerBlock, x: Tensor, maps: Maps | None) -> dict[str, Tensor]:
    """A block's output, and what its two MLPs add on the way: (S, B, C) each."""
    tokens = block.token_mixing(x, maps)
    x = x + block.drop(tokens)
    channels = block.channel_mixing(x)
    return dict(zip(PARTS, (x + block.drop(channels), tokens, channels), strict=True))


def _outputs(grid: Grid) -> dict[str, Callable[[Tensor], Tensor]]:
    """The shapes that forward_intermediates gives: from (B, S, C)."""
    return {
        "map": lambda tokens: tokens_to_map(tokens, grid),
        "tokens": lambda tokens: tokens,
        "pooled": lambda tokens: tokens.mean(1),
    }


def _choose(what: str, name: str, known):
    if name not in known:
        raise InputError(f"{what} is {name!r}; choose {', '.join(known)}")
    return known[name] if isinstance(known, dict) else name


def _lecun_normal(module: nn.Module) -> None:
    """The official init: truncated normal of variance 1 / fan_in, biases 0."""
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        fan_in = module.weight[0].numel()
        # .8796... is the std of a unit normal cut at 2, which jax divides by and trunc_normal_ not
        std = fan_in**-0.5 / 0.87962566103423978
        nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
        nn.init.zeros_(module.bias)
