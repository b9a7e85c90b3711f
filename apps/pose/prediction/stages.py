"""From frames to drawn frames: boxes, crops, network, drawing, encoding, all at the same time.

    decode -> boxes and crops -> network -> drawing (and encoding of pictures) -> encoding of videos

An arrow is a queue to another thread. A few frames are taken together, and all their people go
through the network in as few batches as they fit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from torch.utils.data import default_collate

from apps.pose.config import ModelConfig
from apps.pose.data.dataset import crop_box, read_image
from apps.pose.data.joining import subset
from apps.pose.data.keypoints import KeypointSet
from apps.pose.prediction.boxes import BoxSource, usable
from apps.pose.prediction.drawing import draw_people
from apps.pose.prediction.outputs import Film, Pictures
from apps.pose.prediction.pipeline import (
    Clock,
    Frame,
    applied,
    chain,
    closed,
    grouped,
    mapped,
    prefetch,
)
from apps.pose.prediction.refining import USUAL, Refiner, Refining
from apps.pose.prediction.video import VIDEO_SUFFIXES, Camera, VideoReader
from core.data.images.files import PILLOWS, SUFFIXES, PixelLimit
from core.data.loading import BadSample

Predict = Callable[[dict], tuple[np.ndarray, np.ndarray]]  # as `numpy_predictor` makes it
Report = Callable[[str], object]  # what takes a line for a person
MAX_REPORTED = 3  # unusable boxes of an input that are described; the others are counted


class Stages:
    """What is done with each frame. ``clock`` has the time of each stage afterwards."""

    def __init__(
        self,
        boxes: BoxSource,
        predict: Predict,
        model: ModelConfig,
        keypoints: KeypointSet,
        report: Report,
        refining: Refining = USUAL,
        batch_size: int = 64,
    ):
        """``batch_size``: people in a batch."""
        self.boxes, self.predict, self.model, self.keypoints = boxes, predict, model, keypoints
        self.report, self.refining, self.batch_size = report, refining, batch_size
        chosen = refining.chosen  # what is drawn and written; none: all
        self.shown = subset(keypoints, chosen) if chosen else keypoints
        self.clock, self.unusable = Clock(), Counter()

    def __call__(self, frames: Iterable[Frame], output: Pictures | Film) -> Iterator[Frame]:
        """The frames in their order, once each is written."""
        # each prefetch is a thread: boxes and crops of the next frames are made while the network
        # works on these, and decoding, inside the first one, is a thread further ahead
        located = prefetch(applied(self.locate, prefetch(grouped(frames))))
        predicted = prefetch(applied(self.find, located))
        # of what follows each other only one thread may know
        refine = Refiner(self.keypoints, self.refining)
        refined = applied(partial(self.refine, refine), chain(predicted))
        drawn = mapped(partial(self.draw, output), refined)
        with closed(drawn):
            for frame, picture in drawn:
                with self.clock("encode"):
                    output.add(frame, picture)
                yield frame

    def locate(self, group: list[Frame]) -> tuple[list[Frame], dict | None]:
        """Frames with the boxes of their people, and the crops of all of these, if any."""
        with self.clock("boxes"):
            boxes_of_each = self.boxes(group)
        with self.clock("crop"):
            crops = []
            for frame, boxes in zip(group, boxes_of_each, strict=True):
                frame.boxes, wrong = usable(boxes, frame.image)
                self._report_unusable(frame, wrong)
                crops += [crop_box(frame.image, box, self.model) for box, _ in frame.boxes]
            return group, default_collate(crops) if crops else None

    def find(self, located: tuple[list[Frame], dict | None]) -> list[Frame]:
        """Frames with the keypoints of their people."""
        group, crops = located
        if crops is None:
            return group
        with self.clock("network"):
            count = len(crops["image"])
            starts = range(0, count, self.batch_size)
            batches = [{k: v[i : i + self.batch_size] for k, v in crops.items()} for i in starts]
            points, scores = map(np.concatenate, zip(*map(self.predict, batches), strict=True))
        areas = crops["scale"].prod(1).numpy()
        # the people of all frames went together; each frame gets its own back, in their order
        ends = np.cumsum([len(frame.boxes) for frame in group])[:-1]
        of_each = (np.split(values, ends) for values in (points, scores, areas))
        for frame, p, s, a in zip(group, *of_each, strict=True):
            if frame.boxes:
                frame.points, frame.scores, frame.areas = p, s, a
        return group

    def refine(self, refine: Refiner, frame: Frame) -> Frame:
        """The frame with its people told apart, and of a video followed."""
        with self.clock("people"):
            return refine(frame)

    def draw(self, output: Pictures | Film, frame: Frame) -> tuple[Frame, np.ndarray]:
        """The frame and its picture (h, w, 3) uint8 RGB."""
        picture = frame.image
        if frame.points is not None:
            with self.clock("draw"):
                people = frame.points, frame.scores, self.shown
                least = self.refining.min_score
                picture = draw_people(frame.image, *people, least, frame.ids)
        with self.clock("encode"):
            return frame, output.encode(frame, picture)

    def _report_unusable(self, frame: Frame, wrong: list[str]) -> None:
        for reason in wrong:
            self.unusable[frame.path] += 1
            if self.unusable[frame.path] <= MAX_REPORTED:
                self.report(f"left out: {frame}: {reason}")

    def report_unusable(self) -> None:
        """Say how many boxes of each input were left out without being described."""
        for path, count in self.unusable.items():
            if count > MAX_REPORTED:
                others = count - MAX_REPORTED
                self.report(f"left out: {path}: {others} more boxes that cannot be used")


def image_frames(
    paths: list[Path],
    clock: Clock,
    leave_out: Callable[[BadSample], object],
    limit: PixelLimit = PILLOWS,
) -> Iterator[Frame]:
    """Frames of the images that can be read; ``leave_out`` gets why each other one cannot."""
    for frame in mapped(partial(_read, clock, limit), enumerate(paths)):
        if isinstance(frame, BadSample):
            leave_out(frame)
        else:
            yield frame


def _read(clock: Clock, limit: PixelLimit, numbered: tuple[int, Path]) -> Frame | BadSample:
    number, path = numbered
    try:
        with clock("decode"):
            return Frame(path, number, read_image(path, limit))
    except BadSample as bad:
        if path.suffix.lower() in SUFFIXES:
            return bad
        return BadSample(path, f"is no image, and no video ({', '.join(VIDEO_SUFFIXES)})")


def video_frames(path: Path, source: VideoReader | Camera, clock: Clock) -> Iterator[Frame]:
    """Frames of a video or a camera."""
    for number, image in clock.timed("decode", source):
        yield Frame(path, number, image, video=True, fps=source.fps, time=source.time)
