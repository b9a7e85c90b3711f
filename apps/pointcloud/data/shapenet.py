"""ShapeNet: the two layouts of ShapeNet-Part, and the meshes of ShapeNetCore.

v0_normal   <synset>/<id>.txt                    x y z nx ny nz part
v0          <synset>/points/<id>.pts             x y z
both        train_test_split/shuffled_<split>_file_list.json
core        <synset>/<id>/models/model_normalized.obj (v2), <synset>/<id>/model.obj (v1),
            and all.csv with the splits, where it is there
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np

from apps.pointcloud.data.cloud_set import SPLITS, CloudSet, take_split
from apps.pointcloud.data.files import read_cloud, read_mesh, silent
from apps.pointcloud.geometry.cloud import Cloud, make_cloud
from apps.pointcloud.geometry.meshes import sample_mesh
from core.data.randomness import stream
from core.errors import InputError
from core.files import csv_rows, read_text

LISTS = "train_test_split/shuffled_{}_file_list.json"
CORE_COLUMNS = ("synsetId", "modelId", "split")  # of all.csv
CORE = ("*/*/models/model_normalized.obj", "*/*/model.obj")


def is_part(root: Path) -> bool:
    """Whether root is a ShapeNet-Part folder."""
    return (root / LISTS.format("test")).is_file()


def open_part(root: Path, split: str) -> CloudSet:
    """The clouds of a split in the order of their names, in either layout.

    Raises InputError for a list that is damaged, and for files that are listed and missing.
    """
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}: choose {', '.join(SPLITS)}")
    ids = _listed(root / LISTS.format(split))
    paths = [_part_path(root, *one) for one in ids]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise InputError(
            f"{root}: {len(missing)} of {len(paths)} listed clouds are missing, the first is "
            f"{missing[0]}"
        )
    names = tuple(f"{synset}/{name}" for synset, name in ids)
    return CloudSet(f"{root} {split}", names, partial(_load_part, paths))


def read_part(path: Path) -> Cloud:
    """A file of either layout. Raises InputError where it is not rows of 3 or of 7 numbers."""
    if path.suffix == ".pts":
        return read_cloud(path, silent)
    try:
        rows = np.loadtxt(path, np.float32, ndmin=2)
    except ValueError as error:
        raise InputError(f"{path}: not rows of numbers: {error}") from error
    if rows.shape[1] != 7:
        raise InputError(f"{path}: rows of {rows.shape[1]} numbers; x y z nx ny nz part are needed")
    return make_cloud(rows[:, :3], rows[:, 3:6], where=str(path))


def is_core(root: Path) -> bool:
    """Whether root has ShapeNetCore's folders of meshes."""
    return any(next(root.glob(pattern), None) for pattern in CORE)


def open_core(root: Path, split: str, points: int) -> CloudSet:
    """Meshes sampled with `points` points: a pure function of the file's name.

    Splits are all.csv's, or drawn by name where there is none.
    """
    paths = sorted(path for pattern in CORE for path in root.glob(pattern))
    ids = [path.relative_to(root).parts[:2] for path in paths]
    clouds = mesh_clouds(str(root), paths, ["/".join(one) for one in ids], points)
    sides = _core_sides(root / "all.csv")
    return take_split(clouds, [sides.get(one, "") for one in ids], split)


def mesh_clouds(source: str, paths: list[Path], names: Iterable[str], points: int) -> CloudSet:
    """Meshes as clouds of `points` points with normals: a pure function of file and name."""
    names = tuple(names)
    return CloudSet(source, names, partial(_load_mesh, paths, names, points))


def _load_part(paths: list[Path], index: int) -> Cloud:
    return read_part(paths[index])


def _load_mesh(paths: list[Path], names: tuple[str, ...], points: int, index: int) -> Cloud:
    vertices, faces = read_mesh(paths[index])
    # by its name and not its place: other files beside it change nothing
    rng = stream(*names[index].encode())
    return Cloud(*sample_mesh(vertices, faces, points, rng, str(paths[index])))


def _listed(path: Path) -> list[tuple[str, str]]:
    """(synset, id) of each entry, sorted: the lists are shuffled, by an order that is not ours."""
    text = read_text(path)
    try:
        entries = json.loads(text)
        return sorted((entry.split("/")[-2], entry.split("/")[-1]) for entry in entries)
    except (ValueError, AttributeError, IndexError) as error:
        raise InputError(f"{path}: not a list of shape_data/<synset>/<id> ({error})") from error


def _part_path(root: Path, synset: str, name: str) -> Path:
    old = root / synset / "points" / f"{name}.pts"
    return old if old.parent.is_dir() else root / synset / f"{name}.txt"


def _core_sides(path: Path) -> dict[tuple[str, str], str]:
    """The split of each (synset, id) by ShapeNetCore's all.csv; empty without the file."""
    if not path.is_file():
        return {}
    (_, names), *rows = [*csv_rows(path, read_text(path))] or [(1, [])]
    if missing := [name for name in CORE_COLUMNS if name not in names]:
        raise InputError(f"{path}: no column {missing[0]}; {', '.join(CORE_COLUMNS)} needed")
    places, sides = [names.index(name) for name in CORE_COLUMNS], {}
    for line, row in rows:
        if len(row) <= max(places):
            raise InputError(f"{path}, line {line}: {len(row)} columns, and the first has more")
        synset, model, split = (row[place] for place in places)
        sides[synset.zfill(8), model] = split
    return sides
