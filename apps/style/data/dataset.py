"""Paintings with their styles, from wherever they lie.

    <root>, with <root>/Style or --data.lists   an ArtGAN copy and its official lists
    <root>                                      any images that core's `open_images` opens
    --data.csv FILE                             a csv file with the columns path, class[, split]
    hub:<name>#<label column>                   a Hub data set; with --data.stream not downloaded

`official` is the split that the lists, the csv file or the folders make. The other two divide all
that is listed; of folders and Hub sets they divide `train`, and leave other splits alone. They are
made before classes are dropped: a painting is on the same side in 21 classes as in 27.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from apps.style.data.files import check_folders, present_files
from apps.style.data.lists import SIDES, Listing, artist_of, read_csv, read_lists
from apps.style.data.protocols import known_classes, protocol
from apps.style.data.splits import artist_split, long_tailed, stratified_split
from apps.style.data.stream_split import InTurn, open_stream_side
from core.config import did_you_mean
from core.data.images.labelled import LabelledImages
from core.data.sources import open_images
from core.data.streams.labelled import LabelledStream
from core.errors import InputError

Tell = Callable[[str], Any]


@dataclass(frozen=True)
class DataConfig:
    """Which paintings, which classes, and who validates."""

    root: str = ""  # a folder, hub:<name>#<label column>, a packed .npz; of a csv file's paths
    lists: str = ""  # the folder of ArtGAN's lists, where it is not <root>/Style
    csv: str = ""  # a csv file instead: path, class[, split]; its folder is the default root
    split: Literal["official", "stratified", "artist"] = "official"
    classes: Literal[0, 21, 27] = 0  # of WikiArt; 21: without the six smallest; 0: as found
    val_share: float = 0.3  # of stratified and artist
    seed: int = 0  # of the same, and of long_tail
    long_tail: float = 1.0  # above 1: thin the training paintings (splits.py), to study imbalance
    max_pixels: int = 50_000_000  # of a decoded scan; a larger JPEG is read at 1/2, 1/4 or 1/8
    skip_bad: int = 0  # missing files to leave out before stopping, and damaged ones
    workers: int = 2  # loader processes for each training process
    stream: bool = False  # read a hub: set in turn, without downloading it
    buffer: int = 1000  # streams: images that a process holds, encoded, to shuffle them
    retries: int = 5  # streams: how often reading is tried again, at growing intervals


def open_paintings(
    config: DataConfig,
    split: Literal["train", "val"],
    transform: Callable | None = None,
    tell: Tell = print,
) -> LabelledImages | LabelledStream | InTurn:
    """One side of the split: items {"image", "label"}; `classes` are the names, for both the same.

    LabelledImages; of a stream LabelledStream to train on, and `InTurn` to validate. `tell` takes
    lines about what is left out. Raises InputError for what cannot be opened, for listed files that
    are missing beyond `skip_bad`, and for a class without training paintings.
    """
    _check(config, split)
    if config.stream:
        return open_stream_side(config, split, transform)
    images, sides = _open_all(config, split)
    places = np.flatnonzero(_sides(config, images, sides, split, tell) == split)
    if config.csv or _lists(config):
        paths = {int(i): str(images.read(i)) for i in places}
        places = present_files(paths, config.skip_bad, tell)
    if split == "train" and config.long_tail > 1:
        labels = np.asarray(images.labels)[places]
        places = np.asarray(places)[long_tailed(labels, config.long_tail, config.seed)]
    options = {"transform": transform, "max_pixels": config.max_pixels}
    chosen = _in_classes(images, config.classes, places, _source(config, split), **options)
    _check_classes(chosen, split, tell)
    return chosen


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
    if config.long_tail < 1 or (config.long_tail > 1 and config.stream):
        raise InputError("data.long_tail is 1 or more, and of paintings that are no stream")
    if config.max_pixels < 0 or config.skip_bad < 0:
        raise InputError("data.max_pixels and data.skip_bad are 0 or more")


def _lists(config: DataConfig) -> str:
    """The folder of ArtGAN's lists, or nothing."""
    usual = Path(config.root).expanduser() / "Style"
    return config.lists or (str(usual) if (usual / "style_train.csv").is_file() else "")


