"""Paintings with their styles, from wherever they lie.

    <root>, with <root>/Style or --data.lists   an ArtGAN copy and its official lists
    <root>                                      any images that core's `open_images` opens
    --data.csv FILE                             a csv file with the columns path, class[, split]
    hub:<name>#<label column>                   a Hub data set; with --data.stream not downloaded

A split is made before classes are dropped: a painting is on the same side in 21 classes as in 27.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np

from apps.style.config import DataConfig
from apps.style.data.files import Reporter, present_files
from apps.style.data.lists import SIDES
from apps.style.data.protocols import known_classes, protocol
from apps.style.data.sides import folder_of_lists, open_all, sides_of
from apps.style.data.splits import long_tailed
from apps.style.data.stream_split import InTurn, open_stream_side
from core.config import did_you_mean
from core.data.images.labelled import LabelledImages, some_of
from core.data.samples import tuning_split
from core.data.streams.labelled import LabelledStream
from core.errors import InputError
from core.ranges import check_ranges


def open_paintings(
    config: DataConfig,
    split: Literal["train", "val"],
    transform: Callable | None = None,
    report: Reporter = print,
) -> LabelledImages | LabelledStream | InTurn:
    """One side of the split: items {"image", "label"}; `classes` are the names, for both the same.

    LabelledImages; of a stream LabelledStream to train on, and `InTurn` to validate. `report` takes
    lines about what is left out. Raises InputError for what cannot be opened, for listed files that
    are missing beyond `skip_bad`, and for a class without training paintings.
    """
    _check(config, split)
    if config.tune_share:
        images = open_paintings(replace(config, tune_share=0.0), "train", transform, report)
        return images.at(tuning_split(images.labels, config.tune_share)[split == "val"])
    if config.stream:
        return open_stream_side(config, split, transform)
    images, sides = open_all(config, split)
    places = np.flatnonzero(sides_of(config, images, sides, split, report) == split)
    if config.csv or folder_of_lists(config):  # listed files may be missing; those of folders not
        paths = {int(i): str(images.read(i)) for i in places}
        places = present_files(paths, config.skip_bad, report)
    if split == "train" and config.long_tail > 1:
        labels = np.asarray(images.labels)[places]
        places = np.asarray(places)[long_tailed(labels, config.long_tail, config.seed)]
    options = {"transform": transform, "limit": config.limit}
    side = _in_classes(images, config.classes, places, _source(config, split), **options)
    _check_classes(side, split, report)
    return side


def class_counts(images: LabelledImages | LabelledStream) -> np.ndarray:
    """Images of each class: (K,) int64. Raises InputError for a stream, which does not know."""
    if isinstance(images, LabelledStream):
        raise InputError(
            f"{images} is a stream, and does not tell how many images its classes have: train "
            "with --loss.name plain or focal, or without --data.stream"
        )
    return np.bincount(images.labels, minlength=len(images.classes))


def _check(config: DataConfig, split: str) -> None:
    if split not in SIDES:
        raise InputError(f"unknown split {split!r}.{did_you_mean(split, SIDES)}")
    if config.csv and config.lists:
        raise InputError("data.csv and data.lists are given: take one of them")
    if not (config.root or config.csv):
        raise InputError("no paintings given: data.root is a folder or hub:<name>, data.csv a file")
    check_ranges(config, "data.")
    if (config.long_tail > 1 or config.tune_share) and config.stream:
        raise InputError("data.long_tail and data.tune_share are of paintings that are no stream")


def _source(config: DataConfig, split: str) -> str:
    drawn = f", share {config.val_share:g}, seed {config.seed}" * (config.split != "official")
    classes = f", {config.classes} classes" * bool(config.classes)
    return f"{config.csv or config.root} {split} ({config.split} split{drawn}{classes})"


def _in_classes(
    images: LabelledImages, classes: int, places: Sequence[int], source: str, **options: Any
) -> LabelledImages:
    """The images at `places`, of the classes of a protocol."""
    names = list(images.classes)
    if classes:
        names = known_classes(names, str(images))
    targets = protocol(classes) if classes else names
    index = {name: i for i, name in enumerate(targets)}  # of a class among those of the protocol
    rows = [int(i) for i in places if names[images.labels[i]] in index]
    labels = [index[names[images.labels[i]]] for i in rows]
    read = partial(_read, images.read, rows)  # images are read by their row in the whole list
    files = [images.names[i] for i in rows]
    return LabelledImages(source, targets, labels, files, read, **options)


def _read(read: Callable[[int], str | bytes], places: Sequence[int], index: int) -> str | bytes:
    return read(places[index])


def _check_classes(images: LabelledImages, split: str, report: Reporter) -> None:
    empty = [images.classes[i] for i in np.flatnonzero(class_counts(images) == 0)]
    if empty and split == "train":
        raise InputError(
            f"{images}: no image of {len(empty)} of {len(images.classes)} classes: "
            f"{some_of(empty)}. Add some, or choose other --data.classes"
        )
    if empty:
        report(f"no validation image of {', '.join(empty)}: these classes are not measured")
