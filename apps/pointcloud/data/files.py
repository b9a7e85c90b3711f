"""Clouds and meshes from files.

    .ply .npz .npy .xyz .txt .pts .csv .bin .off     by numpy
    .pcd .obj .stl                                   by Open3D

Text has a point a row: x y z, then normals if the next three have length 1, else colours; seven
columns are x y z nx ny nz part (ShapeNet-Part), or in .pts x y z intensity r g b. A .bin is float32
rows x y z r g b, as ScanNet is exported for detection.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from apps.pointcloud.data.open3d_compat import open3d
from apps.pointcloud.data.ply import read_ply, write_ply
from apps.pointcloud.geometry.cloud import Cloud, finite_cloud, make_cloud, size_warning
from apps.pointcloud.geometry.meshes import sample_mesh
from core.data.randomness import stream
from core.errors import InputError

TEXT = (".xyz", ".txt", ".pts", ".csv")
SUFFIXES = (".ply", ".npz", ".npy", *TEXT, ".bin", ".off", ".pcd", ".obj", ".stl")
MESH_POINTS = 16_384  # that a mesh is sampled with where a cloud is expected
POINTS_KEYS = ("points", "xyz", "pos", "points_i16")  # of an npz
Mesh = tuple[np.ndarray, np.ndarray]  # vertices (V, 3) float32, faces (F, 3) int64


def read_cloud(
    path: str | os.PathLike,
    report: Callable[[str], Any] = warnings.warn,
    mesh_points: int = MESH_POINTS,
) -> Cloud:
    """The finite points of a file, with normals and colours where it has them.

    Of a mesh, `mesh_points` points of its surface, uniform by area. `report` takes lines about what
    was left out or done instead, and about a size that looks like millimetres. Raises InputError
    for a file that is missing, damaged, truncated, empty or of a kind that is not read.
    """
    cloud, faces = _read(path)
    if len(faces):
        report(
            f"{path}: a mesh of {len(faces)} triangles: {mesh_points} points of its surface taken"
        )
        rng = stream(0)
        points, normals = sample_mesh(cloud.points, faces, mesh_points, rng, str(path))
        cloud = Cloud(points, normals)
    cloud, lines = finite_cloud(cloud, str(path))
    for line in [*lines, size_warning(cloud.points, str(path))]:
        if line:
            report(line)
    return cloud


def read_mesh(path: str | os.PathLike) -> Mesh:
    """The vertices (V, 3) and triangles (F, 3) of a file. Raises InputError for a cloud too."""
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
    """The files of `paths`, of folders all that can be read, sorted, below them too."""
    files = []
    for path in map(Path, paths):
        if path.is_dir():
            inner = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES]
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
    if suffix in TEXT:
        return _read_text(path), none
    mesh_readers = {".ply": read_ply, ".off": _read_off, ".obj": _by_open3d, ".stl": _by_open3d}
    if suffix in mesh_readers:
        return mesh_readers[suffix](path)
    readers = {".npz": _read_npz, ".npy": _read_npy, ".bin": _read_bin, ".pcd": _read_pcd}
    if suffix not in readers:
        raise InputError(f"{path}: {suffix or 'no suffix'} is not read; {', '.join(SUFFIXES)} are")
    return readers[suffix](path), none


def _read_text(path: Path) -> Cloud:
    with open(path, encoding="utf-8", errors="replace") as file:
        first = file.readline().replace(",", " ").split()
    skip = int(len(first) == 1 or not _is_number(first[0]))  # a count (.pts), or names
    comma = "," if path.suffix.lower() == ".csv" else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy warns of files without rows
            rows = np.loadtxt(path, np.float64, skiprows=skip, delimiter=comma, ndmin=2)
    except ValueError as error:
        raise InputError(f"{path}: not rows of numbers: {error}") from error
    if rows.size == 0:
        raise InputError(f"{path}: the cloud is empty: is it the right file?")
    return _from_columns(rows, path)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _from_columns(rows: np.ndarray, path: Path) -> Cloud:
    """A cloud of the columns that the module's docstring tells of."""
    if rows.ndim != 2 or rows.shape[1] < 3:
        raise InputError(f"{path}: {rows.shape} numbers; rows x y z ... are needed")
    if rows.shape[1] == 7 and path.suffix.lower() == ".pts":
        return make_cloud(rows[:, :3], None, _as_colours(rows[:, 4:7]), str(path))
    normals = colours = None
    if rows.shape[1] >= 6:
        rest = rows[:, 3:6]
        lengths = np.linalg.norm(rest[np.isfinite(rest).all(1)], axis=1)
        if len(lengths) and np.median(np.abs(lengths - 1)) < 0.02:
            normals = rest
        else:
            colours = _as_colours(rest)
    return make_cloud(rows[:, :3], normals, colours, str(path))


def _as_colours(values: np.ndarray) -> np.ndarray:
    """Colours in 0..1, of bytes if any is above 1."""
    values = np.nan_to_num(np.asarray(values, np.float64))
    return np.clip(values / (255 if values.max(initial=0) > 1 else 1), 0, 1)


