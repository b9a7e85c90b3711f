"""Predictors that learn next to nothing: what every figure has to be above.

    mean image          of the training images
    another photograph  a training image, drawn by the sample's number
    warped view         what is given, seen from the other place over a flat ground (`warping.py`)
    painted map         each class of the true map in its mean colour over the training images

The last is hard to beat in PSNR and SSIM wherever the map is given: it has every edge right.
Legend: B batch, H W image, K classes, n training images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from apps.crossview.config import Direction
from apps.crossview.data.pairs import Pairs
from apps.crossview.data.views import SIDES, Views
from apps.crossview.evaluation.warping import Camera, fit_camera, warp
from core.data.loading import BadSample
from core.data.samples import evenly_spaced
from core.errors import InputError

FITTED = 400  # training images, evenly over the set
WARPS = 40  # of them, that cameras are tried on
MEAN, OTHER, WARPED = "mean image", "another photograph", "warped view"
PAINTED = "painted map"
NAMES = (MEAN, OTHER, WARPED, PAINTED)


@dataclass(frozen=True)
class Baselines:
    """What the training images, all of one size, are on average; and the images."""

    mean: Tensor  # (3, H, W) in [-1, 1]
    colours: Tensor  # (K, 3) in [-1, 1]
    photographs: Tensor  # uint8 (n, 3, H, W)
    camera: Camera  # of the street
    direction: Direction
    seed: int = 0

    def predict(self, name: str, views: Views, index: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] for what is given and the samples' numbers (B,)."""
        ids = views.ids
        if name == WARPED:
            return warp(views.source, self.camera, self.direction, self.mean)
        if name == MEAN:
            return self.mean.to(ids.device).expand(len(ids), *self.mean.shape)
        if name == PAINTED:
            return self.colours.to(ids.device)[ids].movedim(-1, 1)
        chosen = [self._other(number) for number in index.tolist()]
        return (self.photographs[chosen].float() / 127.5 - 1).to(ids.device)

    def _other(self, number: int) -> int:
        """By the sample's number alone: the same photograph in any batch, on any process."""
        return int(np.random.default_rng([self.seed, number]).integers(len(self.photographs)))


def fit_baselines(train: Pairs, direction: Direction) -> Baselines:
    """From at most FITTED training pairs, unaugmented. Raises InputError where none can be read."""
    sources, images, maps = _training_views(train, *SIDES[direction])
    mean = images.float().mean(0) / 127.5 - 1
    colours = class_colours(images, maps, len(train.palette))
    targets = images[: len(sources)].float() / 127.5 - 1
    camera = fit_camera(sources.float() / 127.5 - 1, targets, direction, mean)
    return Baselines(mean, colours, images, camera, direction)


def class_colours(images: Tensor, maps: Tensor, classes: int) -> Tensor:
    """Mean colour of each class, (K, 3) in [-1, 1]; a class without a pixel has that of all pixels.

    images: uint8 (n, 3, H, W). maps: ids (n, H, W).
    """
    sums = torch.zeros(classes, 3, dtype=torch.float64)
    counts = torch.zeros(classes, dtype=torch.float64)
    for image, ids in zip(images, maps, strict=True):
        sums.index_add_(0, ids.flatten(), image.flatten(1).T.double())
        counts += torch.bincount(ids.flatten(), minlength=classes)
    average = sums.sum(0) / counts.sum()
    colours = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), average)
    return (colours / 127.5 - 1).float()


def _training_views(train: Pairs, source: str, target: str) -> tuple[Tensor, Tensor, Tensor]:
    """Images uint8 (n, 3, H, W) and maps (n, H, W) of the target's side; without maps all 0. Before
    them the source's side of the first ones."""
    sources, images, maps = [], [], []
    for index in evenly_spaced(len(train), FITTED):
        try:
            item = train[index]
        except BadSample:  # the loaders name it
            continue
        if len(sources) < WARPS:
            sources.append(_bytes(item[source]))
        images.append(_bytes(item[target]))
        maps.append(item.get(f"{target}_map", torch.zeros(train.config.size, dtype=torch.int64)))
    if not images:
        raise InputError(f"{train}: none of the training images can be read")
    return torch.stack(sources), torch.stack(images), torch.stack(maps)


def _bytes(image: Tensor) -> Tensor:
    return ((image + 1) * 127.5).round().byte()
