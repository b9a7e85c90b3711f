"""People per second of apps/pose/predict.py on a video, and what each of its stages takes.

python benchmarks/pose_video.py [--seconds 30] [--run RUN] [--flip-test]

The video is drawn: people who move before a backdrop, 1280 x 720 at 25 frames/s; their boxes are
the drawing's own. Without --run the network is demo_scratch's (a Mixer of 128 channels, crops of
128 x 96), untrained, which takes as long.

Then some short videos go through the stages and through a plain loop, one frame after another and
nothing at the same time, in turn; the ratio is the median of the pairs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import core  # noqa: F401 - before torch, so that OpenMP's threads sleep while they wait

# isort: split
import torch
from rich.progress import track
from torch.utils.data import default_collate

from apps.pose.config import PoseConfig
from apps.pose.data.dataset import crop_box
from apps.pose.data.keypoints import COCO_NAMES, KeypointSet
from apps.pose.evaluation.inference import numpy_predictor
from apps.pose.models.network import PoseNet
from apps.pose.people.film import draw_film
from apps.pose.people.skeleton import BONES
from apps.pose.prediction.boxes import BoxFile
from apps.pose.prediction.drawing import draw_people
from apps.pose.prediction.outputs import Film, film
from apps.pose.prediction.refining import Refiner
from apps.pose.prediction.stages import Stages, video_frames
from apps.pose.prediction.video import VideoReader, VideoWriter
from apps.pose.presets import demo_scratch
from core.app.runs import reopen
from core.training.session import Session, build_accelerator

FPS, SHORT, PAIRS = 25, 75, 5  # frames/s, frames of a short video, how many of them


def make_video(path: Path, frames: int, people: int, seed: int) -> Path:
    """A video with, beside it, the json of its people's boxes."""
    boxes, drawn = [], draw_film(seed, frames, fps=FPS, people=people)
    with VideoWriter(path, FPS) as writer:
        for number, (image, labels) in enumerate(track(drawn, f"drawing {path.name}", frames)):
            writer.write(number, image)
            boxes += [{"frame": number, "bbox": label["bbox"]} for label in labels]
    path.with_suffix(".json").write_text(json.dumps(boxes))
    return path


def make_predict(options: argparse.Namespace):
    """What predicts a batch, the model's configuration, and its keypoints."""
    session = Session(build_accelerator())
    if options.run:
        network = reopen(options.run, PoseConfig, PoseNet, session).network
    else:
        torch.manual_seed(0)
        coco = KeypointSet.of(list(COCO_NAMES), [(a - 1, b - 1) for a, b in BONES])
        network = PoseNet(demo_scratch().model, coco).to(session.device).eval()
    predict = numpy_predictor(session, network, options.flip_test)
    return predict, network.config, network.keypoints


def staged(stages: Stages, frames, output: Film) -> int:
    """How many people there were."""
    return sum(len(frame.boxes) for frame in stages(frames, output))


def plain(stages: Stages, frames, output: Film) -> int:
    """The same, each frame by itself and one thing at a time."""
    people, refine = 0, Refiner(stages.keypoints, stages.refining)
    for frame in frames:
        (frame.boxes,), picture = stages.boxes([frame]), frame.image
        if frame.boxes:
            crops = [crop_box(frame.image, box, stages.model) for box, _ in frame.boxes]
            frame.points, frame.scores = stages.predict(default_collate(crops))
            refine(frame)
            drawn_with = frame.points, frame.scores, stages.keypoints
            picture = draw_people(frame.image, *drawn_with, ids=frame.ids)
        output.add(frame, picture)
        people += len(frame.boxes)
    return people


def measure(way, video: Path, predicting: tuple) -> tuple[float, int, Stages]:
    """Seconds, people and stages of one video."""
    stages = Stages(BoxFile(video.with_suffix(".json"), [video], 0), *predicting, print)
    start = time.perf_counter()
    reader = VideoReader(video)
    with film(video.with_name("out.mp4"), reader.fps) as output:
        people = way(stages, video_frames(video, reader, stages.clock), output)
    return time.perf_counter() - start, people, stages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=30, help="of the video")
    parser.add_argument("--people", type=int, default=3, help="in it")
    parser.add_argument("--run", help="a run, whose network is taken")
    parser.add_argument("--flip-test", action="store_true")
    options = parser.parse_args()
    predicting = make_predict(options)
    with tempfile.TemporaryDirectory() as folder:
        frames = options.seconds * FPS
        video = make_video(Path(folder, "walk.mp4"), frames, options.people, 1)
        shorts = [
            make_video(Path(folder, f"short-{i}.mp4"), SHORT, options.people, i)
            for i in range(PAIRS)
        ]
        measure(staged, shorts[0], predicting)  # the first call takes memory and loads code
        seconds, people, stages = measure(staged, video, predicting)
        print(f"{frames} frames, {people} people in {seconds:.1f} s:", end=" ")
        print(f"{frames / seconds:.1f} frames/s, {people / seconds:.1f} people/s")
        print("\n".join(stages.clock.lines(frames, seconds)))
        pairs = [[measure(way, s, predicting)[0] for way in (plain, staged)] for s in shorts]
        ratios = [loop / stage for loop, stage in pairs]
        print(f"{statistics.median(ratios):.2f} times the plain loop's speed", end=" ")
        print(f"({min(ratios):.2f} to {max(ratios):.2f}, {torch.get_num_threads()} threads)")


if __name__ == "__main__":
    main()
