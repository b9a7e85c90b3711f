"""What is to be drawn: images and maps of a person's, or validation pairs of a run.

The content of an item is the source (3, H, W) in [-1, 1] and the classes (H, W) of the view to
draw, both of the network's size; where there are no maps all classes are 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from apps.crossview.config import Direction
from apps.crossview.data.pairs import Pairs, class_ids
from apps.crossview.data.records import SUFFIXES
from apps.crossview.data.views import SIDES
from apps.crossview.models.network import Generator
from core.app.predicting import Item
from core.data.images.files import decode, find_images
from core.data.samples import evenly_spaced
from core.errors import InputError

MAPLESS = ("xfork", "xseq")  # generators that draw without a map
Content = tuple[Tensor, Tensor]


def needs_map(network: Generator) -> bool:
    return network.config.generator not in MAPLESS and len(network.palette) > 1


def own_images(network: Generator, inputs: Sequence[str], maps: Path | None) -> list[Item]:
    """Images, or folders of them, with a map or a folder of maps. InputError where maps lack."""
    paths = find_images(inputs, SUFFIXES)
    _check_maps(network, len(paths), maps)
    return [Item(str(path), partial(read_image, network, path, maps)) for path in paths]


def validation_pairs(val: Pairs, direction: Direction, count: int) -> list[Item]:
    """At most so many pairs, evenly over the set."""
    indices = evenly_spaced(len(val), count)
    return [Item(val.records[i].name, partial(_read_pair, val, i, direction)) for i in indices]


def map_files(maps: Path | None) -> list[Path]:
    """What --map names: no prediction may overwrite it."""
    if maps is None:
        return []
    return sorted(maps.iterdir()) if maps.is_dir() else [maps]


def pair_files(val: Pairs) -> list[Path]:
    """The files of a data set: no prediction may overwrite them."""
    return [file for record in val.records for file in record.files.values()]


def _check_maps(network: Generator, count: int, maps: Path | None) -> None:
    if maps is None and needs_map(network):
        known = ", ".join(network.palette.names)
        raise InputError(
            f"{network.config.generator} draws along a map of the view to draw: give it as --map, "
            f"with the classes {known}"
        )
    if maps is not None and not maps.exists():
        raise InputError(f"{maps} does not exist: --map is a file, or a folder of maps")
    if maps is not None and maps.is_file() and count > 1:
        raise InputError(f"one map for {count} images: give a folder of maps as --map")


def read_image(network: Generator, path: Path, maps: Path | None) -> Content:
    """An image, and its map where `maps` is a file or a folder of them."""
    height, width = network.size
    image = decode(str(path)).resize((width, height), Image.BICUBIC)
    pixels = torch.from_numpy(np.array(image)).movedim(-1, 0) / 127.5 - 1  # (3, H, W)
    if maps is None:
        return pixels, torch.zeros(height, width, dtype=torch.int64)
    return pixels, _read_map(network, _map_of(path, maps))


def _map_of(path: Path, maps: Path) -> Path:
    if maps.is_file():
        return maps
    candidates = [maps / f"{path.stem}{suffix}" for suffix in SUFFIXES]
    file = next((candidate for candidate in candidates if candidate.is_file()), None)
    if file is None:
        raise ValueError(f"no map of its name in {maps}")
    return file


def _read_map(network: Generator, path: Path) -> Tensor:
    """Class ids (H, W), from colours of the network's palette or from ids."""
    with Image.open(path) as image:
        pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    try:
        ids = class_ids(pixels, network.palette)
    except ValueError as error:
        raise ValueError(f"the map {path} {error}") from error
    height, width = network.size
    resized = Image.fromarray(ids).resize((width, height), Image.NEAREST)
    return torch.from_numpy(np.array(resized)).long()


def _read_pair(val: Pairs, index: int, direction: Direction) -> Content:
    source, target = SIDES[direction]
    pair = val[index]
    return pair[source], pair[f"{target}_map"]
