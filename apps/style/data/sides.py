"""All paintings of a source, and the side of the split that each is on.

`official` is the split that the lists, the csv file or the folders make. The other two, stratified
and artist, divide all that is listed; of folders and Hub sets they divide `train`, and leave other
splits alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from apps.style.config import DataConfig
from apps.style.data.files import Reporter, check_folders
from apps.style.data.lists import Listing, artist_of, read_csv, read_lists
from apps.style.data.splits import artist_split
from core.data.images.labelled import LabelledImages
from core.data.samples import stratified_split
from core.data.sources import open_images
from core.errors import InputError
from core.files import name_on_disk


def open_all(config: DataConfig, split: str) -> tuple[LabelledImages, list[str]]:
    """All images, and the sides they are on, or none where that is to be drawn."""
    if config.csv:
        root = config.root or os.path.dirname(config.csv)
        return _listed(read_csv(config.csv), root, config.csv)
    if lists := folder_of_lists(config):
        listing = read_lists(lists)
        check_folders(config.root, listing.paths, lists)
        return _listed(listing, config.root, lists)
    if config.split != "official":
        return open_images(config.root, "train"), []
    return _official_images(config.root, split)


def _listed(listing: Listing, root: str, source: str) -> tuple[LabelledImages, list[str]]:
    place = os.path.expanduser(root)
    paths = [os.path.join(place, name_on_disk(place, path)) for path in listing.paths]
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


def sides_of(
    config: DataConfig, images: LabelledImages, sides: Sequence[str], split: str, report: Reporter
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
            report(f"no artist split of {', '.join(one_sided)}: all on one side")
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


def folder_of_lists(config: DataConfig) -> str:
    """The folder of ArtGAN's lists, or nothing."""
    usual = Path(config.root).expanduser() / "Style"
    return config.lists or (str(usual) if (usual / "style_train.csv").is_file() else "")
