"""Images whose patches or pixels are shuffled, all alike (Figure 4 of MLP-Mixer, arXiv 2105.01601).

Two permutations, each the same for all images: "patches" changes the order of the patches and, in
every patch alike, the order of its pixels; "pixels" changes the order of all pixels of the image.
`core/evaluation/shuffle.py` shows shuffled images to trained networks; `--augment.shuffle` of
core/pretrain.py trains and evaluates on them, by the same permutations.

Legend: B batch, H W image, ph pw patch, S patches, h w their grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from core.data.augment import AugmentConfig
from core.errors import InputError


class Permutations(NamedTuple):
    """`order` (S,) of the patches, `pixels` (ph*pw,) in each of them, `everywhere` (H*W,)."""

    order: Tensor
    pixels: Tensor
    everywhere: Tensor


def random_permutations(
    seed: int, image_size: tuple[int, int], patch: tuple[int, int]
) -> Permutations:
    """Permutations of an image of (H, W) in patches (ph, pw): a pure function of the arguments."""
    grid = _grid(image_size, patch)
    sizes = (grid[0] * grid[1], patch[0] * patch[1], image_size[0] * image_size[1])
    generator = np.random.default_rng(seed)
    return Permutations(*(torch.from_numpy(generator.permutation(size)) for size in sizes))


def shuffle_pixels(images: Tensor, order: Tensor) -> Tensor:
    """Pixel i of the result, row by row, is pixel order[i] of the images (B, C, H, W)."""
    return images.flatten(2)[:, :, order.to(images.device)].view(images.shape)


def shuffle_patches(
    images: Tensor, patch: tuple[int, int], order: Tensor, pixels: Tensor
) -> Tensor:
    """Patch s of the result is patch order[s] of the images (B, C, H, W), its pixel i theirs
    pixels[i]; both are counted row by row."""
    return shuffle_pixels(images, patch_order(images.shape[2:], patch, order, pixels))


def patch_order(
    image_size: tuple[int, int], patch: tuple[int, int], order: Tensor, pixels: Tensor
) -> Tensor:
    """The (H*W,) permutation for `shuffle_pixels` that does what `shuffle_patches` says."""
    (h, w), (ph, pw) = _grid(image_size, patch), patch
    positions = torch.arange(h * ph * w * pw).view(h, ph, w, pw).transpose(1, 2)  # (h, w, ph, pw)
    # (S, ph*pw): a row for each patch, the numbers of its pixels in the image
    positions = positions.reshape(h * w, ph * pw)[order.cpu()][:, pixels.cpu()]
    return positions.view(h, w, ph, pw).transpose(1, 2).flatten()  # back to the order of rows


@dataclass(frozen=True)
class Shuffle:
    """Images (B, 3, H, W) of any size with their patches or pixels in an order that never changes.

    kind: "none", "patches" or "pixels"; patch (ph, pw); seed of the permutations.
    """

    kind: str
    patch: tuple[int, int]
    seed: int = 0

    def __call__(self, images: Tensor) -> Tensor:
        if self.kind == "none":
            return images
        return shuffle_pixels(images, _order(self.kind, self.patch, self.seed, images.shape[2:]))


@cache
def _order(kind: str, patch: tuple[int, int], seed: int, size: tuple[int, int]) -> Tensor:
    """(H*W,): where each pixel comes from."""
    drawn = random_permutations(seed, tuple(size), patch)
    if kind == "pixels":
        return drawn.everywhere
    return patch_order(tuple(size), patch, drawn.order, drawn.pixels)


def training_shuffle(
    config: AugmentConfig, stride: tuple[int, int], sizes: list[tuple[int, int]]
) -> Shuffle:
    """The shuffle of a configuration; patches are of the network's `stride` if it names no patch.

    Raises InputError where images of one of the sizes cannot be cut into them.
    """
    patch = (config.shuffle_patch,) * 2 if config.shuffle_patch else tuple(stride)
    for size in sizes if config.shuffle != "none" else []:
        _grid(size, patch)
    return Shuffle(config.shuffle, patch, config.shuffle_seed)


class ShuffledTransform:
    """`transform` of a picture, then shuffled; an object, for loader processes."""

    def __init__(self, transform: Callable, shuffle: Shuffle):
        self.transform, self.shuffle = transform, shuffle

    def __call__(self, image) -> Tensor:
        return self.shuffle(self.transform(image)[None])[0]


def _grid(image_size: tuple[int, int], patch: tuple[int, int]) -> tuple[int, int]:
    (height, width), (ph, pw) = image_size, patch
    if min(patch) < 1 or height % ph or width % pw:
        raise InputError(
            f"images of {height}x{width} cannot be cut into patches of {ph}x{pw}: choose a side "
            "that divides theirs (--augment.shuffle-patch in training, else --patch)"
        )
    return height // ph, width // pw
