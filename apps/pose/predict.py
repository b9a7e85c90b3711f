"""Draw people's keypoints: python apps/pose/predict.py RUN [IMAGE, VIDEO or FOLDER ...].

Boxes of the people come from a json (--boxes), from a detector of torchvision (--detector), or the
whole image is taken for one person. Without inputs, some people of the run's validation data are
predicted from their annotated boxes. --webcam INDEX records a camera until Ctrl-C; there is no
window, as the OpenCV that is installed has none.

Images give NAME.png, sheet.png and predictions.json; a video gives NAME.mp4 and NAME.json, whose
records have the number of their frame, from 0. What cannot be read is named, the others go on, and
the exit status is 2.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

from rich.progress import Progress

from apps.pose.config import PoseConfig
from apps.pose.data.keypoints import read_json
from apps.pose.data.source import PoseData
from apps.pose.eval import open_run
from apps.pose.evaluation.inference import predictor
from apps.pose.prediction.boxes import BoxFile, BoxSource, of_images, whole_image
from apps.pose.prediction.outputs import RESULTS, SHEET, Pictures, film, is_video, place_outputs
from apps.pose.prediction.pipeline import Boxes
from apps.pose.prediction.stages import Stages, image_frames, video_frames
from apps.pose.prediction.video import SUFFIX, VIDEO_SUFFIXES, Camera, VideoReader
from core.config import entry_point
from core.data.images.files import SUFFIXES, find_images
from core.data.loading import BadSample
from core.errors import InputError
from core.training.session import Session, build_accelerator


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", help="folder of a run, or of one of its checkpoints")
    parser.add_argument("inputs", nargs="*", help=f"images, videos {VIDEO_SUFFIXES} or folders")
    parser.add_argument("--webcam", type=int, help="index of a camera to record until Ctrl-C")
    parser.add_argument("--boxes", help="json: records of bbox and file_name, image_id or frame")
    parser.add_argument("--detector", help="of torchvision, for example fasterrcnn_resnet50_fpn_v2")
    parser.add_argument("--detector-weights", default="", help="a file, or: download")
    parser.add_argument("--min-box-score", type=float, default=0.3, help="of --boxes or --detector")
    parser.add_argument("--min-score", type=float, default=0.3, help="of a keypoint to draw")
    parser.add_argument("--flip-test", action="store_true", help="average with mirrored images")
    parser.add_argument("--batch-size", type=int, default=64, help="people at a time")
    parser.add_argument("--output", type=Path, help="folder for pictures (RUN/pictures)")
    parser.add_argument("--count", type=int, default=12, help="pictures, where no input is given")
    _predict(parser.parse_args())


def _predict(options: argparse.Namespace) -> None:
    session = Session(build_accelerator())
    config, network, checkpoint = open_run(options.run, session)
    inputs = list(dict.fromkeys(find_images(options.inputs, SUFFIXES + VIDEO_SUFFIXES)))
    if inputs or options.webcam is not None:
        boxes, kind = _box_source(options, inputs, session)
    else:
        annotated = annotated_people(config, session, options.count)
        inputs, boxes, kind = list(annotated), of_images(annotated), "annotated boxes"
    if not session.is_main:
        return
    predict = predictor(network, config.model, network.keypoints, options.flip_test)

    def on_device(batch: dict):
        with session.accelerator.autocast():
            return predict(session.to_device(batch))

    stages = Stages(boxes, on_device, config.model, network.keypoints, _tell,
                    options.min_score, options.batch_size)  # fmt: skip
    output = options.output or checkpoint.parents[1] / "pictures"
    output.mkdir(parents=True, exist_ok=True)
    print(f"people: {kind}")
    Job(stages, inputs, output, options.boxes).run(options.webcam)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _box_source(options, inputs: list[Path], session: Session) -> tuple[BoxSource, str]:
    """Where the boxes are from, and how to say it."""
    if options.boxes and options.detector:
        raise InputError("--boxes and --detector both say where the people are: give one of them")
    if options.boxes:
        source = BoxFile(options.boxes, inputs, options.min_box_score)
        return source, f"boxes of {options.boxes}"
    if options.detector:
        from apps.pose.prediction.detector import Detector, open_detector

        network = open_detector(options.detector, options.detector_weights)
        found = Detector(network, session.device, options.min_box_score)
        return found, f"boxes by {options.detector}"
    return whole_image, "the whole image as the box"


def annotated_people(config: PoseConfig, session: Session, count: int) -> dict[Path, Boxes]:
    """The first images of the run's validation data, with their annotated boxes."""
    data = PoseData(config, session)
    content, boxes = read_json(data.val_json), defaultdict(list)
    for annotation in content["annotations"]:
        if any(annotation.get("keypoints", ())[2::3]) and not annotation.get("iscrowd"):
            boxes[annotation["image_id"]].append((annotation["bbox"], 1.0))
    images = [image for image in content["images"] if boxes[image["id"]]][:count]
    folder = data.root / data.files.val_images
    return {folder / image["file_name"]: boxes[image["id"]] for image in images}


