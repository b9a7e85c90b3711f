"""What is to be drawn: images and maps of a person's, or validation pairs of a run.

The content of an item is the source (3, H, W) in [-1, 1] and the classes (H, W) of the view to
draw, both of the network's size; where there are no maps all classes are 0.
"""

from __future__ import annotations

import itertools
import sys
import unicodedata
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from apps.crossview.config import DataConfig, Direction
from apps.crossview.data.pairs import Pairs
from apps.crossview.data.pictures import (
    check_bits,
    class_ids,
    read_map,
    read_photograph,
    squeezed,
)
from apps.crossview.data.records import sorted_images
from apps.crossview.data.views import SIDES
from apps.crossview.models.network import Generator
from core.app.predicting import Item
from core.data.images.files import DEEP, PILLOWS, PixelLimit
from core.data.images.folders import find_images
from core.data.samples import evenly_spaced
from core.errors import InputError

SOME = 8  # images that are looked at for their bits
Content = tuple[Tensor, Tensor]


def own_images(
    network: Generator,
    inputs: Sequence[str],
    maps: Path | None,
    config: DataConfig,
    limit: PixelLimit,
) -> list[Item]:
    """Images, or folders of them, with a map or a folder of maps, of the bits and with the void of
    ``config``. InputError where maps lack, and for pictures of fewer bits."""
    paths = find_images(inputs)
    _check_maps(network, len(paths), maps)
    check_bits(paths[:SOME], config.bits, limit)
    values = {"bits": config.bits, "void": config.void, "limit": limit}
    read = partial(read_image, network, maps=maps, **values)
    return [Item(str(path), partial(read, path)) for path in paths]


def validation_pairs(val: Pairs, direction: Direction, count: int) -> list[Item]:
    """At most so many pairs, evenly over the set."""
    indices = evenly_spaced(len(val), count)
    return [Item(val.records[i].name, partial(_read_pair, val, i, direction)) for i in indices]


def map_files(maps: Path | None) -> list[Path]:
    """What --map names: no prediction may overwrite it."""
    if maps is None:
        return []
    return sorted_images(maps) if maps.is_dir() else [maps]


def pair_files(val: Pairs) -> list[Path]:
    """The files of a data set: no prediction may overwrite them."""
    return [file for record in val.records for file in record.files.values()]


def _check_maps(network: Generator, count: int, maps: Path | None) -> None:
    if maps is None and network.needs_map:
        known = ", ".join(network.palette.names)
        raise InputError(
            f"{network.config.generator} draws along a map of the view to draw: give it as --map, "
            f"with the classes {known}"
        )
    if maps is not None and not maps.exists():
        raise InputError(f"{maps} does not exist: --map is a file, or a folder of maps")
    if maps is not None and maps.is_file() and count > 1:
        raise InputError(f"one map for {count} images: give a folder of maps as --map")


def read_image(
    network: Generator,
    path: Path,
    maps: Path | None,
    bits: int = DEEP,
    void: int = -1,
    limit: PixelLimit = PILLOWS,
) -> Content:
    """An image, and its map where `maps` is a file or a folder of them; says if it is stretched."""
    height, width = network.size
    image = read_photograph(path, bits, limit)
    if line := squeezed(image.size, str(path), height, width):
        print(line, file=sys.stderr)
    image = image.resize((width, height), Image.BICUBIC)
    pixels = torch.from_numpy(np.array(image)).movedim(-1, 0) / 127.5 - 1  # (3, H, W)
    if maps is None:
        return pixels, torch.zeros(height, width, dtype=torch.int64)
    return pixels, _read_map(network, _map_of(path, maps), void, limit)


def _map_of(path: Path, maps: Path) -> Path:
    """The map of an image's name, whatever its ending; of several that in the folders most alike.

    Raises ValueError where there is none, and where two are as near.
    """
    if maps.is_file():
        return maps
    same = [file for file in sorted_images(maps) if _stem(file) == _stem(path)]
    near = [_shared_folders(file, path) for file in same]
    best = [file for file, count in zip(same, near, strict=True) if count == max(near)]
    if not best:
        raise ValueError(f"no map of its name in {maps}")
    if len(best) > 1:
        raise ValueError(f"both {best[0]} and {best[1]} could be its map: give its folder as --map")
    return best[0]


def _stem(path: Path) -> str:
    return unicodedata.normalize("NFC", path.stem)


def _shared_folders(one: Path, other: Path) -> int:
    """How many folders above two files have one name, counted from the files."""
    parents = zip(reversed(one.parts[:-1]), reversed(other.parts[:-1]), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], parents))


def _read_map(network: Generator, path: Path, void: int, limit: PixelLimit) -> Tensor:
    """Class ids (H, W), from colours of the network's palette or from ids."""
    try:
        pixels = np.asarray(read_map(path, limit=limit))
    except ValueError as error:
        raise ValueError(f"the map {path}: {error}") from error
    try:
        ids = class_ids(pixels, network.palette, void=void)
    except ValueError as error:
        raise ValueError(f"the map {path} {error}") from error
    height, width = network.size
    resized = Image.fromarray(ids).resize((width, height), Image.NEAREST)
    return torch.from_numpy(np.array(resized)).long()


def _read_pair(val: Pairs, index: int, direction: Direction) -> Content:
    source, target = SIDES[direction]
    pair = val[index]
    return pair[source], pair[f"{target}_map"]
