"""Draw people's keypoints: python apps/pose/predict.py [RUN] [IMAGE, VIDEO or FOLDER ...].

RUN is the folder of a run, one of its checkpoints, or the name of a kept network; where the first
word is none of these, all words are inputs, and the kept network `people` predicts.

Boxes of the people come from a json (--boxes), from a detector (--detector: YOLOX or RTMDet in an
ONNX file, or one of torchvision), or the whole image is taken for one person. Of a run without
inputs some people of its validation data are predicted, from their annotated boxes. --webcam INDEX
records a camera until Ctrl-C; there is no window, as the OpenCV that is installed has none.

RUN/predictions (of a kept network runs/pose/kept/NAME/predictions), or --output, gets NAME.png of
images, sheet.png and predictions.json, a record for each person in COCO's results format, with its
"input" and "output"; a video gives NAME.mp4 and NAME.json, whose records have the number of their
frame, from 0, and the track_id of their person. --coco FILE writes everything once more as a COCO
keypoint json, to correct and to train on. What cannot be read is named, the others go on, and the
exit status is 2.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from apps.pose.config import PoseConfig
from apps.pose.data.keypoints import KeypointSet
from apps.pose.evaluation.inference import numpy_predictor
from apps.pose.models.network import PoseNet
from apps.pose.prediction.annotated import annotated_people
from apps.pose.prediction.boxes import BoxFile, BoxSource, whole_image
from apps.pose.prediction.job import Job
from apps.pose.prediction.onnx_detector import SUFFIX, OnnxDetector
from apps.pose.prediction.refining import Refining, choose
from apps.pose.prediction.stages import Stages
from apps.pose.prediction.video import VIDEO_SUFFIXES
from core.app.predicting import (
    add_max_pixels,
    foreign,
    output_folder,
    pixel_limit,
    prediction_parser,
    refuse_kept,
    run_and_inputs,
)
from core.app.runs import reopen
from core.config import entry_point
from core.data.images.files import SUFFIXES
from core.data.images.folders import find_images
from core.errors import InputError
from core.ranges import Count, Share, argument
from core.training.session import Session, build_accelerator

WHOLE = (
    "no boxes: each whole image is one person's box, who should fill it; for several people or "
    "small ones give --detector or --boxes"
)


def read_words() -> argparse.Namespace:
    """The command line; it ends here where it is none."""
    inputs = f"images, videos {VIDEO_SUFFIXES} or folders"
    parser = prediction_parser(__doc__, inputs, count=12, kept=PoseNet.KEPT)
    parser.add_argument("--webcam", type=int, help="index of a camera to record until Ctrl-C")
    parser.add_argument("--boxes", help="json: records of bbox and file_name, image_id or frame")
    parser.add_argument(
        "--detector", default="", help="YOLOX or RTMDet as FILE.onnx, or a name of torchvision"
    )
    parser.add_argument("--detector-weights", default="", help="a file, or: download")
    parser.add_argument(
        "--min-box-score",
        type=argument(Share),
        default=0.3,
        help="of --boxes or --detector",
    )
    parser.add_argument(
        "--min-score", type=argument(Share), default=0.3, help="of a keypoint to draw"
    )
    parser.add_argument("--coco", type=Path, help="json to write, to correct and to train on")
    parser.add_argument("--keypoints", nargs="+", default=(), help="names to draw and write (all)")
    parser.add_argument("--no-nms", action="store_true", help="keep several boxes of a person")
    parser.add_argument("--no-smooth", action="store_true", help="of videos: keep the trembling")
    parser.add_argument("--flip-test", action="store_true", help="average with mirrored images")
    parser.add_argument("--batch-size", type=argument(Count), default=64, help="people at a time")
    add_max_pixels(parser, "a larger one is left out")
    return parser.parse_intermixed_args()


@entry_point
def main() -> None:
    words, session = read_words(), Session(build_accelerator())
    named, inputs = run_and_inputs(words.inputs, PoseNet.KEPT)
    run = reopen(named, PoseConfig, PoseNet, session)
    model, keypoints = run.network.config, run.network.keypoints
    inputs = list(dict.fromkeys(find_images(inputs, SUFFIXES + VIDEO_SUFFIXES)))
    if inputs or words.webcam is not None:
        embedded = not (run.kept or run.config.data.root or run.config.data.sets)
        for line in foreign(embedded, "people that a program drew", "photographs"):
            session.print(line)
        boxes, kind = _box_source(words, inputs, session)
    elif words.boxes or words.detector:
        raise InputError("--boxes and --detector are for inputs: name images, videos or a folder")
    else:
        refuse_kept(run, "images, videos or a folder")
        annotated = annotated_people(replace(run.config, model=model), session, words.count)
        inputs, boxes, kind = list(annotated.people), annotated, "annotated boxes"
    if not session.is_main:
        return
    predict = numpy_predictor(session, run.network, words.flip_test)
    refining = _refining(words, keypoints)
    stages = Stages(boxes, predict, model, keypoints, report, refining, words.batch_size)
    read = [words.boxes] if words.boxes else []
    limit = pixel_limit(words, run.config.data.max_pixels)
    job = Job(stages, inputs, output_folder(words, run), read, words.coco, limit)
    print(f"people: {kind}")
    job.run(words.webcam)


def report(line: str) -> None:
    """A line for the person, beside what is written to stdout."""
    print(line, file=sys.stderr, flush=True)


def _refining(words: argparse.Namespace, keypoints: KeypointSet) -> Refining:
    """What is done with the people. Duplicates are a detector's: annotations have none."""
    distinct = bool(words.boxes or words.detector) and not words.no_nms
    if distinct and not keypoints.sigmas:
        report("the run's keypoints have no sigmas: several boxes of one person all stay")
    chosen = choose(keypoints, words.keypoints)
    return Refining(distinct, not words.no_smooth, words.min_score, chosen)


def _box_source(
    words: argparse.Namespace, inputs: list[Path], session: Session
) -> tuple[BoxSource, str]:
    """Where the boxes are from, and how to say it."""
    if words.boxes and words.detector:
        raise InputError("--boxes and --detector both say where the people are: give one of them")
    if words.detector_weights and not words.detector:
        raise InputError("--detector-weights: say of which detector, with --detector NAME")
    if words.boxes:
        source = BoxFile(words.boxes, inputs, words.min_box_score)
        return source, f"boxes of {words.boxes}"
    if words.detector.endswith(SUFFIX):
        if words.detector_weights:
            raise InputError(f"--detector-weights: {words.detector} has its weights: leave it out")
        detector = OnnxDetector(words.detector, words.min_box_score)
        return detector, f"boxes by {detector}"
    if words.detector:
        from apps.pose.prediction.detector import Detector, open_detector

        network = open_detector(words.detector, words.detector_weights)
        detector = Detector(network, session.device, words.min_box_score)
        return detector, f"boxes by {words.detector}"
    return whole_image, WHOLE


if __name__ == "__main__":
    main()
