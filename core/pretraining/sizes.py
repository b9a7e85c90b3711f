"""Training at several image sizes: each step at one of them, drawn at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from core.errors import InputError
from core.models.network import ClassifierConfig
from core.ranges import Fractions
from core.sizes import as_pair


@dataclass(frozen=True)
class GrowthConfig:
    """How often a run meets each of its `model.sizes`, and from when on."""

    # for each size the share of the run where it begins; empty: 0
    start: Fractions = ()
    equal: Literal["steps", "pixels"] = "steps"  # each as often, or with as many pixels in all


def load_size(config: ClassifierConfig) -> tuple[int, int]:
    """(height, width) that images are loaded at: the largest, since steps shrink them.

    Raises InputError where a size is no positive number.
    """
    if config.sizes:
        return as_pair("model.sizes", max(config.sizes))
    return as_pair("model.image_size", config.image_size)


def all_sizes(config: ClassifierConfig) -> list[tuple[int, int]]:
    """(height, width) of every size that a step may have."""
    sides = config.sizes or [config.image_size]
    return [as_pair("model.sizes", side) for side in sides]


def check_growth(sizes: tuple[int, ...], growth: GrowthConfig) -> None:
    """InputError where a size has no start, a run would begin with none, or there are no sizes."""
    start = growth.start
    if growth.equal != "steps" and not sizes:
        raise InputError(
            f"growth.equal is {growth.equal}, but model.sizes names no sizes: name some, or choose "
            "growth.equal steps"
        )
    if start and (len(start) != len(sizes) or min(start) != 0 or max(start) >= 1):
        raise InputError(
            f"growth.start is {start}: a share of the run below 1 for each of model.sizes {sizes}, "
            "0 for one of them at least"
        )


def step_size(
    config: ClassifierConfig, growth: GrowthConfig, seed: int, step: int, steps: int
) -> tuple[int, int]:
    """(height, width) of optimizer step `step` (from 1) of `steps`: a hash of seed and step.

    All processes and micro-batches of a step have one size.
    """
    if not config.sizes:
        return as_pair("model.image_size", config.image_size)
    start = growth.start or [0.0] * len(config.sizes)
    begun = [size for size, at in zip(config.sizes, start, strict=True) if at <= (step - 1) / steps]
    rng = np.random.default_rng((seed, step))
    if growth.equal == "steps":
        side = begun[rng.integers(len(begun))]
    else:
        weights = np.array([size**-2.0 for size in begun])
        side = rng.choice(begun, p=weights / weights.sum())
    return int(side), int(side)


def shrunk(images: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, 3, H, W) -> (B, 3, h, w), antialiased; of that size already: unchanged."""
    if images.shape[-2:] == size:
        return images
    return F.interpolate(images, size, mode="bilinear", antialias=True)
