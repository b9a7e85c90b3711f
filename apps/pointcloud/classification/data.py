"""Labelled clouds: names tell the classes, in every layout that `open_clouds` reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
import torch
from torch.utils.data import Dataset

from apps.pointcloud.classification.config import ClassifyConfig, DataConfig
from apps.pointcloud.data.cloud_set import SPLITS, CloudSet
from apps.pointcloud.data.dataset import open_clouds, some_points, turned
from apps.pointcloud.data.source import embedded_clouds
from core.data.loading import BadSample
from core.data.randomness import stream, uniform
from core.errors import InputError
from core.training.session import Session


class LabelledClouds(Dataset):
    """Clouds of N points, (N, 3) float32 in the unit sphere, as ``points``, and their ``label``.

    With `random` they are changed as `DataConfig` says, by numpy's global generator as the loaders
    seed it; without it an item is a pure function of its number. Raises BadSample for a file that
    cannot be used.
    """

    def __init__(self, clouds: CloudSet, classes: Sequence[str], data: DataConfig, random: bool):
        self.clouds, self.classes, self.data, self.random = clouds, list(classes), data, random
        numbers = {name: number for number, name in enumerate(classes)}
        unknown = sorted({class_of(name) for name in clouds.names} - numbers.keys())
        if unknown:
            raise InputError(
                f"{clouds} has the classes {', '.join(unknown)}, which training does not: leave "
                "them out"
            )
        self.labels = [numbers[class_of(name)] for name in clouds.names]

    def __len__(self) -> int:
        return len(self.clouds)

    def __str__(self) -> str:
        return str(self.clouds)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor | int]:
        try:
            cloud, _, _ = self.clouds.read(index)
        except InputError as error:
            raise BadSample(self.clouds.names[index], str(error)) from error
        if self.random:
            key = np.random.randint(0, 2**31, 2).tolist()  # noqa: NPY002 - the loaders seed it
            rng = stream(*key)
            cloud = turned(cloud, self.data.turn, rng)
        else:
            rng = stream(0, index)
        points = cloud.points[some_points(len(cloud), self.data.points, rng)]
        points = self._changed(points, rng) if self.random else points
        return {"points": torch.as_tensor(np.float32(points)), "label": self.labels[index]}

    def _changed(self, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        size, shift = self.data.scale, self.data.shift
        return points * uniform(rng, 1 - size, 1 + size, 3) + uniform(rng, -shift, shift, 3)


def class_of(name: str) -> str:
    """The class that a cloud's name tells: the last folder that is no split, else what stands
    before its number, as in night_stand_0012."""
    folders = [part for part in PurePosixPath(name).parts[:-1] if part not in SPLITS]
    return folders[-1] if folders else name.rpartition("_")[0] or name


def open_pair(config: ClassifyConfig, session: Session) -> tuple[LabelledClouds, LabelledClouds]:
    """The clouds of training and those that are evaluated. All processes call it.

    Raises InputError where training has fewer than two classes.
    """
    data = config.data
    clouds = [_open(config, session, split) for split in ("train", data.test)]
    classes = sorted({class_of(name) for name in clouds[0].names})
    if len(classes) < 2:
        raise InputError(
            f"{clouds[0]} has {len(classes)} class, {', '.join(classes)}: put clouds into folders "
            "by their classes, or call them CLASS_0001"
        )
    return tuple(LabelledClouds(c, classes, data, c is clouds[0]) for c in clouds)


def _open(config: ClassifyConfig, session: Session, split: str) -> CloudSet:
    if config.data.root:
        return open_clouds(config.data.root, split, config.data.mesh_points)
    return embedded_clouds(session, config.embedded, split)
