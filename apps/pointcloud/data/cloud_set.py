"""Dense, clean clouds as a list that reads a cloud when it is asked for; splits that are drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from apps.pointcloud.geometry.cloud import Cloud, finite_cloud, sphere_of
from core.errors import InputError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class CloudSet:
    """Clouds with their names; equal sources are the same clouds."""

    source: str
    names: tuple[str, ...]
    load: Callable[[int], Cloud]  # cloud i as its file has it

    def __len__(self) -> int:
        return len(self.names)

    def __str__(self) -> str:
        return self.source

    def read(self, index: int) -> tuple[Cloud, np.ndarray, float]:
        """Cloud `index` in the unit sphere, and the centre (3,) and radius that it had.

        Raises InputError for a file that cannot be used.
        """
        cloud, _ = finite_cloud(self.load(index), self.names[index])
        center, radius = sphere_of(cloud.points, self.names[index])
        points = ((cloud.points.astype(np.float64) - center) / radius).astype(np.float32)
        center = center if cloud.origin is None else center + cloud.origin
        return Cloud(points, _unit(cloud.normals), cloud.colours), center, radius

    def some(self, chosen: Sequence[int], source: str) -> CloudSet:
        """The clouds at these places, under another source's name."""
        chosen = [int(i) for i in chosen]
        names = tuple(self.names[i] for i in chosen)
        return CloudSet(source, names, partial(_load_chosen, self.load, chosen))


def drawn_side(name: str) -> str:
    """The split of a cloud in a set that has none: a pure function of its name, 80 : 10 : 10."""
    tenth = hashlib.sha256(name.encode()).digest()[0] % 10
    return {0: "test", 1: "val"}.get(tenth, "train")


def take_split(clouds: CloudSet, sides: Sequence[str], split: str) -> CloudSet:
    """The clouds of a split; where none is `val`, a tenth of `train` drawn by name is taken.

    sides: the split of each cloud, or "" to draw it. The split "all" takes every cloud. Raises
    InputError where no cloud is left.
    """
    if split == "all":
        return clouds
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}: choose {', '.join(SPLITS)}, all")
    sides = [side or drawn_side(name) for side, name in zip(sides, clouds.names, strict=True)]
    if "val" not in sides:
        # training clouds alone: a set's official test split stays whole
        held = [drawn_side(name) == "val" for name in clouds.names]
        sides = ["val" if s == "train" and h else s for s, h in zip(sides, held, strict=True)]
    chosen = [i for i, side in enumerate(sides) if side == split]
    if not chosen:
        drawn = " (a tenth of train, drawn by name)" if split == "val" else ""
        raise InputError(
            f"{clouds}: none of its {len(clouds)} clouds is in the split {split!r}{drawn}: put "
            f"some into a folder {split}/, or choose another split"
        )
    return clouds.some(chosen, f"{clouds} {split}")


# Functions of their own, and not closures: a data set goes to the loader's processes.
def _load_chosen(load: Callable[[int], Cloud], chosen: Sequence[int], index: int) -> Cloud:
    return load(chosen[index])


def _unit(normals: np.ndarray | None) -> np.ndarray | None:
    if normals is None:
        return None
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return normals / np.where(length > 0, length, 1)
