"""Pairs of an aerial and a ground image with their maps, as tensors.

Legend: H W the size that networks see, K classes. An item is
    "aerial", "ground"           float (3, H, W) in [-1, 1]
    "ground_map", "aerial_map"   class ids, int64 (H, W); the second one where the set has it
    "name"
All panels of an item are of one size and are cropped and mirrored together, in training alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from apps.crossview.config import DataConfig
from apps.crossview.data.maps import MOST_UNKNOWN, NO_MAP, Palette, open_palette
from apps.crossview.data.panels import panel_boxes
from apps.crossview.data.pictures import (
    alike,
    check_bits,
    class_ids,
    read_map,
    read_photograph,
    squeezed,
)
from apps.crossview.data.records import Record, find_records, listed_records, panels_of
from apps.crossview.data.splits import by_panorama, panorama_of
from core.data.images.files import PixelLimit
from core.data.loading import BadSample
from core.data.samples import evenly_spaced, some_samples, tuning_split
from core.errors import InputError, first_line
from core.ranges import check_ranges
from core.sizes import times

LOOKED_AT = 4  # records that are read at once, evenly over the set
BLACK = 4  # levels that a panel without a map has on average, at most


class Pairs(Dataset):
    """The items of one side of a split. Raises InputError for a data set that is not as said.

    palette: names and colours of the classes; without maps one class, "none".
    """

    def __init__(
        self,
        config: DataConfig,
        split: str,
        training: bool = False,
        limit: PixelLimit | None = None,
    ):
        """limit: of a file's size, where it is not that of the settings."""
        self.config, self.training, self.limit = config, training, limit or config.limit
        _check(config)
        self.records = _records(config, split)
        first = panels_of(self.records[0], config.order)
        self.maps = [name for name in first if name.endswith("_map")]
        self.palette = self._palette()
        if config.layout == "panels" and self.maps:
            self._look_at_first()
        check_bits(self._some_photographs(), config.bits, self.limit)
        some_samples(self, LOOKED_AT)  # now, and not in a loader or at the first evaluation

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        known = ", ".join(self.maps) or "no maps"
        return f"{self.config.root} ({len(self):,} pairs, {known})"

    def __getitem__(self, index: int) -> dict:
        record = self.records[index]
        panels = self._open(record)
        box, mirrored, size = self._augmentation()  # one draw for all panels
        item = {"name": record.name}
        for name, image in panels.items():
            is_map = name.endswith("_map")
            image = image.resize(size, Image.NEAREST if is_map else Image.BICUBIC).crop(box)
            image = image.transpose(Image.FLIP_LEFT_RIGHT) if mirrored else image
            pixels = torch.from_numpy(np.array(image))
            item[name] = pixels.long() if is_map else pixels.movedim(-1, 0) / 127.5 - 1
        if not self.maps:
            item["ground_map"] = torch.zeros(self.config.size, dtype=torch.int64)
        return item

    def stretched(self) -> list[str]:
        """Lines on photographs whose sides are not as those of data.size, of the first record."""
        (_, panels), (height, width) = self._first(), self.config.size
        photographs = {n: image.size for n, image in panels.items() if not n.endswith("_map")}
        lines = (squeezed(size, f"{n} images", height, width) for n, size in photographs.items())
        return [line for line in lines if line]

    def _first(self) -> tuple[Record, dict[str, Image.Image]]:
        """The first record that can be read, and its panels. Raises InputError for none of all."""
        for record in self.records:
            try:
                return record, self._panels(record)
            except BadSample as error:  # the loaders name it
                bad = error
        raise InputError(f"{self.config.root}: none of {len(self)} pairs can be read: {bad}")

    def _some_photographs(self) -> list[Path]:
        some = [self.records[i] for i in evenly_spaced(len(self), LOOKED_AT)]
        return [p for record in some for n, p in record.files.items() if not n.endswith("_map")]

    def _palette(self) -> Palette:
        if not self.maps:
            return Palette((NO_MAP,), np.zeros((1, 3), np.uint8))
        if self.config.layout == "cvusa":
            palette = open_palette(self.config.palette or "cvusa")
        else:
            palette = open_palette(self.config.palette, Path(self.config.root).expanduser())
        return palette.with_void() if self.config.void >= 0 else palette

    def _look_at_first(self) -> None:
        """Say at once, and not in a loader, what is wrong with all files; drop a black panel."""
        record, panels = self._first()
        for name, image in panels.items():
            pixels = np.asarray(image)
            if name == "aerial_map" and pixels.mean() < BLACK:
                self.maps.remove(name)  # CVUSA's third panel: it has no such maps
                continue
            unknown = self.palette.ids(pixels)[1]
            if (unknown > MOST_UNKNOWN) == name.endswith("_map"):
                what = "a map of this palette" if name.endswith("_map") else "a photograph"
                raise InputError(
                    f"{record.files['panels']}: the panel {name} of order {self.config.order!r} "
                    f"does not look like {what} ({100 * unknown:.0f} % of it in no colour of the "
                    "palette): another --data.order or --data.palette?"
                )

    def _open(self, record: Record) -> dict[str, Image.Image]:
        """Photographs as RGB, maps as ids in an 8-bit image. Raises BadSample for a bad file."""
        panels = self._panels(record)
        file_of = {name: record.files.get("panels") or record.files[name] for name in panels}
        for name in self.maps:
            _check_shape(panels, name, file_of[name])
        maps = {name: self._ids(panels[name], name, file_of[name]) for name in self.maps}
        return {n: i for n, i in panels.items() if not n.endswith("_map")} | maps

    def _panels(self, record: Record) -> dict[str, Image.Image]:
        if "panels" not in record.files:
            names = record.files.items()
            return {name: _or_bad(path, self._read, path, name) for name, path in names}
        path = record.files["panels"]
        image = _or_bad(path, read_photograph, path, self.config.bits, self.limit)
        boxes = _or_bad(path, panel_boxes, image.size, self.config.order, str(path))
        return {name: image.crop(box) for name, box in boxes.items()}

    def _read(self, path: Path, name: str) -> Image.Image:
        """A file of its own: RGB, or a map of ids as it is."""
        if name.endswith("_map"):
            return read_map(path, self.config.layout == "cvusa", self.limit)
        return read_photograph(path, self.config.bits, self.limit)

    def _ids(self, image: Image.Image, name: str, path: Path) -> Image.Image:
        uniform = name == "aerial_map"  # a wood is of one class from above
        try:
            ids = class_ids(np.asarray(image), self.palette, uniform, self.config.void)
            return Image.fromarray(ids)
        except ValueError as error:
            raise BadSample(str(path), f"{name} {error}") from error

    def _augmentation(self) -> tuple[tuple[int, int, int, int], bool, tuple[int, int]]:
        """Box to keep (left, top, right, bottom), whether to mirror, and the size before."""
        height, width = self.config.size
        if not self.training:
            return (0, 0, width, height), False, (width, height)
        tall, wide = (round(side * self.config.enlarge) for side in (height, width))
        top, left = random.randint(0, tall - height), random.randint(0, wide - width)
        mirrored = self.config.flip and random.random() < 0.5
        return (left, top, left + width, top + height), mirrored, (wide, tall)


