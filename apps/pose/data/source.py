"""From a configuration to data sets: which files, which keypoints."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from apps.pose.config import DataConfig, PoseConfig
from apps.pose.data.annotations import read_truth
from apps.pose.data.dataset import PoseDataset
from apps.pose.data.formats import keypoint_set
from apps.pose.data.keypoints import KeypointSet
from apps.pose.data.mpii import mpii_truth
from apps.pose.people import make_people
from core.app.embedded import embedded_folder
from core.errors import InputError
from core.training.session import Session


def embedded_people(config: PoseConfig, session: Session) -> DataConfig:
    """`config.data` pointing at the embedded people, which are drawn if need be."""
    people = config.embedded
    name = f"pose-people-{people.train}-{people.val}-seed{people.seed}"
    root = embedded_folder(
        session, name, lambda root: make_people(root, people.train, people.val, people.seed)
    )
    names = {f"{split}_json": f"annotations/{split}.json" for split in ("train", "val")}
    folders = {f"{split}_images": f"images/{split}" for split in ("train", "val")}
    return replace(config.data, root=str(root), **names, **folders)


class PoseData:
    """The training and validation data of a run. Raises InputError where files do not fit."""

    def __init__(self, config: PoseConfig, session: Session, keypoints: KeypointSet | None = None):
        """``keypoints`` where no json tells them (images without annotations)."""
        data = config.data if config.data.root else embedded_people(config, session)
        self.config, self.files, self.root = config, data, Path(data.root)
        if not self.root.is_dir():
            raise InputError(f"data.root {self.root} is no folder: give the one of your data set")
        self.val_json = self.root / data.val_json
        jsons = [p for p in (self.root / data.train_json, self.val_json) if p.is_file()]
        known, *others = jsons or [self.val_json]
        self.keypoints = keypoints or keypoint_set(data.format, known, data.keypoints, others)
        self.head_boxes = self.root / data.head_boxes
        if data.format == "mpii" and not self.head_boxes.is_file():
            raise InputError(
                f"data.head_boxes {self.head_boxes} is no file: PCKh needs mpii_gt_val.mat"
            )

    def train(self) -> PoseDataset:
        """People to train on, with augmentation."""
        return PoseDataset(
            self.root / self.files.train_json,
            self.root / self.files.train_images,
            self.keypoints,
            self.config.model,
            self.config.augment,
            train=True,
            outside=self.files.outside,
            format=self.files.format,
        )

    def val(self, boxes: str | Path | None = None) -> PoseDataset:
        """People to evaluate on: annotated boxes, or the detections of the json ``boxes``."""
        return PoseDataset(
            self.val_json,
            self.root / self.files.val_images,
            self.keypoints,
            self.config.model,
            boxes=boxes,
            outside=self.files.outside,
            format=self.files.format,
        )

    @cached_property
    def truth(self) -> dict:
        """The validation json as evaluations take it (`read_truth`), read once; not for MPII."""
        return read_truth(self.val_json, len(self.keypoints), self.files.outside)

    @cached_property
    def mpii_truth(self) -> tuple[np.ndarray, np.ndarray]:
        """The same of MPII: keypoints (N, 16, 3) as x, y, v, and head sizes (N,)."""
        return mpii_truth(self.val_json, self.head_boxes)
