"""The fields of a COCO keypoint json, as converters write them: taken, mended or refused, once.

What can be read in one way alone is mended, and a line says how often; what cannot is an InputError
that names the field and its value as it stands. What comes out is complete, so that training and
evaluation ask no further: K keypoints, flat; num_keypoints, iscrowd, area and bbox of everybody.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apps.pose.data.records.units import check_units
from core.errors import InputError

COVERED = 0.53  # of a box, the share that its person covers, where no segment says (xtcocotools)
AROUND = 1.25  # sides of a box that nobody drew, in those of its keypoints' extent
SLACK = 1.1  # an area may exceed its box by as much: both are rounded
LARGEST = 2**63  # whole numbers end there, for those who count in 64 bits

_SIZES = ("width", "height")
_WORDS = {  # what is mended -> how it is said
    "whole": "numbers such as 1.0 in place of 1",
    "nested": "keypoints in lists of three: read one after the other",
    "empty": "places of keypoints that are not labelled and no numbers: 0",
    "counted": "num_keypoints other than the labelled keypoints: counted",
    "area": f"area 0, 1 or larger than its box: {COVERED} of the box",
    "bbox": f"no bbox: {AROUND} x the extent of the labelled keypoints",
}


class Mender:
    """Checks the records of one json. ``mended`` counts what was wrong, by kind.

    ``count``: K. Every method raises InputError for what cannot be used.
    """

    def __init__(self, path: str | Path, count: int):
        self.path, self.count, self.mended = path, count, Counter()

    def content(self, content: dict) -> dict:
        """The json's content; its lists are lists, what is in them can be anything."""
        images = self.records(content["images"], "image", self._image)
        categories = self.records(content["categories"], "category", self._category)
        sizes = {image["id"]: tuple(image[side] for side in _SIZES) for image in images}
        known = {category["id"]: category for category in categories}

        def person(record: dict, where: str) -> dict:
            return self._annotation(record, where, sizes, known)

        people = self.records(content["annotations"], "annotation", person)
        check_units(self.path, people, sizes)
        return {**content, "images": images, "categories": categories, "annotations": people}

    def images(self, records: list) -> list[dict]:
        """Images alone, of a json without people."""
        return self.records(records, "image", self._image)

    def lines(self) -> list[str]:
        """What was mended, for a person: one line, or none."""
        parts = [f"{n} x {_WORDS[kind]}" for kind, n in sorted(self.mended.items()) if n]
        return [f"{self.path}: mended: {'; '.join(parts)}"] if parts else []

    def records(self, records: list, kind: str, check: Callable[[dict, str], dict]) -> list[dict]:
        """Each record with its ``id``, all different, through ``check``."""
        seen, checked = set(), []
        for number, record in enumerate(records):
            where = f"{self.path}: {kind} number {number}"
            if not isinstance(record, dict):
                raise InputError(f"{where} is {_short(record)}, not a {kind}'s fields: remove it")
            if "id" not in record:
                raise InputError(f"{where} has no id: add it")
            own = self._whole(record, "id", where)
            if own["id"] in seen:
                raise InputError(
                    f"{self.path}: two {_plural(kind)} have the id {own['id']}: make ids unique"
                )
            seen.add(own["id"])
            checked.append(check(own, f"{self.path}: {kind} {own['id']}"))
        return checked

    def _image(self, image: dict, where: str) -> dict:
        name = self._field(image, "file_name", where)
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"{where}: file_name is {_short(name)}, no name of a file: correct it")
        for side in _SIZES:
            image = self._whole(image, side, f"{where} ({name})")
            if image[side] < 1:
                raise InputError(f"{where} ({name}): {side} is {image[side]}: correct it")
        return image

    def _category(self, category: dict, where: str) -> dict:
        names = category.get("keypoints") or []
        if names and (not isinstance(names, list) or len(names) != self.count):
            length = len(names) if isinstance(names, list) else _short(names)
            raise InputError(
                f"{self.path}: category {category.get('name', '')!r} has {length} keypoints, but "
                f"this run is about {self.count}: train and validation data must have the same ones"
            )
        return category

    def _annotation(self, person: dict, where: str, sizes: dict, categories: dict) -> dict:
        for name in ("image_id", "category_id"):
            person = self._whole(person, name, where)
        if person["image_id"] not in sizes:
            raise InputError(
                f"{where} is of image {person['image_id']}, which the json does not list: add the "
                "image or remove the annotation"
            )
        category = categories.get(person["category_id"])
        if category is None:
            raise InputError(
                f"{where}: category_id is {person['category_id']}, and the json's categories are "
                f"{', '.join(map(str, categories))}: correct it, or add the category"
            )
        points = self._keypoints(person, where)
        named = any(category.get("keypoints") for category in categories.values())
        if points and named and not category.get("keypoints"):
            raise InputError(
                f"{where} has keypoints, and its category {person['category_id']} "
                f"({category.get('name', '')!r}) has none: name them there, or correct category_id"
            )
        crowd = self._crowd(person, where)
        labelled = sum(v > 0 for v in points[2::3])
        self.mended["counted"] += person.get("num_keypoints") not in (None, labelled)
        person = {**person, "keypoints": points, "num_keypoints": labelled, "iscrowd": crowd}
        person["bbox"] = self._bbox(person, where, sizes[person["image_id"]])
        person["area"] = self._area(person, where)
        return person

    def _keypoints(self, person: dict, where: str) -> list:
        """3 K numbers, or none; NaN of a labelled keypoint stays (`keypoint_array`)."""
        values = person.get("keypoints") or []
        if not isinstance(values, list):
            raise InputError(f"{where}: keypoints is {_short(values)}, no list: correct it")
        if values and all(isinstance(v, list) and len(v) == 3 for v in values):
            self.mended["nested"] += 1
            values = [number for triple in values for number in triple]
        if {type(v) for v in values} - {int, float}:
            wrong = next((v for v in values if not is_number(v) and v is not None), None)
            if wrong is not None:
                raise InputError(
                    f"{where}: keypoints has {_short(wrong)}, which is no number: write x, y, v "
                    "of each keypoint as numbers"
                )
            values = [math.nan if v is None else v for v in values]
        if values and len(values) != 3 * self.count:
            raise InputError(
                f"{where} has {len(values)} keypoint values, not 3 x {self.count} numbers: x, y, v "
                "of each keypoint"
            )
        for i in range(0, len(values), 3):
            if values[i + 2] == 0 and not math.isfinite(values[i] + values[i + 1]):
                self.mended["empty"] += 1
                values = [*values[:i], 0, 0, 0, *values[i + 3 :]]
        return values

    def _crowd(self, person: dict, where: str) -> int:
        crowd = person.get("iscrowd")
        if crowd not in (None, 0, 1):  # True is 1
            raise InputError(f"{where}: iscrowd is {_short(crowd)}, not 0 or 1: correct it")
        return int(crowd or 0)

    def _bbox(self, person: dict, where: str, size: tuple[int, int]) -> list:
        """The box, or where there is none that of the labelled keypoints, cut to the image."""
        box = person.get("bbox")
        if box is not None and box != []:
            if not (isinstance(box, list) and len(box) == 4 and all(map(is_finite, box))):
                raise InputError(
                    f"{where} has bbox {_short(box)}, not [x, y, width, height] in numbers"
                )
            if any(box) or not person["num_keypoints"]:
                return box
        self.mended["bbox"] += person["num_keypoints"] > 0
        return box_around(person["keypoints"], size)

    def _area(self, person: dict, where: str) -> float:
        """The area, or 0.53 of the box where there is none, or none that a person can have."""
        area, (_, _, width, height) = person.get("area"), person["bbox"]
        usual = COVERED * max(width, 0) * max(height, 0)
        if area is None:
            return usual
        if not is_finite(area):
            raise InputError(
                f"{where}: area is {_short(area)}, no number of pixels: correct it, or leave it out"
            )
        if 1 < area <= SLACK * (width + 1) * (height + 1) or not person["num_keypoints"]:
            return area
        self.mended["area"] += 1
        return usual

    def _whole(self, record: dict, name: str, where: str) -> dict:
        """The record with a whole number of this name."""
        value = self._field(record, name, where)
        if type(value) is int and is_number(value):
            return record
        if isinstance(value, float) and value.is_integer() and abs(value) < LARGEST:
            self.mended["whole"] += 1
            return {**record, name: int(value)}
        raise InputError(f"{where}: {name} is {_short(value)}, no whole number: write it as one")

    def _field(self, record: dict, name: str, where: str) -> Any:
        if name not in record:
            raise InputError(f"{where} has no {name}: add it")
        return record[name]


