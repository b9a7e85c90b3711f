"""Photographs: the keypoints of people, in boxes that a person may give."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from apps.pose.config import PoseConfig
from apps.pose.data.dataset import read_image
from apps.pose.evaluation.inference import numpy_predictor
from apps.pose.models.network import PoseNet
from apps.pose.prediction.boxes import BoxSource, whole_image
from apps.pose.prediction.drawing import draw_boxes, draw_people
from apps.pose.prediction.outputs import records
from apps.pose.prediction.pipeline import Frame
from apps.pose.prediction.stages import Stages
from core.app.naming import UNSURE
from core.app.predicting import RECORDS, foreign
from core.app.runs import TrainedRun, reopen
from core.errors import InputError
from core.files import write_json
from core.pictures.sheets import save_image
from core.training.session import Session
from page.crafts.craft import LIMIT, SAMPLES, Answer, Craft, Request

LEAST = 0.3  # score of a keypoint that is drawn
WHOLE = (
    "**No boxes**: the whole picture was taken for one person, who should fill it. Click two "
    "corners of each person in the picture, and go again."
)


def open_network(word: str, session: Session) -> TrainedRun:
    return reopen(word, PoseConfig, PoseNet, session)


def answer(session: Session, run: TrainedRun, request: Request) -> Answer:
    network, unusable, boxes = run.network, [], boxes_of(request.words)
    stages = Stages(
        given(boxes) if boxes else whole_image,
        numpy_predictor(session, network, flip_test=False),
        network.config,
        network.keypoints,
        unusable.append,
    )
    frame = Frame(request.file, 0, read_image(request.file, LIMIT))
    (frame,) = stages.find(stages.locate([frame]))
    stages.report_unusable()
    if frame.points is None:
        raise InputError("; ".join(line.rpartition(": ")[2] for line in unusable))
    people = frame.points, frame.scores, network.keypoints
    stem = request.stem
    drawn = draw_people(draw_boxes(frame.image, boxes), *people, LEAST)
    picture = save_image(request.folder / f"{stem}.png", drawn)
    found = [{"input": request.file.name, **r} for r in records(frame, 0, request.file.name)]
    file = write_json(request.folder / f"{RECORDS}.json", found)
    lines = [*_people(frame), "", *([] if boxes else [WHOLE])]
    lines += [f"- {line.removeprefix(f'left out: {request.file}: ')}" for line in unusable]
    embedded = not (run.kept or run.config.data.root or run.config.data.sets)
    lines += ["", *foreign(embedded, "people that a program drew", "photographs")]
    return Answer("\n".join(lines), [(picture, "")], [picture, file])


def _people(frame: Frame) -> list[str]:
    """A table of the people: how many keypoints are sure enough to be drawn."""
    lines = ["| person | keypoints drawn | mean score |", "|---|---|---|"]
    for number, scores in enumerate(frame.scores, 1):
        drawn = int((scores >= LEAST).sum())
        doubt = f", {UNSURE}" if 2 * drawn < len(scores) else ""
        lines.append(f"| {number} | {drawn} of {len(scores)} | {scores.mean():.2f}{doubt} |")
    return lines


def boxes_of(words: str) -> list[list[float]]:
    """Boxes (x, y, width, height) in pixels, one a line. Raises InputError for another line."""
    boxes = []
    for number, line in enumerate(words.splitlines(), 1):
        box = _numbers(line)
        if line.strip() and len(box) != 4:
            raise InputError(f"boxes, line {number}: {line[:60]!r} is not x y width height")
        boxes += [box] if box else []
    return boxes


def _numbers(line: str) -> list[float]:
    """The numbers of a line, between commas or spaces; none where something else is among them."""
    try:
        return [float(part) for part in line.replace(",", " ").split()]
    except ValueError:
        return []


def clicked(words: str, x: int, y: int) -> str:
    """The lines of boxes after a click: a corner alone, which the next click makes a box."""
    *lines, last = words.rstrip().split("\n")
    corner = _numbers(last)
    if len(corner) != 2:
        return "\n".join([words.rstrip(), f"{x} {y}"]).lstrip()
    (left, right), (top, bottom) = (sorted(pair) for pair in zip(corner, (x, y), strict=True))
    return "\n".join([*lines, f"{left:g} {top:g} {right - left:g} {bottom - top:g}"])


def preview(file: Path, words: str) -> np.ndarray:
    """The photograph with the boxes, and with the corner that waits for another one."""
    boxes = [box for box in map(_numbers, words.splitlines()) if len(box) in (2, 4)]
    return draw_boxes(read_image(file, LIMIT), [[*box, 0.0, 0.0][:4] for box in boxes])


def sample_boxes() -> str:
    """The boxes of the sample, a line each."""
    people = json.loads((SAMPLES / "people_boxes.json").read_text())
    return "\n".join(" ".join(map(str, person["bbox"])) for person in people)


def given(boxes: list[list[float]]) -> BoxSource:
    """A source of the same boxes for every frame."""
    return lambda frames: [[(box, 1.0) for box in boxes]] * len(frames)


CRAFT = Craft(
    "Pose",
    "pose",
    "a photograph of people",
    "python apps/pose/train.py",
    open_network,
    answer,
    PoseNet.KEPT,
    field="boxes, a line each: x y width height (or click two corners in the picture)",
    preview=preview,
    clicked=clicked,
    samples=(SAMPLES / "people.jpg",),
    sample_words=sample_boxes,
)
