"""The sizes of a Mixer: Table 1 of the paper, and any others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import InputError
from core.memory import check_image
from core.models.shapes import (
    Grid,
    as_pair,
    check_counts,
    check_depth,
    check_patches,
    check_rates,
    config_from,
)

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
MIXERS = {"mixer_" + spec.replace("/", "").lower(): spec for spec in SPECS}  # by name


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
    any_size: bool = False  # take images of any multiple of the patch: mixing resized on the fly

    def __post_init__(self):
        object.__setattr__(self, "image_size", as_pair("image_size", self.image_size))
        check_image("image_size", self.image_size)
        object.__setattr__(self, "patch_size", as_pair("patch_size", self.patch_size))
        check_counts(self, "hidden_dim", "num_blocks", "tokens_mlp_dim", "channels_mlp_dim")
        check_counts(self, "in_channels")
        check_depth("num_blocks", self.num_blocks)
        check_rates(self, "dropout", "stochastic_depth")
        check_patches(self.image_size, self.patch_size)
        if self.gelu not in ("tanh", "exact"):
            raise InputError(f'gelu is {self.gelu!r}; choose "tanh" or "exact"')

    @property
    def grid(self) -> Grid:
        """(h, w), tokens along the height and the width."""
        return self.image_size[0] // self.patch_size[0], self.image_size[1] // self.patch_size[1]

    @property
    def num_tokens(self) -> int:
        """S = h * w."""
        return self.grid[0] * self.grid[1]


def spec_config(spec: str, **overrides) -> MixerConfig:
    """The MixerConfig of a column of Table 1, with fields replaced by `overrides`."""
    if spec not in SPECS:
        raise InputError(f"unknown Mixer {spec!r}; the paper's are {', '.join(SPECS)}")
    return free_config(*SPECS[spec], **overrides)


def free_config(blocks: int, width: int, patch: int | Sequence[int], **overrides) -> MixerConfig:
    """A Mixer of any size with the proportions of Table 1: D_S = C / 2, D_C = 4 C."""
    sizes = {"num_blocks": blocks, "hidden_dim": width, "patch_size": patch}
    mlps = {"tokens_mlp_dim": width // 2, "channels_mlp_dim": 4 * width}
    return config_from(MixerConfig, {**sizes, **mlps, **overrides})


def mixer_name(blocks: int, width: int, patch: int | Sequence[int]) -> str:
    """The name that `create_backbone` has for a Mixer of these sizes, Table 1's if it has them."""
    height, across = as_pair("patch_size", patch)
    for name, spec in MIXERS.items():
        if SPECS[spec] == (blocks, width, height) and height == across:
            return name
    size = f"{height}" if height == across else f"{height}x{across}"
    return f"mixer_c{width}_l{blocks}_p{size}"