def box_around(keypoints: list, size: tuple[int, int]) -> list[float]:
    """x, y, width, height of a box about the labelled ones of flat keypoints (3K,), in the image of
    this width and height; 0, 0, 0, 0 where none is labelled."""
    triples = [keypoints[i : i + 3] for i in range(0, len(keypoints), 3)]
    places = [(x, y) for x, y, v in triples if v > 0 and math.isfinite(x + y)]
    if not places:
        return [0, 0, 0, 0]
    starts, lengths = [], []
    for values, side in zip(zip(*places, strict=True), size, strict=True):
        margin = (AROUND - 1) / 2 * (max(values) - min(values))
        start, end = max(min(values) - margin, 0), min(max(values) + margin, side)
        starts.append(start)
        lengths.append(end - start)
    return [*starts, *lengths]


def is_number(value: Any) -> bool:
    """Whether json holds a number here that a computer counts in; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or abs(value) < LARGEST


def is_finite(value: Any) -> bool:
    """Whether it is a number, and neither NaN nor infinite."""
    return is_number(value) and math.isfinite(value)


def _short(value: Any) -> str:
    """A value as it stands in the json's reader, not longer than a line can take."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _plural(kind: str) -> str:
    return kind[:-1] + "ies" if kind.endswith("y") else kind + "s"