def _check_shape(panels: dict[str, Image.Image], name: str, path: Path) -> None:
    """BadSample for a map that is wider or taller than its photograph: of another, or cut."""
    size, photograph = panels[name].size, panels[name.removesuffix("_map")].size
    if not alike(size, photograph):
        raise BadSample(
            str(path),
            f"{name} of {times(size)} pixels beside a photograph of {times(photograph)}: "
            "another's map, or cut?",
        )


def _or_bad(path: Path, action: Callable[..., Any], *values: Any) -> Any:
    """What the action gives; BadSample of the file for whatever it raises."""
    try:
        return action(*values)
    except InputError as error:  # a width that does not fit
        raise BadSample(str(path), first_line(error)) from error
    except Exception as error:  # decoders raise many kinds
        raise BadSample(str(path), f"cannot be read ({first_line(error)})") from error


def _check(config: DataConfig) -> None:
    check_ranges(config, "data.")
    if (config.split == "panorama" or config.lists) and config.layout != "panels":
        raise InputError("data.split panorama and data.lists are for --data.layout panels")


def _records(config: DataConfig, split: str) -> list[Record]:
    if config.tune_share:
        return _tuned(config, _records(replace(config, tune_share=0.0), "train"), split)
    if config.split == "official":
        return _official(config, split)
    sides = [_official(config, side) for side in ("train", "val")]
    records = {record.name: record for side in sides for record in side}
    train, val = by_panorama(list(records), len(sides[1]), config.split_seed)
    names = train if split == "train" else val
    if not names:
        raise InputError(f"{config.root}: too few panoramas for a {split} side")
    return [records[name] for name in names]


def _tuned(config: DataConfig, records: list[Record], split: str) -> list[Record]:
    """Of the training records those that train, or those that settings are chosen by.

    Crops of one panorama stay together where the split is by panorama.
    """
    group_of = panorama_of if config.split == "panorama" else str
    groups = sorted({group_of(record.name) for record in records})
    places = tuning_split([0] * len(groups), config.tune_share)[split != "train"]
    chosen = {groups[place] for place in places}
    return [record for record in records if group_of(record.name) in chosen]


def _official(config: DataConfig, split: str) -> list[Record]:
    if config.lists:
        return listed_records(config.root, config.lists, split)
    return find_records(config.root, config.layout, split)