def _read_npz(path: Path) -> Cloud:
    try:
        with np.load(path) as file:
            arrays = {key: file[key] for key in file.files if file[key].ndim >= 2}
    except Exception as error:  # zipfile and numpy raise many kinds
        raise InputError(f"{path}: cannot be read as npz ({error})") from error
    key = next((key for key in POINTS_KEYS if key in arrays), None)
    if key is None:
        raise InputError(f"{path}: none of {', '.join(POINTS_KEYS)} in it, but {list(arrays)}")
    if arrays[key].ndim == 3:
        raise InputError(f"{path}: {len(arrays[key])} clouds, a data set: give it as --data.root")
    colours = next((arrays[k] for k in ("colors", "colours", "rgb") if k in arrays), None)
    colours = None if colours is None else _as_colours(colours)
    scale = 32767 if key == "points_i16" else 1
    return make_cloud(arrays[key] / scale, arrays.get("normals"), colours, str(path))


def _read_npy(path: Path) -> Cloud:
    try:
        rows = np.load(path)
    except Exception as error:
        raise InputError(f"{path}: cannot be read as npy ({error})") from error
    return _from_columns(rows, path)


def _read_bin(path: Path) -> Cloud:
    if path.stat().st_size % 24:
        raise InputError(f"{path}: {path.stat().st_size} bytes are no float32 rows x y z r g b")
    rows = np.fromfile(path, "<f4").reshape(-1, 6)
    return make_cloud(rows[:, :3], None, _as_colours(rows[:, 3:]), str(path))


def _read_off(path: Path) -> tuple[Cloud, np.ndarray]:
    """Vertices and triangles; some files of ModelNet40 have the counts behind OFF on its line.

    NOFF, COFF and CNOFF are read too, without what a vertex or a face carries besides.
    """
    lines = [line.split("#")[0].split() for line in path.read_text(errors="replace").splitlines()]
    lines = [line for line in lines if line]
    kind, head, counts = lines[0][0].partition("OFF") if lines else ("", "", "")
    if not head or kind not in ("", "N", "C", "CN"):
        raise InputError(f"{path}: not an OFF file, which begins with OFF")
    rows = [([counts] if counts else []) + lines[0][1:], *lines[1:]]
    rows = [row for row in rows if row]
    try:
        vertices, faces = int(rows[0][0]), int(rows[0][1])
        points = np.array([r[:3] for r in rows[1 : 1 + vertices] if len(r) > 2], np.float64)
        polygons = [[int(w) for w in row] for row in _corners(rows[1 + vertices :][:faces])]
    except (ValueError, IndexError) as error:
        raise InputError(f"{path}: is damaged ({error})") from error
    if len(points) < vertices or len(polygons) < faces:
        raise InputError(
            f"{path}: is truncated: {len(points)} of {vertices} vertices and {len(polygons)} of "
            f"{faces} faces are there"
        )
    fans = [(p[0], p[i], p[i + 1]) for p in polygons for i in range(1, len(p) - 1)]
    return make_cloud(points, where=str(path)), np.array(fans, np.int64).reshape(-1, 3)


def _corners(rows: list[list[str]]) -> list[list[str]]:
    """The corners of the faces, n of the words behind the first, n; cut rows are left out."""
    corners = [row[1 : 1 + int(row[0])] for row in rows]
    return [words for words, row in zip(corners, rows, strict=True) if len(words) == int(row[0])]


def _by_open3d(path: Path) -> tuple[Cloud, np.ndarray]:
    # The tensor reader: of Suzanne, quads and triangles mixed, the older one drops all but 32.
    reader = open3d(path.name).t.io.read_triangle_mesh
    try:
        mesh = reader(str(path))
    except (IndexError, RuntimeError) as error:
        raise InputError(f"{path}: Open3D cannot read it ({error}): damaged?") from error
    if "positions" not in mesh.vertex:
        raise InputError(f"{path}: Open3D finds no vertices in it: damaged, or another format")
    faces = mesh.triangle.indices.numpy() if "indices" in mesh.triangle else np.zeros((0, 3))
    return make_cloud(mesh.vertex.positions.numpy(), where=str(path)), faces.astype(np.int64)


def _read_pcd(path: Path) -> Cloud:
    promised = _check_pcd(path)
    cloud = open3d(path.name).io.read_point_cloud(str(path))
    points, normals, colours = map(np.asarray, (cloud.points, cloud.normals, cloud.colors))
    if len(points) < promised or not len(points):
        raise InputError(f"{path}: {len(points)} of {promised} points can be read: truncated?")
    rest = [rows if len(rows) == len(points) else None for rows in (normals, colours)]
    return make_cloud(points, *rest, where=str(path))


def _check_pcd(path: Path) -> int:
    """The number of points that a PCD file promises.

    Of a text file the rows are counted: Open3D makes points at the origin of those that lack.
    """
    promised = None
    with open(path, "rb") as file:
        for _ in range(20):
            words = file.readline(1000).split()
            if words[:1] == [b"POINTS"] and len(words) == 2 and words[1].isdigit():
                promised = int(words[1])
            if words[:1] == [b"DATA"] and promised is not None:
                rows = sum(bool(line.strip()) for line in file) if words[1:] == [b"ascii"] else None
                if rows is not None and rows < promised:
                    raise InputError(f"{path}: {rows} of {promised} points can be read: truncated?")
                return promised
    raise InputError(f"{path}: not a PCD file: no lines POINTS and DATA in its header")
