"""Where the people are: boxes of a json, the whole image, and what of them can be used.

A source of boxes maps a list of frames to the boxes of each (`Boxes`); `detector.py` has one more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from apps.pose.data.keypoints import read_json
from apps.pose.prediction.pipeline import Boxes, Frame
from apps.pose.prediction.video import VIDEO_SUFFIXES
from core.errors import InputError

BoxSource = Callable[[list[Frame]], list[Boxes]]


def whole_image(frames: list[Frame]) -> list[Boxes]:
    """Every image as one person's box."""
    return [[([0, 0, *frame.image.shape[1::-1]], 1.0)] for frame in frames]


def of_images(boxes: dict[Path, Boxes]) -> BoxSource:
    """The boxes that are given for each image."""
    return lambda frames: [boxes[frame.path] for frame in frames]


class BoxFile:
    """Boxes of a json list: {bbox: [x, y, width, height], score, and whose they are}.

    Of an image: `file_name`, or `image_id`, which is looked for as the number in the file's name.
    Of a frame of a video: `frame`, or `image_id`, counted from 0, and `file_name` where there are
    several videos. Boxes below ``minimum`` score are left out; one without a score has 1. Raises
    InputError for another content, for records that could be of two videos, and where no record is
    of any of the inputs.
    """

    def __init__(self, path: str | Path, inputs: list[Path], minimum: float):
        records = read_json(path)
        if not isinstance(records, list):
            raise InputError(f"{path}: expected a list of records with image_id or file_name, bbox")
        self.path, self.boxes, kinds = path, defaultdict(list), set()
        for number, record in enumerate(records):
            key, box, score = _read(record, f"{path}: record {number}")
            kinds.add(record.get("category_id"))
            if score >= minimum:
                self.boxes[key].append((box, score))
        if len(kinds := kinds - {None}) > 1:
            kept = "keep only the boxes of what the run has keypoints for"
            raise InputError(
                f"{path} has boxes of the categories {sorted(map(str, kinds))}: {kept}"
            )
        if inputs:
            self._check(inputs)

    def __call__(self, frames: list[Frame]) -> list[Boxes]:
        return [self._of(frame) for frame in frames]

    def last_frame(self, video: Path) -> int:
        """The largest number of a frame of this video with a box, -1 where there is none."""
        numbers = [n for name, n in self.boxes if name in _names(video) and n is not None]
        return max(numbers, default=-1)

    def _of(self, frame: Frame) -> Boxes:
        # a record with a file's name is looked for first, then those that have a number alone
        numbers = [frame.number] if frame.video else [None, image_id(frame.path)]
        keys = ((name, number) for number in numbers for name in _names(frame.path))
        return next((self.boxes[key] for key in keys if key in self.boxes), [])

    def _check(self, inputs: list[Path]) -> None:
        videos = [path for path in inputs if path.suffix.lower() in VIDEO_SUFFIXES]
        nameless = any(name is None for name, _ in self.boxes)
        if nameless and len(videos) > 1:
            raise InputError(
                f"{self.path}: records without file_name could be of {videos[0].name} or of "
                f"{videos[1].name}: add file_name, or predict one video at a time"
            )
        known = {image_id(path) for path in inputs} | {None}
        names = {path.name for path in inputs}
        of_one = (name in names or (not name and (videos or n in known)) for name, n in self.boxes)
        if not any(of_one):
            raise InputError(
                f"{self.path} has no box for any of the inputs (the first is {inputs[0]})"
            )


def _names(path: Path) -> tuple[str | None, ...]:
    return path.name, None


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _read(record: object, where: str) -> tuple[tuple, list[float], float]:
    """((file name or None, number of the image or frame, or None), box, score) of one record."""
    if not isinstance(record, dict):
        raise InputError(f"{where} is {record!r}, not {{image_id or file_name, bbox, score}}")
    box, score, name = record.get("bbox"), record.get("score", 1.0), record.get("file_name")
    numbers = [*box, score] if isinstance(box, list) and len(box) == 4 else [None]
    if not all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers):
        raise InputError(f"{where}: bbox {box!r} and score {score!r} must be 4 numbers and one")
    number = record.get("frame", record.get("image_id"))
    if name is None and number is None:
        raise InputError(f"{where} is of no image: it needs file_name, image_id or frame")
    if name is not None and Path(str(name)).suffix.lower() not in VIDEO_SUFFIXES:
        number = None  # a name says which image; ids are for those without one
    elif not _is_number(number):
        number = int(number) if isinstance(number, str) and number.isdigit() else None
        if number is None:
            raise InputError(f"{where}: frame or image_id must be a whole number from 0")
    return (None if name is None else Path(str(name)).name, number), box, float(score)


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
