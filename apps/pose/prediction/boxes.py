"""Where the people are: boxes of a json, the whole image, and what of them can be used.

A source of boxes maps a list of frames to the boxes of each (`Boxes`); `detector.py` has one more.
"""

from __future__ import annotations

import math
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from apps.pose.data.keypoints import read_json
from apps.pose.data.records.mending import is_number
from apps.pose.prediction.pipeline import Boxes, Frame
from apps.pose.prediction.video import VIDEO_SUFFIXES
from core.errors import InputError

BoxSource = Callable[[list[Frame]], list[Boxes]]


def whole_image(frames: list[Frame]) -> list[Boxes]:
    """Every image as one person's box."""
    return [[([0, 0, *frame.image.shape[1::-1]], 1.0)] for frame in frames]


class BoxFile:
    """Boxes of a json list: {bbox: [x, y, width, height], score, and whose they are}.

    Of an image: `file_name`, its name with as many folders as tell it from other inputs, or
    `image_id`, which is looked for as the number in the file's name. Of a frame of a video:
    `frame`, or `image_id`, counted from 0, and `file_name` where there are several videos. Boxes
    below ``minimum`` score are left out; one without a score has 1. Raises InputError for another
    content, for records that could be of two inputs, and where no record is of any of them.
    """

    def __init__(self, path: str | Path, inputs: list[Path], minimum: float):
        records = read_json(path)
        if not isinstance(records, list):
            raise InputError(f"{path}: expected a list of records with image_id or file_name, bbox")
        self.path, self.boxes, kinds, best = path, defaultdict(list), set(), -math.inf
        self.names = defaultdict(set)  # by the last part of a name: names of records, as parts
        for number, record in enumerate(records):
            (name, frame), box, score = _read(record, f"{path}: record {number}")
            kinds.add(record.get("category_id"))
            best = max(best, score)
            if name:
                self.names[name[-1]].add(name)
            if score >= minimum:
                self.boxes[name, frame].append((box, score))
        if len(kinds := kinds - {None}) > 1:
            kept = "keep only the boxes of what the run has keypoints for"
            raise InputError(
                f"{path} has boxes of the categories {sorted(map(str, kinds))}: {kept}"
            )
        if records and not self.boxes:
            raise InputError(
                f"{path}: all {len(records)} boxes have a score below {minimum:g}, the best "
                f"{best:g}: give a smaller --min-box-score"
            )
        if inputs:
            self._check(inputs)

    def __call__(self, frames: list[Frame]) -> list[Boxes]:
        return [self._of(frame) for frame in frames]

    def last_frame(self, video: Path) -> int:
        """The largest number of a frame of this video with a box, -1 where there is none."""
        names = {self._name(video), None}
        numbers = [n for name, n in self.boxes if name in names and n is not None]
        return max(numbers, default=-1)

    def _of(self, frame: Frame) -> Boxes:
        # records with a file's name are looked for first, then those that have a number alone
        number = frame.number if frame.video else image_id(frame.path)
        named = self._name(frame.path), frame.number if frame.video else None
        keys = (named, (None, number))
        return next((self.boxes[key] for key in keys if key in self.boxes), [])

    def _name(self, path: Path) -> tuple[str, ...] | None:
        """The longest of the records' names that this path ends with."""
        parts = _parts(path.absolute())
        names = self.names.get(parts[-1], ())
        return max((n for n in names if parts[-len(n) :] == n), key=len, default=None)

    def _check(self, inputs: list[Path]) -> None:
        videos = [path for path in inputs if path.suffix.lower() in VIDEO_SUFFIXES]
        nameless = any(name is None for name, _ in self.boxes)
        if nameless and len(videos) > 1:
            raise InputError(
                f"{self.path}: records without file_name could be of {videos[0].name} or of "
                f"{videos[1].name}: add file_name, or predict one video at a time"
            )
        self._check_names(inputs)
        known = {image_id(path) for path in inputs} - {None}
        if not (
            any(self._name(path) for path in inputs)
            or (nameless and videos)
            or any(name is None and n in known for name, n in self.boxes)
        ):
            raise InputError(
                f"{self.path} has no box for any of the inputs (the first is {inputs[0]}): "
                "file_name is how the input's path ends, image_id the number in its name"
            )

    def _check_names(self, inputs: list[Path]) -> None:
        """InputError where a record's name, or the number of an image, is that of two inputs."""
        numbers = {n for name, n in self.boxes if name is None}
        owner: dict[str, Path] = {}
        for path in inputs:
            name, number = self._name(path), image_id(path)
            keys = [f"file_name {Path(*name)}"] if name else []
            if number in numbers and path.suffix.lower() not in VIDEO_SUFFIXES and not name:
                keys.append(f"image_id {number}")
            for key in keys:
                if owner.setdefault(key, path) != path:
                    raise InputError(
                        f"{self.path}: {key} could be of {owner[key]} or of {path}: write "
                        "file_name with the folders that tell them apart"
                    )


def _parts(path: str | Path) -> tuple[str, ...]:
    """The folders and the name, accents in one code point: macOS writes them in two."""
    return Path(unicodedata.normalize("NFC", str(path).replace("\\", "/"))).parts


def _read(record: Any, where: str) -> tuple[tuple, list[float], float]:
    """((parts of the file's name, number of the image or frame), box, score) of one record.

    Name and number are None where there is none.
    """
    if not isinstance(record, dict):
        raise InputError(f"{where} is {record!r}, not {{image_id or file_name, bbox, score}}")
    box, score, name = record.get("bbox"), record.get("score", 1.0), record.get("file_name")
    numbers = [*box, score] if isinstance(box, list) and len(box) == 4 else [None]
    if not all(map(is_number, numbers)) or math.isnan(score):
        raise InputError(f"{where}: bbox {box!r} and score {score!r} must be 4 numbers and one")
    number = record.get("frame", record.get("image_id"))
    if name is None and number is None:
        raise InputError(f"{where} is of no image: it needs file_name, image_id or frame")
    if name is not None and not (isinstance(name, str) and name):
        raise InputError(f"{where}: file_name is {name!r}, no name of a file")
    if name is not None and Path(name).suffix.lower() not in VIDEO_SUFFIXES:
        number = None  # a name says which image; ids are for those without one
    elif not isinstance(number, int) or isinstance(number, bool):
        number = int(number) if isinstance(number, str) and number.isdigit() else None
        if number is None:
            raise InputError(f"{where}: frame or image_id must be a whole number from 0")
    return (None if name is None else _parts(name), number), box, float(score)


def image_id(path: Path) -> int | None:
    """The COCO id in a file name such as 000000000785.jpg; None if it has none."""
    digits = path.stem.rsplit("_", 1)[-1]
    return int(digits) if digits.isdigit() else None


def usable(boxes: Boxes, image: np.ndarray) -> tuple[Boxes, list[str]]:
    """The boxes, cut to the image (h, w, 3); and what is wrong with those that cannot be used."""
    height, width = image.shape[:2]
    kept, wrong = [], []
    for box, score in boxes:
        x, y, w, h = box
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + w, width), min(y + h, height)
        if not np.isfinite(box).all():
            wrong.append(f"box {box} is not finite")
        elif w <= 0 or h <= 0:
            wrong.append(f"box {box} has no area")
        elif right - left < 1 or bottom - top < 1:
            wrong.append(f"box {box} lies outside the {width} x {height} image")
        else:
            kept.append(([left, top, right - left, bottom - top], score))
    return kept, wrong
