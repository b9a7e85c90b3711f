"""Draw people's keypoints: python apps/pose/predict.py RUN [IMAGE, VIDEO or FOLDER ...].

Boxes of the people come from a json (--boxes), from a detector of torchvision (--detector), or the
whole image is taken for one person. Without inputs, some people of the run's validation data are
predicted from their annotated boxes. --webcam INDEX records a camera until Ctrl-C; there is no
window, as the OpenCV that is installed has none.

RUN/predictions, or --output, gets NAME.png of images, sheet.png and predictions.json, a record for
each person in COCO's results format, with its "input" and "output"; a video gives NAME.mp4 and
NAME.json, whose records have the number of their frame, from 0. What cannot be read is named, the
others go on, and the exit status is 2.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from apps.pose.config import PoseConfig
from apps.pose.data.keypoints import read_json
from apps.pose.data.sets import open_sets
from apps.pose.data.source import PoseData
from apps.pose.evaluation.inference import numpy_predictor
from apps.pose.models.network import PoseNet
from apps.pose.prediction.boxes import BoxFile, BoxSource, of_images, whole_image
from apps.pose.prediction.job import Job
from apps.pose.prediction.pipeline import Boxes
from apps.pose.prediction.stages import Stages
from apps.pose.prediction.video import VIDEO_SUFFIXES
from core.app.predicting import output_folder, prediction_parser
from core.app.runs import reopen
from core.config import entry_point
from core.data.images.files import SUFFIXES, find_images
from core.data.samples import evenly_spaced
from core.errors import InputError
from core.training.session import Session, build_accelerator


def read_words() -> argparse.Namespace:
    parser = prediction_parser(__doc__, f"images, videos {VIDEO_SUFFIXES} or folders", count=12)
    parser.add_argument("--webcam", type=int, help="index of a camera to record until Ctrl-C")
    parser.add_argument("--boxes", help="json: records of bbox and file_name, image_id or frame")
    parser.add_argument("--detector", help="of torchvision, for example fasterrcnn_resnet50_fpn_v2")
    parser.add_argument("--detector-weights", default="", help="a file, or: download")
    parser.add_argument("--min-box-score", type=float, default=0.3, help="of --boxes or --detector")
    parser.add_argument("--min-score", type=float, default=0.3, help="of a keypoint to draw")
    parser.add_argument("--flip-test", action="store_true", help="average with mirrored images")
    parser.add_argument("--batch-size", type=int, default=64, help="people at a time")
    return parser.parse_intermixed_args()


@entry_point
def main() -> None:
    words, session = read_words(), Session(build_accelerator())
    run = reopen(words.run, PoseConfig, PoseNet, session)
    model, keypoints = run.network.config, run.network.keypoints
    inputs = list(dict.fromkeys(find_images(words.inputs, SUFFIXES + VIDEO_SUFFIXES)))
    if inputs or words.webcam is not None:
        boxes, kind = _box_source(words, inputs, session)
    else:
        annotated = annotated_people(replace(run.config, model=model), session, words.count)
        inputs, boxes, kind = list(annotated), of_images(annotated), "annotated boxes"
    if not session.is_main:
        return
    predict = numpy_predictor(session, run.network, words.flip_test)
    stages = Stages(boxes, predict, model, keypoints, report, words.min_score, words.batch_size)
    job = Job(stages, inputs, output_folder(words, run), [words.boxes] if words.boxes else [])
    print(f"people: {kind}")
    job.run(words.webcam)


def report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _box_source(
    words: argparse.Namespace, inputs: list[Path], session: Session
) -> tuple[BoxSource, str]:
    """Where the boxes are from, and how to say it."""
    if words.boxes and words.detector:
        raise InputError("--boxes and --detector both say where the people are: give one of them")
    if words.boxes:
        source = BoxFile(words.boxes, inputs, words.min_box_score)
        return source, f"boxes of {words.boxes}"
    if words.detector:
        from apps.pose.prediction.detector import Detector, open_detector

        network = open_detector(words.detector, words.detector_weights)
        detector = Detector(network, session.device, words.min_box_score)
        return detector, f"boxes by {words.detector}"
    return whole_image, "the whole image as the box"


def annotated_people(config: PoseConfig, session: Session, count: int) -> dict[Path, Boxes]:
    """Images of the run's validation data, evenly over each set, with their annotated boxes."""
    sets, images = list(open_sets(config, session).values()), {}
    for number, data in enumerate(sets):
        share = count * (number + 1) // len(sets) - count * number // len(sets)
        images |= _annotated(data, share)
    return images


def _annotated(data: PoseData, count: int) -> dict[Path, Boxes]:
    content, boxes = read_json(data.val_json), defaultdict(list)
    for annotation in content["annotations"]:
        if any(annotation.get("keypoints", ())[2::3]) and not annotation.get("iscrowd"):
            boxes[annotation["image_id"]].append((annotation["bbox"], 1.0))
    peopled = [image for image in content["images"] if boxes[image["id"]]]
    images = [peopled[i] for i in evenly_spaced(len(peopled), count)]
    folder = data.root / data.files.val_images
    return {folder / image["file_name"]: boxes[image["id"]] for image in images}


if __name__ == "__main__":
    main()
