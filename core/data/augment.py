"""From a picture to a training input: random crops and flips, by torchvision."""

from __future__ import annotations

from collections.abc import Callable

import torch

from core.errors import InputError


def train_transform(config, image_size: tuple[int, int], normalization) -> Callable:
    """A function of an RGB PIL image that gives a float tensor (3, H, W).

    config: `crop_area` (smallest and largest share of the picture that an Inception crop takes,
    aspect 3/4 to 4/3), `shift` (fraction of the size that a picture is padded by on each side,
    mirrored, before a crop of the size), `flip` (probability). It draws from torch's generator.
    """
    from torchvision.transforms import v2  # slow to import

    low, high = config.crop_area
    if not 0 < low <= high <= 1:
        raise InputError(
            f"augment.crop_area is {config.crop_area}: two shares, 0 < low <= high <= 1"
        )
    if low < 1:
        steps = [v2.RandomResizedCrop(image_size, scale=(low, high), antialias=True)]
    else:
        steps = [v2.Resize(image_size, antialias=True)]
    if config.shift:
        padding = [round(config.shift * side) for side in image_size[::-1]]
        steps.append(v2.RandomCrop(image_size, padding=padding, padding_mode="reflect"))
    to_tensor = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(*normalization)]
    return v2.Compose([*steps, v2.RandomHorizontalFlip(config.flip), *to_tensor])