def _source(config: DataConfig, split: str) -> str:
    drawn = f", share {config.val_share:g}, seed {config.seed}" * (config.split != "official")
    classes = f", {config.classes} classes" * bool(config.classes)
    return f"{config.csv or config.root} {split} ({config.split} split{drawn}{classes})"


def _open_all(config: DataConfig, split: str) -> tuple[LabelledImages, list[str]]:
    """All images, and the sides they are on, or none where that is to be drawn."""
    if config.csv:
        root = config.root or os.path.dirname(config.csv)
        return _listed(read_csv(config.csv), root, config.csv)
    if lists := _lists(config):
        listing = read_lists(lists)
        check_folders(config.root, listing.paths, lists)
        return _listed(listing, config.root, lists)
    if config.split != "official":
        return open_images(config.root, "train"), []
    return _official_images(config.root, split)


def _listed(listing: Listing, root: str, source: str) -> tuple[LabelledImages, list[str]]:
    paths = [os.path.join(os.path.expanduser(root), path) for path in listing.paths]
    names = [os.path.basename(path) for path in paths]
    read = paths.__getitem__
    return LabelledImages(source, listing.classes, listing.labels, names, read), listing.sides


def _official_images(root: str, split: str) -> tuple[LabelledImages, list[str]]:
    if root.startswith("hub:"):
        raise InputError(f"{root}: the split of a Hub data set is drawn: --data.split stratified")
    train, val = open_images(root, "train"), open_images(root, "val")
    if train.source == val.source:
        raise InputError(
            f"{root} has no official split (no lists, no folders train and val): "
            "--data.split stratified or artist"
        )
    images = train if split == "train" else val.relabelled(train.classes)
    return images, [split] * len(images)


def _sides(
    config: DataConfig, images: LabelledImages, sides: Sequence[str], split: str, tell: Tell
) -> np.ndarray:
    """The side of each image: (N,)."""
    if config.split == "official":
        if not sides:
            raise InputError(f"{config.csv} has no column split: --data.split stratified or artist")
        return np.array(sides)
    if config.split == "stratified":
        val = stratified_split(images.labels, config.val_share, config.seed)
    else:
        val, one_sided = _by_artist(images, config)
        if one_sided and split == "train":
            tell(f"no artist split of {', '.join(one_sided)}: all on one side")
    return np.where(val, "val", "train")


def _by_artist(images: LabelledImages, config: DataConfig) -> tuple[np.ndarray, list[str]]:
    """val (N,) bool, and the classes that are on one side."""
    if nameless := [name for name in images.names if "_" not in name]:
        raise InputError(
            f"{images}: {nameless[0]} does not name its artist (artist_title.jpg): "
            "--data.split stratified"
        )
    artists = [artist_of(name) for name in images.names]
    val, one_sided = artist_split(artists, images.labels, config.val_share, config.seed)
    if not val.any():
        raise InputError(f"{images}: no class has two artists: --data.split stratified")
    return val, [images.classes[label] for label in one_sided]


def _in_classes(
    images: LabelledImages, classes: int, places: Sequence[int], source: str, **options: Any
) -> LabelledImages:
    """The images at `places`, of the classes of a protocol."""
    names = list(images.classes)
    if classes:
        names = known_classes(names, str(images))
    wanted = protocol(classes) if classes else names
    index = {name: i for i, name in enumerate(wanted)}
    kept = [int(i) for i in places if names[images.labels[i]] in index]
    labels = [index[names[images.labels[i]]] for i in kept]
    read = partial(_read, images.read, kept)
    names = [images.names[i] for i in kept]
    return LabelledImages(source, wanted, labels, names, read, **options)


def _read(read: Callable[[int], str | bytes], places: Sequence[int], index: int) -> str | bytes:
    return read(places[index])


def _check_classes(images: LabelledImages, split: str, tell: Tell) -> None:
    empty = [images.classes[i] for i in np.flatnonzero(class_counts(images) == 0)]
    if empty and split == "train":
        raise InputError(
            f"{images}: no image of {len(empty)} of {len(images.classes)} classes: "
            f"{', '.join(empty[:5])}{', ...' * (len(empty) > 5)}. Add some, or choose other "
            "--data.classes"
        )
    if empty:
        tell(f"no validation image of {', '.join(empty)}: these classes are not measured")
