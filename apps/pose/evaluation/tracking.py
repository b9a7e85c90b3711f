"""How well people are followed.

    python -m apps.pose.evaluation.tracking [RUN] [--seconds 10]

A film of drawn people who cross each other, whose identities and keypoints are known, goes through
the refining of predict.py. Keypoints are those of RUN's network in the drawing's boxes, or without
a run the true ones with noise. In both cases boxes tremble by the same noise; who is nearly hidden
is left out, as by a detector, and --miss leaves out others.

    switches    times that somebody's id is another one than when last seen (ID switches of CLEAR
                MOT, Bernardin and Stiefelhagen 2008)
    jitter      mean length of a keypoint's acceleration, pixels per frame squared
    error       mean distance to the true keypoint, pixels
    lag         frames by which keypoints follow the true ones: the peak of the cross-correlation of
                their speeds, placed between frames by a parabola

P people, F frames, K keypoints; a keypoint that is not there is NaN. Of the truth only labelled
keypoints count.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from rich.progress import track
from torch.utils.data import default_collate

from apps.pose.config import PoseConfig
from apps.pose.data.dataset import crop_box
from apps.pose.data.keypoints import COCO_NAMES, KeypointSet
from apps.pose.evaluation.inference import numpy_predictor
from apps.pose.models.network import PoseNet
from apps.pose.people.film import draw_film
from apps.pose.prediction.boxes import usable
from apps.pose.prediction.pipeline import Frame
from apps.pose.prediction.refining import Refiner, Refining
from core.app.runs import reopen
from core.config import entry_point
from core.errors import InputError
from core.ranges import Count, NonNegative, Positive, Range, Seed, Share, argument
from core.tables import Table
from core.training.session import Session, build_accelerator

SIZE = (640, 360)  # of the film
VISIBLE = 5  # keypoints of somebody whom a detector would find
MOST_LAG = 8  # frames that are looked at

Keypoints = Callable[[Frame], tuple[np.ndarray, np.ndarray]]  # points (M, K, 2), scores (M, K)


@dataclass(frozen=True)
class Film:
    """Frames with boxes, keypoints and scores, and of each box whose it is."""

    frames: list[Frame]
    people: list[list[int]]  # true ids, in the order of the frame's boxes
    truth: np.ndarray  # (P, F, K, 2)


def make_film(
    options: argparse.Namespace, keypoints: KeypointSet, predict: Keypoints | None = None
) -> Film:
    """The film; ``predict`` gives a frame's keypoints, without it they are the true ones with
    noise."""
    rng = np.random.default_rng(options.seed)
    count, frames, people, truths = round(options.seconds * options.fps), [], [], []
    drawn = draw_film(options.seed, count, *SIZE, options.fps, options.people)
    for number, (image, labels) in enumerate(track(drawn, "drawing", count)):
        labels = [a for a in labels if rng.uniform() >= options.miss and _visible(a) >= VISIBLE]
        frame = Frame(Path("film.mp4"), number, image, video=True, fps=options.fps)
        people.append([label["track_id"] for label in labels])
        points = np.array([label["keypoints"] for label in labels], float).reshape(-1, 17, 3)
        truths.append(np.where(points[..., 2:] > 0, points[..., :2], np.nan))
        if labels:
            boxes = np.array([label["bbox"] for label in labels], float)
            # a keypoint without a label is somewhere, too
            middles = (boxes[:, :2] + boxes[:, 2:] / 2)[:, None]
            whole = np.where(points[..., 2:] > 0, points[..., :2], middles)
            _put_people(frame, boxes, whole, options.noise, rng, predict)
        frame.image = image[:0]  # no longer needed
        frames.append(frame)
    return Film(frames, people, by_person(people, truths, len(keypoints)))


def _visible(label: dict) -> int:
    """Keypoints that nothing hides."""
    return sum(v == 2 for v in label["keypoints"][2::3])


def _put_people(frame: Frame, boxes, points, noise: float, rng, predict: Keypoints | None) -> None:
    """Trembling boxes (M, 4), and keypoints: predicted in them, or the true ones, trembling."""
    sizes = np.sqrt(boxes[:, 2] * boxes[:, 3])
    trembling = boxes + rng.normal(0, 1, boxes.shape) * noise * sizes[:, None]
    trembling[:, 2:] = trembling[:, 2:].clip(2)
    frame.boxes = [(box, 1.0) for box in trembling.tolist()]
    if predict:
        frame.points, frame.scores = predict(frame)
    else:
        frame.points = points + rng.normal(0, 1, points.shape) * noise * sizes[:, None, None]
        frame.scores = np.ones(points.shape[:2])


def by_person(people: list[list[int]], points: list[np.ndarray], count: int) -> np.ndarray:
    """(P, F, K, 2) from the points (M, K, 2) of each frame and whose they are."""
    known = sorted({person for frame in people for person in frame})
    result = np.full((len(known), len(people), count, 2), np.nan)
    for number, (frame, of_frame) in enumerate(zip(people, points, strict=True)):
        for person, body in zip(frame, of_frame, strict=True):
            result[known.index(person), number] = body
    return result


def refined(film: Film, keypoints: KeypointSet, wanted: Refining) -> tuple[np.ndarray, list]:
    """Keypoints (P, F, K, 2) after refining, and the ids of each frame's people."""
    refine, points, ids = Refiner(keypoints, wanted), [], []
    for frame in film.frames:
        done = refine(replace(frame))
        points.append(done.points if done.boxes else np.empty((0, len(keypoints), 2)))
        ids.append(done.ids or [])
    return by_person(film.people, points, len(keypoints)), ids


