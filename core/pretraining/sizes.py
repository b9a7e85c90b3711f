"""Training at several image sizes: loaded at the largest, shrunk to one of them at each step."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from core.models.network import ClassifierConfig
from core.sizes import as_pair


def load_size(config: ClassifierConfig) -> tuple[int, int]:
    """(height, width) that images are loaded at: the largest, since steps shrink them.

    Raises InputError where a size is no positive number.
    """
    if config.sizes:
        return as_pair("model.sizes", max(config.sizes))
    return as_pair("model.image_size", config.image_size)


def at_random_size(images: Tensor, sizes: tuple[int, ...], key: tuple[int, ...]) -> Tensor:
    """(B, 3, H, W) -> (B, 3, s, s), s one of `sizes` by a hash of `key`; no sizes: unchanged.

    With (seed, step) as the key, all processes and micro-batches of a step have one size.
    """
    if not sizes:
        return images
    size = sizes[np.random.default_rng(key).integers(len(sizes))]
    return F.interpolate(images, (size, size), mode="bilinear", antialias=True)
