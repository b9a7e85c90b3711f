"""ModelNet's layouts, and packed clouds in an npz.

meshes      <class>/{train,test}/*.off
resampled   <class>/<class>_0001.txt (x,y,z,nx,ny,nz) and modelnet*_{train,test}.txt
npz         points (S, D, 3) float or points_i16 (S, D, 3) of 32767; perhaps normals (S, D, 3),
            split (S,) 0 train, 1 test, 2 val, and a name of each cloud
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from apps.pointcloud.data.cloud_set import SPLITS, CloudSet, take_split
from apps.pointcloud.data.formats.arrays import POINTS_KEYS, npz_arrays
from apps.pointcloud.data.shapenet import mesh_clouds
from apps.pointcloud.geometry.cloud import Cloud, make_cloud
from core.errors import InputError
from core.files import read_text

SIDES = ("train", "test")
NUMBERED = {0: "train", 1: "test", 2: "val"}  # splits of an npz


def is_meshes(root: Path) -> bool:
    """Whether root has ModelNet's folders of meshes."""
    return next(root.glob("*/test/*.off"), None) is not None


def open_meshes(root: Path, split: str, points: int) -> CloudSet:
    """OFF meshes sampled with `points` points; the validation split is a tenth of train."""
    paths = sorted(path for side in SIDES for path in root.glob(f"*/{side}/*.off"))
    clouds = mesh_clouds(str(root), paths, [path.stem for path in paths], points)
    return take_split(clouds, [path.parent.name for path in paths], split)


def is_resampled(root: Path) -> bool:
    """Whether root is a folder like modelnet40_normal_resampled."""
    return next(root.glob("modelnet*_test.txt"), None) is not None


def open_resampled(root: Path, split: str) -> CloudSet:
    """Clouds of 10,000 points with normals by their lists (of ModelNet40 where both are there)."""
    names, sides = [], []
    for side in SIDES:
        listed = sorted(root.glob(f"modelnet*_{side}.txt"))[-1:]
        for path in listed:
            words = read_text(path).split()
            names, sides = names + words, sides + [side] * len(words)
    paths = [root / name.rpartition("_")[0] / f"{name}.txt" for name in names]
    clouds = CloudSet(str(root), tuple(names), partial(_load_resampled, paths))
    return take_split(clouds, sides, split)


def open_npz(path: Path, split: str) -> CloudSet:
    """The clouds of a packed file; without a split in it, it is drawn by name, "all" takes all."""
    arrays = npz_arrays(path)
    key = next((k for k in POINTS_KEYS if k in arrays), None)
    if key is None or arrays[key].ndim != 3 or arrays[key].shape[2] != 3:
        raise InputError(f"{path}: no points (S, D, 3) in it, but {list(arrays)}")
    if arrays[key].dtype.kind not in "fiu":
        raise InputError(f"{path}: {key} are {arrays[key].dtype}; numbers are needed")
    points, normals = arrays[key], arrays.get("normals")
    scale = np.float32(32767 if key == "points_i16" else 1)
    names = tuple(_names(arrays, len(points)))
    clouds = CloudSet(str(path), names, partial(_load_packed, points, normals, scale))
    return take_split(clouds, _sides(arrays, len(points), path), split)


def _load_resampled(paths: list[Path], index: int) -> Cloud:
    try:
        rows = np.loadtxt(paths[index], np.float32, delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        raise InputError(f"{paths[index]}: cannot be read ({error})") from error
    return make_cloud(rows[:, :3], rows[:, 3:6], where=str(paths[index]))


def _load_packed(points, normals, scale, index: int) -> Cloud:
    rest = None if normals is None else normals[index]
    return make_cloud(points[index] / scale, rest, where=f"cloud {index}")


def _names(arrays: dict, count: int) -> list[str]:
    for key in ("names", "model_id", "ids"):
        if key in arrays and len(arrays[key]) == count:
            return [str(name) for name in arrays[key]]
    return [f"{i:06d}" for i in range(count)]


def _sides(arrays: dict, count: int, path: Path) -> list[str]:
    """The split of each cloud, "" where the file has none."""
    if "split" not in arrays:
        return [""] * count
    column = arrays["split"]
    sides = [str(side) if column.dtype.kind == "U" else NUMBERED.get(int(side)) for side in column]
    if len(sides) != count or not set(sides) <= set(SPLITS):
        raise InputError(f"{path}: split has to be 0 train, 1 test or 2 val for each of {count}")
    return sides