class Job:
    """All inputs of one command, one after another."""

    def __init__(self, stages: Stages, inputs: list[Path], output: Path, boxes: str | None):
        self.names = place_outputs(inputs, output, [boxes] if boxes else [])
        self.stages, self.inputs, self.output = stages, inputs, output
        self.lost: list[BadSample] = []
        self.frames = self.people = 0

    def run(self, webcam: int | None = None) -> None:
        """Predict everything, and sum up. Raises InputError at the end if an input was bad."""
        start = time.perf_counter()
        with Progress() as self.progress:
            if images := [path for path in self.inputs if not is_video(path)]:
                self._images(images)
            for path in filter(is_video, self.inputs):
                self._video(path)
            if webcam is not None:
                self._webcam(webcam)
        self.stages.report_unusable()
        self._sum_up(time.perf_counter() - start)
        if self.lost:
            raise InputError(
                f"{len(self.lost)} of {len(self.inputs)} inputs could not be read to their end"
            )

    def _lose(self, bad: BadSample) -> None:
        self.lost.append(bad)
        _tell(f"left out: {bad}")

    def _images(self, paths: list[Path]) -> None:
        pictures = Pictures(self.output, self.names)
        frames = image_frames(paths, self.stages.clock, self._lose)
        self._work(self.stages(frames, pictures), "images", len(paths))
        pictures.close()
        if pictures.thumbnails:
            place = self.output / f"{SHEET}.png"
            print(f"pictures: {self.output}, an overview: {place}")
            print(f"keypoints in COCO's results format: {self.output / RESULTS}.json")

    def _video(self, path: Path) -> None:
        try:
            reader = VideoReader(path)
            self._film(path, reader, self.output / f"{self.names[path]}{SUFFIX}")
        except BadSample as bad:
            self._lose(bad)
            return
        if missing := reader.missing():
            kept = f"{reader.decoded} of {reader.count} frames could be decoded; these are kept"
            self.lost.append(bad := BadSample(path, f"ends early, {missing} frames are missing"))
            _tell(f"{bad}: {kept}")
        last = self.stages.boxes.last_frame(path) if isinstance(self.stages.boxes, BoxFile) else 0
        if last >= max(reader.decoded, reader.count):
            _tell(f"{self.stages.boxes.path} has boxes up to frame {last}, but {path} has "
                  f"{reader.decoded} frames, counted from 0")  # fmt: skip

    def _webcam(self, index: int) -> None:
        stop, name = threading.Event(), time.strftime(f"webcam-{index}-%Y%m%d-%H%M%S")
        camera = Camera(index, stop)
        print("recording: Ctrl-C ends it")
        usual = signal.signal(signal.SIGINT, lambda *_: stop.set())
        try:
            self._film(Path(name), camera, self.output / f"{name}{SUFFIX}")
        finally:
            signal.signal(signal.SIGINT, usual)

    def _film(self, path: Path, source: VideoReader | Camera, target: Path) -> None:
        with film(target, source.fps) as output:
            frames = video_frames(path, source, self.stages.clock)
            self._work(self.stages(frames, output), path.name, source.count)
        print(f"video: {target}, keypoints: {target.with_suffix('.json')}")

    def _work(self, frames, name: str, total: int) -> None:
        task = self.progress.add_task(name, total=total or None)
        for frame in frames:
            self.frames += 1
            self.people += len(frame.boxes)
            self.progress.advance(task)

    def _sum_up(self, seconds: float) -> None:
        rates = f"{self.frames / seconds:.1f} frames/s, {self.people / seconds:.1f} people/s"
        print(f"{self.frames} frames, {self.people} people in {seconds:.1f} s: {rates}")
        for line in self.stages.clock.lines(self.frames, seconds):
            print(line)


if __name__ == "__main__":
    main()
