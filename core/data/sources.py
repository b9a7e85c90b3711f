"""Every factory of labelled images: what a root and a split stand for, behind one call each.

    fractals                            drawn from formulas (`core.data.fractals`)
    <root>/<split>-*.tar, ....tar       tar shards, streamed (`core.data.streams.shards`)
    hub:<name> with `stream`            a Hub data set, streamed (`core.data.streams.hub`)
    hub:<name>[@config][#columns]       a Hub data set, or a folder that `datasets` can read
                                        (`core.data.images.hub`)
    <file>.npz or <root>/<split>.npz    packed images (`core.data.images.packed`)
    <root>/<split>/<class>/<image>      class folders (`core.data.images.folders`)

Readers know nothing of each other: this is the one place that chooses between them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from core.data.fractals import FractalImages, FractalsConfig
from core.data.images.files import PILLOWS, PixelLimit
from core.data.images.folders import open_folder, open_pictures
from core.data.images.hub import open_hub
from core.data.images.labelled import ImagesConfig, LabelledImages, say
from core.data.images.packed import open_packed
from core.data.samples import stratified_split
from core.data.streams.hub import open_hub_stream
from core.data.streams.labelled import LabelledStream
from core.data.streams.shards import holds_shards, open_shards, stream_shards
from core.errors import InputError

FRACTALS = "fractals"  # the root that stands for formula-driven images
HELD_SEED = 0  # of what is held apart: the same images whatever a run's own seed is


def open_training(config: ImagesConfig, fractals: FractalsConfig) -> Dataset | LabelledStream:
    """The training images: items {"image", "label"}, and `classes`, their names.

    Raises InputError where there is nothing to open, and for a single class.
    """
    if config.root == FRACTALS:
        images = FractalImages(fractals)
    elif is_stream(config):
        images = open_stream(config)
    else:
        images = open_images(config.root, config.split, limit=config.limit("train"))
    if len(images.classes) < 2:
        raise InputError(
            f"{images} has the one class {images.classes[0]}: there is nothing to tell apart. "
            "Classes are the folders below the split"
        )
    return images


def open_unlabelled(config: ImagesConfig, fractals: FractalsConfig) -> Dataset | LabelledStream:
    """The training images where labels do not count: those of `open_training`, or any folder.

    A folder is read in any nesting, <root>/<split> alone where there is one; its items have the
    label 0. Raises InputError where there is nothing to open.
    """
    if config.root == FRACTALS:
        return FractalImages(fractals)
    if is_stream(config):
        return open_stream(config)
    path = Path(config.root).expanduser()
    if config.root and path.is_dir() and not (path / f"{config.split}.npz").is_file():
        return _within(open_pictures(path, config.split), config.limit("train"))
    return open_images(config.root, config.split, limit=config.limit("train"))


def open_validation(config: ImagesConfig, fractals: FractalsConfig, held_out: int) -> Dataset:
    """The validation images, by index: of tar shards, images are read where they lie.

    Of formulas, `held_out` instances of each that training does not see. With an endless supply
    (`instances` 0) it draws from 2^48 of them, so that it meets one with next to no probability.
    Raises InputError where there is nothing to open.
    """
    if config.root == FRACTALS:
        first = fractals.first + fractals.instances
        return FractalImages(replace(fractals, first=first, instances=held_out))
    if holds_shards(config.root, config.split):
        return _within(open_shards(config.root, config.split), config.limit("val"))
    return open_images(config.root, config.split, limit=config.limit("val"))


def held_apart(train: Dataset, val: Dataset, share: float) -> tuple[Dataset, Dataset]:
    """Training and validation images without one in common.

    Where both are all images of a root without splits, ``share`` of each class validates and the
    others train, drawn with a seed that no setting changes, and that is said. Others stay as they
    are. Raises InputError where no class has two images.
    """
    indexed = isinstance(train, LabelledImages) and isinstance(val, LabelledImages)
    if not indexed or not same_source(train.source, val.source):
        return train, val
    held = stratified_split(val.labels, share, HELD_SEED)  # (N,) bool
    if not held.any():
        raise InputError(f"{val}: no class has two images, one to train on and one to validate on")
    say(
        f"note: {val} has no splits: {held.sum():,} of its {len(val):,} images, a share of "
        f"{share:g} of each class, are held out of training and validate"
    )
    places = np.flatnonzero(held).tolist()
    if train.classes == val.classes:  # one reader, one order
        return train.at(np.flatnonzero(~held).tolist()), val.at(places)
    # pictures in any nesting have another order than class folders: known by their files
    paths = {os.path.relpath(val.read(i), val.source) for i in places}
    kept = [
        i for i in range(len(train)) if os.path.relpath(train.read(i), train.source) not in paths
    ]
    return train.at(kept), val.at(places)


def same_source(one: str, other: str) -> bool:
    """Whether two sources are one, however their paths are written."""
    there = os.path.exists(one) and os.path.exists(other)  # hub:... is no path
    return os.path.samefile(one, other) if there else one == other


def open_images(
    root: str, split: str, transform: Callable | None = None, limit: PixelLimit = PILLOWS
) -> LabelledImages:
    """The images of a folder, Hub data set or packed file, by index.

    Raises InputError where there is no such root or split, no class, or a class without images.
    """
    if not root:
        raise InputError(f"no {split} images given: the root is a folder, hub:<name> or a .npz")
    if root.startswith("hub:"):
        return _within(open_hub(root, split, transform), limit)
    path = Path(root).expanduser()
    packed = path if path.suffix == ".npz" else path / f"{split}.npz"
    if packed.is_file():
        return _within(open_packed(packed, transform), limit)
    if not path.is_dir():
        raise InputError(f"{root} is no folder and no packed .npz (a Hub data set is hub:<name>)")
    return _within(open_folder(path, split, transform), limit)


def _within(images: LabelledImages, limit: PixelLimit) -> LabelledImages:
    """Opened images, which have no limit yet, with this one."""
    images.limit = limit
    return images


def is_stream(config: ImagesConfig) -> bool:
    """Whether the images are to be streamed: tar shards always, a Hub data set where it says so."""
    return config.stream or holds_shards(config.root, config.split)


def open_stream(config: ImagesConfig, transform: Callable | None = None) -> LabelledStream:
    """The tar shards or the Hub data set of a configuration, as a stream.

    Raises InputError where there is no such root or split, or more is damaged than ``skip_bad``.
    """
    options = {"buffer": config.buffer, "retries": config.retries, "limit": config.limit("train")}
    if config.root.startswith("hub:"):
        return open_hub_stream(config.root, config.split, transform, **options)
    if not holds_shards(config.root, config.split):
        raise InputError(
            f"{config.root or 'no root'} cannot be streamed: tar shards "
            f"(<root>/{config.split}-*.tar) and hub:<name> can"
        )
    return stream_shards(config.root, config.split, transform, config.skip_bad, **options)
