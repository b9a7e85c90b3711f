"""What a prediction leaves behind: pictures or a video, and COCO results; whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np
from PIL import Image

from apps.pose.evaluation.metrics import coco_results
from apps.pose.prediction.boxes import image_id
from apps.pose.prediction.pipeline import Frame
from apps.pose.prediction.video import SUFFIX, VIDEO_SUFFIXES, VideoWriter
from core.app.predicting import RECORDS, named
from core.errors import InputError
from core.files import whole_file
from core.pictures.sheets import in_rows, save_image, sheet

SHEET = "sheet"  # name of the overview
THUMBNAIL = 480  # pixels of the longer side, in the overview
ON_SHEET = 12


def place_outputs(inputs: list[Path], folder: Path, read: list[str]) -> dict[Path, str]:
    """The name, without suffix, of what becomes of each input, all different.

    Raises InputError where an input, or one of the files ``read`` besides, would be overwritten.
    """
    _, *names = named([SHEET, *inputs], folder, [], read)  # an image may be called sheet, too
    targets = {(folder / f"{SHEET}.png").resolve()}
    for path, name in zip(inputs, names, strict=True):
        endings = (SUFFIX, ".json") if is_video(path) else (".png",)
        targets |= {(folder / (name + ending)).resolve() for ending in endings}
    for path in [*inputs, *map(Path, read)]:
        if path.resolve() in targets:
            raise InputError(f"{path} would be overwritten: choose another --output than {folder}")
    return dict(zip(inputs, names, strict=True))


def is_video(path: Path) -> bool:
    """Whether a file is a video, by its ending."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def image_ids(paths: list[Path]) -> dict[Path, int]:
    """The number in each image's name, or its place among the images; places, where two would have
    the same."""
    numbers = [(image_id(path), place) for place, path in enumerate(paths)]
    ids = [place if number is None else number for number, place in numbers]
    return dict(zip(paths, ids if len({*ids}) == len(ids) else range(len(ids)), strict=True))


def relative_names(paths: list[Path]) -> dict[Path, str]:
    """The name of each image below the folder that holds all of them."""
    folders = {str(path.absolute().parent) for path in paths}
    root = os.path.commonpath(folders) if folders else ""
    return {path: path.absolute().relative_to(root).as_posix() for path in paths}


def records(frame: Frame, number: int, name: str) -> list[dict]:
    """COCO results of a frame's people, with the file's ``name`` and the frame's number.

    ``number`` is the image's id where the frame has none of a json; the frame's number in a video,
    where `track_id` is that of the person in all frames. Positions are rounded to a hundredth of a
    pixel, scores to four digits.
    """
    if frame.points is None:
        return []
    number = number if frame.image_id is None else frame.image_id
    ids, categories = np.full(len(frame.boxes), number), frame.categories or 1
    box_scores = np.array([score for _, score in frame.boxes])
    points, scores = frame.points.astype(np.float64).round(2), frame.scores.astype(np.float64)
    source = {"file_name": name}
    if frame.video:
        source |= {"frame": frame.number, "time": round(frame.seconds, 4)}
    results = coco_results(points, scores.round(4), ids, box_scores, category_id=categories)
    if frame.ids is not None:
        results = [{**r, "track_id": i} for r, i in zip(results, frame.ids, strict=True)]
    return [{**result, **source} for result in results]


class JsonList:
    """A json list that is written record by record."""

    def __init__(self, file: TextIO):
        self.file, self.count = file, 0

    def add(self, records: list[dict]) -> None:
        """Write some records behind those that are there."""
        for record in records:
            self.file.write(",\n" if self.count else "[\n")
            json.dump(record, self.file)
            self.count += 1


@contextmanager
def json_list(path: Path) -> Iterator[JsonList]:
    """A json of one list, written as its records come, whole or not at all."""
    with whole_file(path) as partial, partial.open("w") as file:
        records = JsonList(file)
        yield records
        file.write("\n]\n" if records.count else "[]\n")


class Pictures:
    """A png for each image, an overview of the first ones, and all results in one json."""

    def __init__(self, folder: Path, names: dict[Path, str]):
        self.folder, self.names = folder, names
        images = [path for path in names if not is_video(path)]
        self.ids, self.files = image_ids(images), relative_names(images)
        self.results: list[dict] = []
        self.thumbnails: list[np.ndarray] = []

    def encode(self, frame: Frame, picture: np.ndarray) -> np.ndarray:
        """Write one picture, in any thread."""
        # compressed by 1: 6, the usual, takes 4 x as long
        save_image(self.folder / self._output(frame), picture, compress_level=1)
        return picture

    def add(self, frame: Frame, picture: np.ndarray) -> None:
        """Note one picture; in order."""
        # of each person, as of each input of the other apps; COCO's readers look at neither
        source = {"input": str(frame.path), "output": self._output(frame)}
        self.results += [{**source, **record} for record in self._records(frame)]
        if len(self.thumbnails) < ON_SHEET:
            small = Image.fromarray(picture)
            small.thumbnail((THUMBNAIL, THUMBNAIL))
            self.thumbnails.append(np.asarray(small))

    def close(self) -> None:
        """Write the json and the overview, where there was any picture."""
        if not self.thumbnails:
            return
        with json_list(self.folder / f"{RECORDS}.json") as results:
            results.add(self.results)
        save_image(self.folder / f"{SHEET}.png", sheet(in_rows(self.thumbnails, columns=4)))

    def _records(self, frame: Frame) -> list[dict]:
        return records(frame, self.ids[frame.path], self.files[frame.path])

    def _output(self, frame: Frame) -> str:
        return f"{self.names[frame.path]}.png"


class Film:
    """A video with skeletons, and the results of its frames.

    rate: frames a second, where each frame is to be written at its own time.
    """

    def __init__(self, writer: VideoWriter, results: JsonList, rate: float | None = None):
        self.writer, self.results, self.rate = writer, results, rate
        self.start: float | None = None  # seconds of the first frame

    def encode(self, frame: Frame, picture: np.ndarray) -> np.ndarray:
        """Nothing yet: a video's frames are encoded in their order."""
        return picture

    def add(self, frame: Frame, picture: np.ndarray) -> None:
        """Write one frame; in order."""
        self.results.add(records(frame, frame.number, frame.path.name))
        self.writer.write(self._place(frame), picture)

    def _place(self, frame: Frame) -> int:
        """The frame's number in the film that is written."""
        if self.rate is None:
            return frame.number
        self.start = frame.seconds if self.start is None else self.start
        return round((frame.seconds - self.start) * self.rate)


@contextmanager
def film(path: Path, fps: float, rate: float | None = None) -> Iterator[Film]:
    """Writes ``path`` and the json beside it; rate: in place of fps, see `Film`."""
    with (
        whole_file(path) as partial,
        json_list(path.with_suffix(".json")) as results,
        VideoWriter(partial, rate or fps) as writer,
    ):
        yield Film(writer, results, rate)
