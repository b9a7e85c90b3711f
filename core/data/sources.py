"""What a classifier is trained and evaluated on, behind one call.

fractals                            drawn from formulas (`core.data.fractals`)
<root>/<split>-*.tar, ....tar       tar shards, streamed (`core.data.streams.shards`)
hub:<name> with `stream`            a Hub data set, streamed (`core.data.streams.hub`)
folders, hub:<name>, packed .npz    by index (`core.data.images.labelled`)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch.utils.data import Dataset

from core.data.fractals import FractalImages, FractalsConfig
from core.data.images.labelled import ImagesConfig, open_images
from core.data.streams.labelled import LabelledStream, is_stream, open_stream
from core.data.streams.shards import holds_shards, open_shards
from core.errors import InputError

FRACTALS = "fractals"  # the root that stands for formula-driven images


def open_training(
    config: ImagesConfig, fractals: FractalsConfig, transform: Callable | None = None
) -> Dataset | LabelledStream:
    """The training images: items {"image", "label"}, and `classes`, their names.

    Raises InputError where there is nothing to open, and for a single class.
    """
    if config.root == FRACTALS:
        images = FractalImages(fractals, transform)
    elif is_stream(config):
        images = open_stream(config, transform)
    else:
        images = open_images(config.root, config.split, transform)
    if len(images.classes) < 2:
        raise InputError(
            f"{images} has the one class {images.classes[0]}: there is nothing to tell apart. "
            "Classes are the folders below the split"
        )
    return images


def open_validation(
    config: ImagesConfig,
    fractals: FractalsConfig,
    held_out: int,
    transform: Callable | None = None,
) -> Dataset:
    """The validation images, by index: of tar shards, images are read where they lie.

    Of formulas, `held_out` instances of each that training does not see. With an endless supply
    (`instances` 0) it draws from 2^48 of them, so that it meets one with next to no probability.
    """
    if config.root == FRACTALS:
        first = fractals.first + fractals.instances
        return FractalImages(replace(fractals, first=first, instances=held_out), transform)
    if holds_shards(config.root, config.split):
        return open_shards(config.root, config.split, transform)
    return open_images(config.root, config.split, transform)
