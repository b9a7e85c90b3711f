"""Predictions as a COCO keypoint json, to correct in CVAT or Label Studio and to train on.

What they need beside COCO's fields: CVAT (datumaro's `coco_person_keypoints`) a `segmentation`,
which may be empty, and of a video `track_id` and `keyframe` in `attributes`, with frames called
frame_000000 onwards; Label Studio's converter a `score`.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from apps.pose.data.keypoints import KeypointSet
from apps.pose.data.records.mending import COVERED
from apps.pose.evaluation.metrics import person_scores
from apps.pose.prediction.outputs import is_video
from apps.pose.prediction.pipeline import Frame
from core.errors import InputError
from core.files import check_new, distinct_name, write_json

VISIBLE = 2


class CocoFile:
    """Collects the people of frames; `write` makes the json.

    Images are named relative to the folder that holds all of them, frames of walk.mp4
    walk/frame_000000.png and so on, those of another walk.mp4 walk-2/frame_000000.png. A keypoint
    is labelled, and then visible, where its score is at least ``min_score`` and it lies in the
    image.
    """

    def __init__(
        self,
        path: Path,
        keypoints: KeypointSet,
        min_score: float,
        inputs: list[Path],
        read: list[str],
    ):
        """``read``: other files that must not be overwritten. Raises InputError where one would."""
        self.path, self.keypoints, self.min_score = path, keypoints, min_score
        if path.resolve() in {Path(p).resolve() for p in [*inputs, *read]}:
            raise InputError(f"{path} would be overwritten: choose another --coco")
        check_new(path)  # somebody may have corrected it
        taken: set[str] = set()
        self.videos = {p: distinct_name(p.stem, taken) for p in inputs if is_video(p)}
        folders = {str(p.resolve().parent) for p in inputs if not is_video(p)}
        self.root = Path(os.path.commonpath(folders)) if folders else None
        self.images, self.annotations = [], []

    def add(self, frame: Frame) -> None:
        """One image, or one frame of a video, with its people."""
        height, width = frame.image.shape[:2]
        number = len(self.images) + 1
        name = self._name(frame)
        self.images.append({"id": number, "file_name": name, "width": width, "height": height})
        if frame.points is None:
            return
        scores = person_scores(frame.scores, [score for _, score in frame.boxes])
        for n, (box, _) in enumerate(frame.boxes):
            values = self._labels(frame.points[n], frame.scores[n], width, height)
            person = {
                "id": len(self.annotations) + 1,
                "image_id": number,
                "category_id": 1,
                "bbox": [round(float(value), 2) for value in box],
                "area": round(COVERED * float(box[2] * box[3]), 2),
                "iscrowd": 0,
                "segmentation": [],
                "num_keypoints": sum(v > 0 for v in values[2::3]),
                "keypoints": values,
                "score": round(float(scores[n]), 4),
            }
            if frame.ids is not None:
                person["attributes"] = {"track_id": frame.ids[n], "keyframe": True}
            self.annotations.append(person)

    def write(self) -> None:
        """The json, whole or not at all; none where no image could be read."""
        if not self.images:
            return
        names, pairs = self.keypoints.names, self.keypoints.skeleton
        category = {
            "id": 1,
            "name": "person",
            "supercategory": "person",
            "keypoints": list(names),
            "skeleton": [[a + 1, b + 1] for a, b in pairs],
        }
        content = {
            "info": {"description": "predicted keypoints"},
            "licenses": [],
            "images": self.images,
            "annotations": self.annotations,
            "categories": [category],
        }
        write_json(self.path, content, indent=None)
        print(f"COCO keypoint json: {self.path}", end="")
        print(f", of images in {self.root}" if self.root else "")

    def _name(self, frame: Frame) -> str:
        if frame.video:
            folder = self.videos.get(frame.path, frame.path.stem)  # a camera is no input
            return f"{folder}/frame_{frame.number:06d}.png"
        return frame.path.resolve().relative_to(self.root).as_posix()

    def _labels(self, points: np.ndarray, scores: np.ndarray, width: int, height: int) -> list:
        """x, y, v of each keypoint: 0, 0, 0 for one that is not labelled."""
        places = points.astype(float).round(2)
        inside = ((places >= 0) & (places <= [width, height])).all(1)  # False for NaN
        values = []
        for (x, y), there in zip(places.tolist(), inside & (scores >= self.min_score), strict=True):
            values += [x, y, VISIBLE] if there else [0, 0, 0]
        return values
