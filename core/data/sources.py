"""What a classifier is trained on, behind one call: image folders, packed files, Hub data sets,
streams, and formula-driven images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch.utils.data import Dataset

from core.data.fractals import FractalImages, FractalsConfig
from core.data.images import ImagesConfig, open_images

FRACTALS = "fractals"  # the root that stands for formula-driven images


def open_training(
    config: ImagesConfig, fractals: FractalsConfig, transform: Callable | None = None
) -> Dataset:
    """The training images of `config`: items {"image", "label"}, and `classes`, their names.

    Raises InputError where there is nothing to open (see `core.data.images`).
    """
    if config.root == FRACTALS:
        return FractalImages(fractals, transform)
    return open_images(config.root, config.split, transform)


def open_validation(
    config: ImagesConfig,
    fractals: FractalsConfig,
    held_out: int,
    transform: Callable | None = None,
) -> Dataset:
    """The validation images: of formulas, `held_out` instances of each that training does not see.

    With an endless supply of instances (`instances` 0) training draws from 2^48 of them, so that it
    meets one of these with a probability of next to nothing.
    """
    if config.root == FRACTALS:
        first = fractals.first + fractals.instances
        return FractalImages(replace(fractals, first=first, instances=held_out), transform)
    return open_images(config.root, config.split, transform)