def count_switches(people: list[list[int]], ids: list[list[int]]) -> int:
    """How often somebody has another id than when last seen."""
    last, switches = defaultdict(lambda: None), 0
    for of_frame, given in zip(people, ids, strict=True):
        for person, number in zip(of_frame, given, strict=True):
            switches += last[person] not in (None, number)
            last[person] = number
    return switches


def jitter(points: np.ndarray) -> float:
    """Mean acceleration of (P, F, K, 2), pixels per frame squared."""
    return float(np.nanmean(np.linalg.norm(np.diff(points, 2, axis=1), axis=-1)))


def error(points: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of (P, F, K, 2), pixels."""
    return float(np.nanmean(np.linalg.norm(points - truth, axis=-1)))


def lag(points: np.ndarray, truth: np.ndarray) -> float:
    """Frames by which points (P, F, K, 2) are behind the truth; MOST_LAG at most, either way."""
    speed, true_speed = np.diff(points, axis=1), np.diff(truth, axis=1)
    length = speed.shape[1]
    agreement = []
    for shift in range(-MOST_LAG, MOST_LAG + 1):
        later, earlier = max(shift, 0), max(-shift, 0)
        pair = speed[:, later : length - earlier], true_speed[:, earlier : length - later]
        agreement.append(_correlation(*pair))
    best = int(np.argmax(agreement[1:-1])) + 1
    before, peak, after = agreement[best - 1 : best + 2]
    return best - MOST_LAG + 0.5 * (before - after) / (before - 2 * peak + after)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Of the values that both have, about 0."""
    both = ~np.isnan(a + b)
    return float((a[both] * b[both]).sum() / np.sqrt((a[both] ** 2).sum() * (b[both] ** 2).sum()))


def measure(film: Film, keypoints: KeypointSet) -> Table:
    """A row without smoothing, one with it, and the truth's own jitter."""
    rows = []
    seen = ~np.isnan(film.truth)
    for name, smooth in (("as predicted", False), ("smoothed", True)):
        points, ids = refined(film, keypoints, Refining(smooth=smooth, min_score=0))
        points = np.where(seen, points, np.nan)
        figures = jitter(points), error(points, film.truth), lag(points, film.truth)
        rows.append((name, count_switches(film.people, ids), *figures))
    rows.append(("truth", 0, jitter(film.truth), 0.0, lag(film.truth, film.truth)))
    columns = ("keypoints", "switches", "jitter", "error", "lag")
    title = f"{len(film.frames)} frames, {len(film.truth)} people"
    return Table(title, columns, rows, form="{:.2f}")


def network_keypoints(path: str) -> tuple[KeypointSet, Keypoints]:
    """A run's keypoints, and what predicts those of a frame. Raises InputError unless COCO's."""
    session = Session(build_accelerator())
    run = reopen(path, PoseConfig, PoseNet, session)
    if run.network.keypoints.names != COCO_NAMES:
        raise InputError(f"{path} is not about COCO's 17 keypoints, which the drawn people have")
    predict = numpy_predictor(session, run.network, False)

    def of_frame(frame: Frame) -> tuple[np.ndarray, np.ndarray]:
        boxes = [usable([box], frame.image)[0] or [box] for box in frame.boxes]
        crops = [crop_box(frame.image, box, run.network.config) for ((box, _),) in boxes]
        return predict(default_collate(crops))

    return run.network.keypoints, of_frame


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", nargs="?", help="whose network predicts (the truth with noise)")
    parser.add_argument("--seconds", type=argument(Positive), default=10, help="of the film")
    parser.add_argument(
        "--fps", type=argument(Annotated[float, Range(1)]), default=30, help="frames per second"
    )
    parser.add_argument("--people", type=argument(Count), default=4, help="at a time")
    parser.add_argument(
        "--noise", type=argument(NonNegative), default=0.02, help="deviation, in people's sizes"
    )
    parser.add_argument(
        "--miss",
        type=argument(Share),
        default=0.1,
        help="share of the boxes to leave out",
    )
    parser.add_argument("--seed", type=argument(Seed), default=0)
    options = parser.parse_args()
    keypoints, predict, source = KeypointSet.of(COCO_NAMES), None, "the true keypoints with noise"
    if options.run:
        (keypoints, predict), source = network_keypoints(options.run), options.run
    print(measure(make_film(options, keypoints, predict), keypoints))
    print(f"of {source}")


if __name__ == "__main__":
    main()
