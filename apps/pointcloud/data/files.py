"""Clouds and meshes from files: what is read, and by which of `apps/pointcloud/data/formats/`.

No reader runs foreign machine code: a damaged file ends in an InputError, whatever is in it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from apps.pointcloud.data.formats.arrays import read_bin, read_npy, read_npz
from apps.pointcloud.data.formats.las import read_las
from apps.pointcloud.data.formats.pcd import read_pcd
from apps.pointcloud.data.formats.ply import read_ply
from apps.pointcloud.data.formats.polygons import read_obj, read_off, read_stl
from apps.pointcloud.data.formats.text import read_text
from apps.pointcloud.data.plywriter import write_ply
from apps.pointcloud.geometry.cloud import Cloud, finite_cloud
from apps.pointcloud.geometry.meshes import sample_mesh
from core.data.images.folders import images_below
from core.data.randomness import stream
from core.errors import InputError

TEXT = (".xyz", ".txt", ".pts", ".csv", ".asc")
CLOUDS = dict.fromkeys(TEXT, read_text) | {".npz": read_npz, ".npy": read_npy, ".bin": read_bin}
CLOUDS |= {".pcd": read_pcd, ".las": read_las, ".laz": read_las}
MESHES = {".ply": read_ply, ".off": read_off, ".obj": read_obj, ".stl": read_stl}  # or clouds
SUFFIXES = tuple(MESHES | CLOUDS)
MESH_POINTS = 16_384  # that a mesh is sampled with where a cloud is expected
Mesh = tuple[np.ndarray, np.ndarray]  # vertices (V, 3) float32, faces (F, 3) int64


def read_cloud(
    path: str | os.PathLike,
    report: Callable[[str], Any] = warnings.warn,
    mesh_points: int = MESH_POINTS,
) -> Cloud:
    """The finite points of a file, with normals and colours where it has them.

    Of a mesh, `mesh_points` points of its surface, uniform by area. `report` takes lines about what
    was left out or done instead. Raises InputError for a file that is missing, damaged, truncated,
    empty or of a kind that is not read.
    """
    cloud, faces = _read(path)
    if len(faces):
        report(
            f"{path}: a mesh of {len(faces)} triangles: {mesh_points} points of its surface taken"
        )
        whole = np.isfinite(cloud.points).all(1)[faces].all(1)
        if left_out := int((~whole).sum()):
            words = "triangles have a corner that is NaN or infinite, left out"
            report(f"{path}: {left_out} of {len(faces)} {words}")
        rng = stream(0)
        points, normals = sample_mesh(cloud.points, faces, mesh_points, rng, str(path))
        cloud = Cloud(points, normals, origin=cloud.origin)
    cloud, lines = finite_cloud(cloud, str(path))
    for line in lines:
        report(line)
    return cloud


def read_mesh(path: str | os.PathLike) -> Mesh:
    """The vertices (V, 3), less the cloud's origin, and triangles (F, 3) of a file.

    Raises InputError for a cloud too.
    """
    cloud, faces = _read(path)
    if not len(faces):
        raise InputError(
            f"{path}: {len(cloud)} points and no faces: a cloud, where a mesh is needed"
        )
    return cloud.points, faces


def write_cloud(path: str | os.PathLike, cloud: Cloud, sources=(), comment: str = "") -> Path:
    """Write a .ply, whole or not at all. Raises InputError where that would replace a source."""
    path = Path(path)
    if path.suffix.lower() != ".ply":
        raise InputError(f"{path}: clouds are written as .ply")
    if path.exists() and any(Path(s).exists() and path.samefile(s) for s in sources):
        raise InputError(f"{path} is an input and would be overwritten: choose another output")
    return write_ply(path, cloud, comment)


def find_clouds(paths) -> list[Path]:
    """The files of `paths`, of folders all that can be read and is not hidden, sorted."""
    files = []
    for path in map(Path, paths):
        if path.is_dir():
            inner = sorted(map(Path, images_below(path, suffixes=SUFFIXES)))
            if not inner:
                raise InputError(f"{path} holds no cloud or mesh ({', '.join(SUFFIXES)})")
            files += inner
        else:
            files.append(path)
    return files


def silent(_line: str) -> None:
    """A `report` that says nothing: of sets of many files, what is unusable is a BadSample."""


def _read(path: str | os.PathLike) -> tuple[Cloud, np.ndarray]:
    """Points as the file has them, and faces (F, 3), F = 0 for a cloud."""
    path, none = Path(path), np.zeros((0, 3), np.int64)
    suffix = path.suffix.lower()
    if not path.is_file():
        raise InputError(f"{path} is missing, or no file")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes): was its copying cut short?")
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: {suffix or 'no suffix'} is not read; {', '.join(SUFFIXES)} are")
    try:
        return MESHES[suffix](path) if suffix in MESHES else (CLOUDS[suffix](path), none)
    except MemoryError as error:
        raise InputError(f"{path}: does not fit into memory") from error
