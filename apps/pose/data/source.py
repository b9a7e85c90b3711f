"""From a configuration to one data set: which files, which keypoints. Several: sets.py."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from apps.pose.config import DataConfig, PoseConfig
from apps.pose.data.dataset import PoseDataset
from apps.pose.data.formats import keypoint_set
from apps.pose.data.joining import Shared
from apps.pose.data.keypoints import KeypointSet, read_json
from apps.pose.data.mpii import mpii_truth
from apps.pose.data.records.annotations import read_truth
from apps.pose.people import make_people
from core.app.embedded import embedded_folder
from core.data.samples import tuning_split
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


def side_path(data: DataConfig) -> str:
    """The yaml of ``data.keypoints``: below the root as all other files, or as the shell has it."""
    below = Path(data.root, data.keypoints)
    return str(below) if data.keypoints and below.is_file() else data.keypoints


def tuned(data: DataConfig) -> DataConfig:
    """The training files on both sides. Raises InputError for MPII, whose head boxes lack them."""
    if data.format == "mpii":
        raise InputError("data.tune_share: MPII's head boxes are of its validation people alone")
    return replace(data, val_json=data.train_json, val_images=data.train_images)


class PoseData:
    """The training and validation data of one set. Raises InputError where files do not fit.

    ``shared`` says which keypoints its jsons and the network share: all, until `join`.
    """

    def __init__(self, config: PoseConfig, session: Session, keypoints: KeypointSet | None = None):
        """``keypoints`` where no json tells them (images without annotations)."""
        data = config.data if config.data.root else embedded_people(config, session)
        if data.tune_share:
            data = tuned(data)
        self.config, self.files, self.root = config, data, Path(data.root)
        self.report = session.print
        if not self.root.is_dir():
            raise InputError(f"data.root {self.root} is no folder: give the one of your data set")
        self.val_json = self.root / data.val_json
        jsons = [p for p in (self.root / data.train_json, self.val_json) if p.is_file()]
        known, *others = jsons or [self.val_json]
        theirs = keypoints or keypoint_set(data.format, known, side_path(data), others)
        self.shared = Shared.all(theirs)
        self.head_boxes = self.root / data.head_boxes
        if data.format == "mpii" and not self.head_boxes.is_file():
            raise InputError(
                f"data.head_boxes {self.head_boxes} is no file: PCKh needs mpii_gt_val.mat"
            )

    @property
    def keypoints(self) -> KeypointSet:
        """Those of the jsons that the network has: what is evaluated."""
        return self.shared.keypoints

    def join(self, network: KeypointSet, source: str) -> None:
        """Be data of a network with other keypoints, by their names, before anything is read.

        Raises InputError, which names ``source``, where they do not go together.
        """
        self.shared = Shared.between(self.shared.json, network, source)
        if self.files.format == "mpii" and not self.shared.complete:
            raise InputError(
                f"{source}: PCKh is over MPII's 16 keypoints, the network has "
                f"{len(self.shared.columns)} of them: leave none out of data.keypoints"
            )

    def train(self) -> PoseDataset:
        """People to train on, with augmentation."""
        people = PoseDataset(
            self.root / self.files.train_json,
            self.root / self.files.train_images,
            self.shared.json,
            self.config.model,
            self.config.augment,
            train=True,
            outside=self.files.outside,
            format=self.files.format,
            shared=self.shared,
            report=self.report,
            limit=self.config.data.limit,
        )
        return people.of_images(self._sides[0]) if self._sides else people

    def val(self, boxes: str | Path | None = None) -> PoseDataset:
        """People to evaluate on: annotated boxes, or the detections of the json ``boxes``."""
        people = PoseDataset(
            self.val_json,
            self.root / self.files.val_images,
            self.shared.json,
            self.config.model,
            boxes=boxes,
            outside=self.files.outside,
            format=self.files.format,
            shared=self.shared,
            report=self.report,
            limit=self.config.data.limit,
        )
        return people.of_images(self._sides[1]) if self._sides else people

    @cached_property
    def _sides(self) -> tuple[set[int], ...]:
        """Ids of the images that train and of those that settings are chosen by; () without."""
        if not self.files.tune_share:
            return ()
        ids = sorted(image["id"] for image in read_json(self.val_json)["images"])
        sides = tuning_split([0] * len(ids), self.files.tune_share)
        return tuple({ids[place] for place in side} for side in sides)

    @cached_property
    def truth(self) -> dict:
        """The validation json as evaluations take it (`read_truth`), read once; not for MPII."""
        folder = self.root / self.files.val_images
        content = read_truth(self.val_json, len(self.shared.json), self.files.outside, folder)
        if self._sides:
            kept = {"images": "id", "annotations": "image_id"}
            content |= {
                name: [item for item in content[name] if item[key] in self._sides[1]]
                for name, key in kept.items()
            }
        return self.shared.select(content)

    @cached_property
    def mpii_truth(self) -> tuple[np.ndarray, np.ndarray]:
        """The same of MPII: keypoints (N, 16, 3) as x, y, v, and head sizes (N,)."""
        return mpii_truth(self.val_json, self.head_boxes)
