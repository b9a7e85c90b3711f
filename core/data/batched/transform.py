"""`core.data.augment.train_transform` for a batch on its device, every sample its own way."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from core.data.augment import JITTERED, AugmentConfig, check_augment, jitter_reach
from core.data.batched import colours, geometry
from core.data.batched.draws import COLUMNS, Draws
from core.data.batched.policies import (
    Layer,
    auto_augment,
    moves,
    rand_augment,
    recolour,
    trivial_augment,
)

GREY = 128.0  # what moves in where a picture is turned, sheared or shifted, as timm's


class BatchTransform:
    """uint8 (B, 3, h, w) and their draws -> float (B, 3, H, W), normalised.

    What `train_transform` does to one picture, in its order: crop, shift, flips, RandAugment or
    another policy, colour jitter, grey, normalization, random erasing. `columns` are the draws that
    a sample needs at most. All that moves pixels is one map, sampled once,
    bilinear; a result smaller than what is held is sampled there and shrunk, antialiased. With
    `shift`, what lies outside is mirrored about the edge of the picture, which a crop does not
    reach the end of. Raises InputError for a value that is out of its range.
    """

    def __init__(self, config: AugmentConfig, normalization: tuple[Sequence[float], ...]):
        check_augment(config)
        self.config = config
        self.columns = COLUMNS + (8 if config.jitter or config.grey else 0)
        self.mean, self.std = (torch.tensor(v).view(1, -1, 1, 1) for v in normalization)

    def __call__(
        self, images: Tensor, draws: Draws, size: tuple[int, int], noise: torch.Generator
    ) -> Tensor:
        """size: (H, W) of the result; noise: of the images' device, for random erasing."""
        count = len(images)
        layers = self._layers(draws, size)
        maps, moved = self._crop(draws, count, size), None
        if layers:
            moved = moves(layers, size)
            maps, moved = maps @ moved, moved.to(images.device)
        pixels = geometry.sample(images.float(), maps.to(images.device), size, moved, GREY)
        if layers:
            pixels = recolour(pixels, layers)
        if self.config.jitter:
            pixels = colours.jitter(pixels, draws, jitter_reach(self.config.jitter), JITTERED)
        if self.config.grey:
            pixels = colours.greyed(pixels, draws, self.config.grey)
        pixels = (pixels / 255 - self.mean.to(pixels)) / self.std.to(pixels)
        if self.config.erasing:
            erase(pixels, draws, self.config.erasing, noise)
        return pixels

    def _layers(self, draws: Draws, size: tuple[int, int]) -> list[Layer]:
        layers = []
        if self.config.randaugment:
            layers += rand_augment(draws, self.config.randaugment)
        if self.config.policy == "trivialaugment":
            layers += trivial_augment(draws, max(size))
        if self.config.policy == "autoaugment":
            layers += auto_augment(draws)
        return layers

    def _crop(self, draws: Draws, count: int, size: tuple[int, int]) -> Tensor:
        """What the crop, the shift and the flips do: (B, 3, 3)."""
        config, maps = self.config, geometry.identity(count)
        if config.crop_area[0] < 1:
            maps = geometry.random_crop(draws, config.crop_area)
        elif config.margin > 1:
            side = torch.full((count,), 1 / config.margin)
            maps = geometry.window(draws, side, side)
        if config.shift:
            reach = tuple(round(config.shift * side) for side in size)
            maps = maps @ geometry.shift(draws, count, reach, size)
        return maps @ geometry.flips(draws, count, config.flip, config.vertical_flip)


def erase(pixels: Tensor, draws: Draws, probability: float, noise: torch.Generator) -> None:
    """Random erasing of (B, 3, H, W), in place: as `core.data.augment`'s, of timm's constants.

    A rectangle of 2 % to 33 % of the area, at an aspect of 0.3 to 1/0.3; where it does not fit in,
    its longer side is the picture's.
    """
    height, width = pixels.shape[-2:]
    chosen, area = draws.chance(probability), draws.between(0.02, 1 / 3) * height * width
    aspect = torch.exp(draws.between(*torch.tensor([0.3, 1 / 0.3]).log().tolist()))
    rows = _stretch(draws, (area * aspect).sqrt(), height) & chosen[:, None]  # (B, H)
    columns = _stretch(draws, (area / aspect).sqrt(), width)  # (B, W)
    erased = (rows[:, None, :, None] & columns[:, None, None, :]).to(pixels.device)
    values = torch.randn(pixels.shape, generator=noise, device=pixels.device)
    pixels.copy_(torch.where(erased, values, pixels))


def _stretch(draws: Draws, length: Tensor, side: int) -> Tensor:
    """(B, side): True on a stretch of `length` (B,) pixels, anywhere within."""
    length = length.round().clamp(1, side)
    first = (draws.take() * (side - length + 1)).floor()
    place = torch.arange(side)
    return (place >= first[:, None]) & (place < (first + length)[:, None])
