"""Keypoints by a plain loop: python -m benchmarks.rows.plain_pose RUN BOXES OUT INPUT ...

What `apps/pose/predict.py` stands beside: the same network and the same drawing, one image or frame
after another, nothing at the same time, the people of an image in one batch.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from torch.utils.data import default_collate

from apps.pose.config import PoseConfig
from apps.pose.data.dataset import crop_box
from apps.pose.evaluation.inference import numpy_predictor
from apps.pose.models.network import PoseNet
from apps.pose.prediction.drawing import draw_people
from apps.pose.prediction.video import VIDEO_SUFFIXES
from core.app.runs import reopen
from core.training.session import Session, build_accelerator


def main() -> None:
    run_folder, boxes_file, out, *inputs = sys.argv[1:]
    session, out = Session(build_accelerator()), Path(out)
    network = reopen(run_folder, PoseConfig, PoseNet, session).network
    predict, keypoints = numpy_predictor(session, network, False), network.keypoints
    boxes, results, writer = defaultdict(list), [], None
    for record in json.loads(Path(boxes_file).read_text()):
        boxes[record.get("file_name", record.get("frame"))].append(record["bbox"])
    out.mkdir(parents=True, exist_ok=True)
    for path in map(Path, inputs):
        for key, frame in frames(path):
            picture = frame
            if boxes[key]:
                crops = [crop_box(frame, box, network.config) for box in boxes[key]]
                points, scores = predict(default_collate(crops))
                results += [{"of": key, "keypoints": person.tolist()} for person in points]
                picture = draw_people(frame, points, scores, keypoints)
            picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
            if path.suffix not in VIDEO_SUFFIXES:
                cv2.imwrite(str(out / f"{path.stem}.png"), picture)
                continue
            if writer is None:
                form, size = cv2.VideoWriter_fourcc(*"mp4v"), picture.shape[1::-1]
                writer = cv2.VideoWriter(str(out / "plain.mp4"), form, 25.0, size)
            writer.write(picture)
    if writer is not None:
        writer.release()
    (out / "plain.json").write_text(json.dumps(results))


def frames(path: Path) -> Iterator[tuple[str | int, np.ndarray]]:
    """(what boxes call it, RGB) of an image, or of each frame of a video."""
    if path.suffix not in VIDEO_SUFFIXES:
        yield path.name, cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        return
    capture, number = cv2.VideoCapture(str(path)), 0
    while True:
        there, frame = capture.read()
        if not there:
            return
        yield number, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        number += 1


if __name__ == "__main__":
    main()
