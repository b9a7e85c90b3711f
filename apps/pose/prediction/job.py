"""All inputs of one prediction command: images, videos, a camera."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

from rich.progress import Progress

from apps.pose.prediction.boxes import BoxFile
from apps.pose.prediction.coco_file import CocoFile
from apps.pose.prediction.outputs import SHEET, Pictures, film, is_video, place_outputs
from apps.pose.prediction.stages import Stages, image_frames, video_frames
from apps.pose.prediction.video import SUFFIX, Camera, VideoReader, uneven_rate
from core.app.predicting import RECORDS, LeftOut
from core.data.images.files import PILLOWS, PixelLimit
from core.data.loading import BadSample
from core.errors import InputError
from core.files import kept_if_filled


class Job:
    """All inputs of one command, one after another."""

    def __init__(
        self,
        stages: Stages,
        inputs: list[Path],
        output: Path,
        read: list[str],
        coco: Path | None = None,
        limit: PixelLimit = PILLOWS,
    ):
        """``read``: other files that must not be overwritten. Raises InputError where one would.

        coco: the COCO keypoint json to write, too; none of the other outputs may take its place.
        limit: of an image's size.
        """
        self.names = place_outputs(inputs, output, [*read, str(coco)] if coco else read)
        self.stages, self.inputs, self.output, self.limit = stages, inputs, output, limit
        self.coco = coco and CocoFile(coco, stages.shown, stages.refining.min_score, inputs, read)
        self.left_out = LeftOut()
        self.frames = self.people = 0

    def run(self, webcam: int | None = None) -> None:
        """Predict everything, and sum up. Raises InputError at the end if an input was bad."""
        with kept_if_filled(self.output):
            self._predict(webcam)
        self.left_out.check(len(self.inputs))
        if (unusable := self.stages.unusable.total()) and not self.people:
            raise InputError(f"none of the {unusable} boxes could be used")

    def _predict(self, webcam: int | None) -> None:
        start = time.perf_counter()
        with Progress() as self.progress:
            if images := [path for path in self.inputs if not is_video(path)]:
                self._images(images)
            for path in filter(is_video, self.inputs):
                self._video(path)
            if webcam is not None:
                self._webcam(webcam)
        if self.coco:
            self.coco.write()
        self.stages.report_unusable()
        self._sum_up(time.perf_counter() - start)

    def _leave_out(self, bad: BadSample) -> None:
        self.left_out.add(bad.path, bad.reason)

    def _images(self, paths: list[Path]) -> None:
        pictures = Pictures(self.output, self.names)
        frames = image_frames(paths, self.stages.clock, self._leave_out, self.limit)
        self._work(self.stages(frames, pictures), "images", len(paths))
        pictures.close()
        if pictures.thumbnails:
            place = self.output / f"{SHEET}.png"
            print(f"pictures: {self.output}, an overview: {place}")
            print(f"keypoints in COCO's results format: {self.output / RECORDS}.json")

    def _video(self, path: Path) -> None:
        try:
            reader = VideoReader(path)
            self._film(path, reader, self.output / f"{self.names[path]}{SUFFIX}")
        except BadSample as bad:
            self._leave_out(bad)
            return
        self._check_end(path, reader)
        self._check_boxes(path, reader)

    def _check_end(self, path: Path, reader: VideoReader) -> None:
        """A video that breaks off counts as left out, though what there is of it is predicted."""
        if missing := reader.missing():
            rest = f"{reader.decoded} of {reader.count} frames could be decoded, and are predicted"
            self.left_out.add(path, f"ends early, {missing} frames are missing: {rest}")

    def _check_boxes(self, path: Path, reader: VideoReader) -> None:
        """Boxes beyond the end: somebody counts frames from 1, or has taken another video."""
        boxes = self.stages.boxes
        last = boxes.last_frame(path) if isinstance(boxes, BoxFile) else 0
        if last >= max(reader.decoded, reader.count):
            self.stages.report(
                f"{boxes.path} has boxes up to frame {last}, but {path} has "
                f"{reader.decoded} frames, counted from 0"
            )

    def _webcam(self, index: int) -> None:
        stop, name = threading.Event(), time.strftime(f"webcam-{index}-%Y%m%d-%H%M%S")
        camera = Camera(index, stop)
        print("recording: Ctrl-C ends it")
        # Ctrl-C ends the recording, not the program: the video still has to be completed
        usual = signal.signal(signal.SIGINT, lambda *_: stop.set())
        try:
            self._film(Path(name), camera, self.output / f"{name}{SUFFIX}")
        finally:
            signal.signal(signal.SIGINT, usual)

    def _film(self, path: Path, source: VideoReader | Camera, target: Path) -> None:
        rate = uneven_rate(path) if isinstance(source, VideoReader) else None
        with film(target, source.fps, rate) as output:
            frames = video_frames(path, source, self.stages.clock)
            self._work(self.stages(frames, output), path.name, source.count)
        print(f"video: {target}, keypoints: {target.with_suffix('.json')}")

    def _work(self, frames, name: str, total: int) -> None:
        task = self.progress.add_task(name, total=total or None)
        for frame in frames:
            self.frames += 1
            self.people += len(frame.boxes)
            if self.coco:
                self.coco.add(frame)
            self.progress.advance(task)

    def _sum_up(self, seconds: float) -> None:
        rates = f"{self.frames / seconds:.1f} frames/s, {self.people / seconds:.1f} people/s"
        print(f"{self.frames} frames, {self.people} people in {seconds:.1f} s: {rates}")
        for line in self.stages.clock.lines(self.frames, seconds):
            print(line)
