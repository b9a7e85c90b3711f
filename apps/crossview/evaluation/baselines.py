"""Predictors that learn next to nothing: what every figure has to be above.

    mean image          of the training images
    another photograph  a training image, drawn by the sample's number
    painted map         each class of the true map in its mean colour over the training images

The last is hard to beat in PSNR and SSIM wherever the map is given: it has every edge right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from apps.crossview.data.pairs import Pairs
from apps.crossview.data.views import SIDES, Direction
from core.data.loading import BadSample
from core.errors import InputError

FITTED = 400  # training images, evenly over the set
MEAN, OTHER, PAINTED = "mean image", "another photograph", "painted map"


@dataclass
class Floors:
    """What was seen of the training images, which are of one size."""

    mean: Tensor  # (3, H, W) in [-1, 1]
    colours: Tensor  # (K, 3)
    photographs: Tensor  # uint8 (n, 3, H, W)
    seed: int = 0

    def predict(self, name: str, ids: Tensor, index: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] for maps (B, H, W) and the samples' numbers (B,)."""
        if name == MEAN:
            return self.mean.to(ids.device).expand(len(ids), *self.mean.shape)
        if name == PAINTED:
            return self.colours.to(ids.device)[ids].movedim(-1, 1)
        chosen = [self._other(number) for number in index.tolist()]
        return (self.photographs[chosen].float() / 127.5 - 1).to(ids.device)

    def _other(self, number: int) -> int:
        return int(np.random.default_rng([self.seed, number]).integers(len(self.photographs)))


NAMES = (MEAN, OTHER, PAINTED)


def fit_floors(train: Pairs, direction: Direction) -> Floors:
    """Floors from at most FITTED training pairs, unaugmented; classes not seen are mean grey.

    Raises InputError where none can be read.
    """
    target, (height, width) = SIDES[direction][1], train.config.size
    sums, counts = (
        torch.zeros(len(train.palette), 3, dtype=torch.float64),
        torch.zeros(len(train.palette), dtype=torch.float64),
    )
    images = []
    for index in np.unique(np.linspace(0, len(train) - 1, FITTED).round().astype(int)).tolist():
        try:
            item = train[index]
        except BadSample:  # the loaders name it
            continue
        ids = item.get(f"{target}_map", torch.zeros(height, width, dtype=torch.int64)).flatten()
        sums.index_add_(0, ids, item[target].flatten(1).T.double())
        counts += torch.bincount(ids, minlength=len(counts))
        images.append(((item[target] + 1) * 127.5).round().byte())
    if not images:
        raise InputError(f"{train}: none of the training images can be read")
    seen = torch.stack(images)
    mean = torch.stack([image.float() for image in images]).mean(0) / 127.5 - 1
    grey = sums.sum(0) / counts.sum()
    colours = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), grey)
    return Floors(mean, colours.float(), seen)
