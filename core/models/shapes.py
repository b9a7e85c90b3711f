"""What every backbone says and checks about its configuration, sizes, grids and depths."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Tensor, nn

from core.errors import InputError
from core.sizes import as_pair as as_pair
from core.sizes import times as times

Grid = tuple[int, int]  # (h, w) tokens along the height and the width
DEEPEST = 1_000  # blocks one after another
TIMMS_OTHERS = {  # timm's words that mean nearly the same
    "img_size": "image_size, (height, width)",
    "embed_dim": "hidden_dim",
    "drop_rate": "dropout, after each layer of an MLP",
}


def config_from(kind: type, values: dict):
    """kind(**values), where a wrong field is an InputError that names it and the known ones.

    timm's words for the same are taken: `in_chans`, and `num_classes=0`.
    """
    try:
        return kind(**backbone_options(values, "in_channels", "in_chans"))
    except TypeError as error:
        known = ", ".join(field.name for field in fields(kind))
        timms = [word for word in TIMMS_OTHERS if word in values]
        hints = [f"{word}: timm's word; here it is {TIMMS_OTHERS[word]}" for word in timms]
        fields_of = f"the fields of {kind.__name__} are {known}"
        raise InputError("; ".join([str(error), *hints, fields_of])) from error


def backbone_options(options: dict, ours: str, theirs: str) -> dict:
    """The options under the name that a network has for its channels: `theirs` becomes `ours`.

    One is in_channels, the other timm's in_chans; `num_classes=0` is left out. Raises InputError
    where both are given and differ, and where a head is asked for.
    """
    options = dict(options)
    if options.pop("num_classes", 0):
        raise InputError(
            "num_classes: a backbone has no head; core.models.classifier.create_classifier("
            "name, num_classes=...) gives it one"
        )
    if theirs in options:
        value = options.pop(theirs)
        if options.setdefault(ours, value) != value:
            raise InputError("in_channels and in_chans are one thing here, and differ: give one")
    return options


def check_counts(config, *names: str) -> None:
    """InputError unless these fields are positive integers."""
    for name in names:
        if not isinstance(getattr(config, name), int) or getattr(config, name) < 1:
            raise InputError(f"{name} is {getattr(config, name)!r}; give a positive integer")


def check_depth(name: str, blocks: int) -> None:
    """InputError for more blocks than are made in a minute."""
    if blocks > DEEPEST:
        raise InputError(f"{name} is {blocks}; choose 1 to {DEEPEST:,}")


def check_rates(config, *names: str) -> None:
    """InputError unless these fields lie in [0, 1)."""
    for name in names:
        if not 0 <= getattr(config, name) < 1:
            raise InputError(f"{name} is {getattr(config, name)}; choose a number in [0, 1)")


def check_patches(image_size: tuple[int, int], patch_size: tuple[int, int]) -> None:
    """InputError unless whole patches fill the image; it names the next size that they do."""
    whole = tuple(-(-s // p) * p for s, p in zip(image_size, patch_size, strict=True))
    if whole != tuple(image_size):
        raise InputError(
            f"image_size {times(image_size)} is not a multiple of patch_size {times(patch_size)}: "
            f"choose {times(whole)} or another patch_size"
        )


def check_images(images: Tensor, in_channels: int, image_size: tuple[int, int]) -> None:
    """InputError unless images are (B, in_channels, *image_size)."""
    expected = (in_channels, *image_size)
    if images.ndim != 4 or images.shape[1:] != expected:
        raise InputError(
            f"images have shape {tuple(images.shape)}; this backbone takes (B, C, H, W) with "
            f"C = {in_channels}, H = {image_size[0]}, W = {image_size[1]}"
        )


def checked_sides(images: Tensor, patch_size: tuple[int, int]) -> tuple[int, int]:
    """(H, W) of images (B, C, H, W). Raises InputError where whole patches do not fill them."""
    if images.ndim != 4:
        raise InputError(f"images have shape {tuple(images.shape)}; give (B, C, H, W)")
    sides = images.shape[2], images.shape[3]
    if torch.jit.is_tracing():  # a trace has one size; its warning says so
        sides = int(sides[0]), int(sides[1])
    check_patches(sides, patch_size)
    return sides


def check_tokens(tokens: Tensor, grid: Grid, width: int) -> None:
    """InputError unless tokens are (B, h*w, width)."""
    expected = (grid[0] * grid[1], width)
    if tokens.ndim != 3 or tokens.shape[1:] != expected:
        raise InputError(
            f"tokens have shape {tuple(tokens.shape)}; this Mixer takes (B, S, C) with "
            f"S = {expected[0]} and C = {expected[1]}"
        )


def even_depths(blocks: int) -> list[int]:
    """Four depths in 1..blocks, evenly spaced, the last one `blocks`; fewer of fewer blocks."""
    return sorted({math.ceil(blocks * i / 4) for i in (1, 2, 3, 4)})


def checked_depths(depths: Sequence[int] | None, blocks: int) -> list[int]:
    """Depths in 1..blocks, sorted, each once; four even ones for None."""
    depths = even_depths(blocks) if depths is None else sorted(set(depths))
    if not depths or depths[0] < 1 or depths[-1] > blocks:
        raise InputError(f"depths {depths} must lie in 1..{blocks}, the blocks")
    return depths


def depths_in_order(network: nn.Module) -> tuple[dict[str, int], int]:
    """Depth by parameter name and the depth N of the last norm, of a network that registers its
    layers in order.

    What comes before the blocks has depth 0, the blocks have 1, 2, ..., and what stands between
    two stages of blocks goes with the block before it.
    """
    depths, depth, current = {}, 0, None
    for name, _ in network.named_parameters():
        block = re.match(r"(.*\.)?(conv_)?blocks\.\d+\.", name)
        if block and block[0] != current:
            depth, current = depth + 1, block[0]
        depths[name] = depth
    return {n: depth + 1 if n.startswith("norm.") else d for n, d in depths.items()}, depth + 1


def tokens_to_map(tokens: Tensor, grid: Grid) -> Tensor:
    """(B, S, C) -> (B, C, h, w)."""
    return tokens.transpose(1, 2).unflatten(2, grid)
