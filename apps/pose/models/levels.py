"""Levels of a backbone's pyramid: their maps, shapes, and what of the backbone they need."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from core import InputError


def level_maps(backbone: nn.Module, images: Tensor, levels: tuple[int, ...]) -> list[Tensor]:
    """Maps (B, C, h, w) of the pyramid's ``levels`` (0 the finest); without any, `feature_map`."""
    if not levels:
        return [backbone.feature_map(images)]
    pyramid = backbone.pyramid(images)
    _check(levels, [tuple(level.shape[1:]) for level in pyramid])
    return [pyramid[i] for i in levels]


def level_shapes(
    backbone: nn.Module, levels: tuple[int, ...]
) -> tuple[list[tuple[int, int, int]], list[str]]:
    """(C, h, w) of each map, and the backbone's parameters that none of them depends on.

    Such parameters are the blocks above the highest level, or what an HRNet has to fuse levels that
    are not asked for. They must not be trained: processes would wait for their gradients.
    """
    ghost = _without_numbers(backbone).eval()
    images = torch.empty(1, 3, *backbone.image_size, device="meta")
    with torch.enable_grad():
        maps = level_maps(ghost, images, levels)
        names, parameters = zip(*ghost.named_parameters(), strict=True)
        total = sum(level.sum() for level in maps)
        gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    unused = [name for name, g in zip(names, gradients, strict=True) if g is None]
    return [tuple(level.shape[1:]) for level in maps], unused


def _without_numbers(backbone: nn.Module) -> nn.Module:
    """A copy on torch's meta device, where shapes and gradients' paths cost no arithmetic."""
    parameters = {id(p): nn.Parameter(p.to("meta")) for p in backbone.parameters()}
    buffers = {id(b): b.to("meta") for b in backbone.buffers()}
    return copy.deepcopy(backbone, {**parameters, **buffers})  # takes these for copied already


def _check(levels: tuple[int, ...], shapes: list[tuple[int, int, int]]) -> None:
    if list(levels) != sorted(set(levels)) or levels[0] < 0 or levels[-1] >= len(shapes):
        known = ", ".join(f"{i}: {c} x {h} x {w}" for i, (c, h, w) in enumerate(shapes))
        raise InputError(
            f"model.levels {levels}: give some of 0 to {len(shapes) - 1} in this order (channels x "
            f"height x width are {known})"
        )
