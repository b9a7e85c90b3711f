"""Meshes as off, obj and stl: vertices and triangles; polygons become fans.

Each reader returns a cloud of the vertices and triangles (F, 3) int64, F = 0 for points alone, and
raises InputError for a file that is damaged or truncated. Legend: V vertices, F triangles.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from apps.pointcloud.data.formats.columns import as_colours
from apps.pointcloud.geometry.cloud import Cloud, placed_cloud
from core.errors import InputError

Mesh = tuple[Cloud, np.ndarray]
STL_HEAD = 84  # bytes: a comment, then the number of triangles
STL = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("rest", "<u2")])


def read_off(path: Path) -> Mesh:
    """OFF, NOFF, COFF and CNOFF, without what a vertex or a face carries besides.

    Some files of ModelNet40 have the counts behind OFF on its line.
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
        if vertices < 0 or faces < 0:
            raise ValueError(f"{vertices} vertices, {faces} faces")
        points = np.array([r[:3] for r in rows[1 : 1 + vertices] if len(r) > 2], np.float64)
        polygons = [[int(w) for w in row] for row in _corners(rows[1 + vertices :][:faces])]
    except (ValueError, IndexError) as error:
        raise InputError(f"{path}: is damaged ({error})") from error
    if len(points) < vertices or len(polygons) < faces:
        raise InputError(
            f"{path}: is truncated: {len(points)} of {vertices} vertices and {len(polygons)} of "
            f"{faces} faces are there"
        )
    cloud = placed_cloud(points.reshape(-1, 3), where=str(path))
    return cloud, _triangles_of_rows(polygons, len(cloud), path)


def _corners(rows: list[list[str]]) -> list[list[str]]:
    """The corners of the faces, n of the words behind the first, n; cut rows are left out."""
    corners = [row[1 : 1 + max(int(row[0]), 0)] for row in rows]
    return [words for words, row in zip(corners, rows, strict=True) if len(words) == int(row[0])]


def read_obj(path: Path) -> Mesh:
    """Wavefront's v (with colours, where all have them) and f; everything else is passed over."""
    vertices, polygons = [], []
    try:
        for words in _obj_lines(path):
            if words[0] == "v":
                vertices.append(words[1:7])
            elif words[0] == "f":
                corners = [int(word.split("/")[0]) for word in words[1:]]
                # from 1 on; below 0 they count back from the last vertex so far
                polygons.append(
                    [i - 1 if i > 0 else len(vertices) + i if i else -1 for i in corners]
                )
        width = min(map(len, vertices), default=0)
        # a fourth number alone is a weight
        rows = np.array([v[: 6 if width == 6 else 3] for v in vertices], np.float64)
    except ValueError as error:
        raise InputError(f"{path}: is damaged ({error})") from error
    if width < 3:
        raise InputError(f"{path}: no vertices (lines v x y z) in it: damaged, or another format?")
    colours = as_colours(rows[:, 3:]) if width == 6 else None
    cloud = placed_cloud(rows[:, :3], None, colours, str(path))
    return cloud, _triangles_of_rows(polygons, len(cloud), path)


def _obj_lines(path: Path) -> Iterator[list[str]]:
    """Words of the lines v and f; a backslash at its end continues a line."""
    with open(path, encoding="latin-1") as file:
        begun = ""
        for line in file:
            line = begun + line
            begun = line.rstrip()[:-1] + " " if line.rstrip().endswith("\\") else ""
            words = [] if begun else line.split("#")[0].split()
            if words and words[0] in ("v", "f"):
                yield words


def read_stl(path: Path) -> Mesh:
    """Binary or text; each triangle has corners of its own."""
    data = path.read_bytes()
    count = int.from_bytes(data[80:STL_HEAD], "little") if len(data) >= STL_HEAD else -1
    # also binary files begin with "solid": their length tells
    whole = len(data) >= STL_HEAD + count * STL.itemsize
    if count > 0 and whole:
        corners = np.frombuffer(data, STL, count, STL_HEAD)["corners"].reshape(-1, 3)
    elif data.lstrip()[:5] == b"solid" and b"facet" in data:
        corners = _text_corners(data, path)
    else:
        there = max(len(data) - STL_HEAD, 0) // STL.itemsize
        raise InputError(f"{path}: is damaged or truncated: {there} of {count} triangles")
    cloud = placed_cloud(corners.astype(np.float64), where=str(path))
    return cloud, np.arange(len(corners), dtype=np.int64).reshape(-1, 3)


def _text_corners(data: bytes, path: Path) -> np.ndarray:
    words = data.split()
    rows = [words[i + 1 : i + 4] for i, word in enumerate(words) if word == b"vertex"]
    try:
        corners = np.array(rows, np.float64)
    except ValueError as error:
        raise InputError(f"{path}: is damaged ({error})") from error
    if not len(corners) or len(corners) % 3 or b"endsolid" not in words:
        raise InputError(f"{path}: is truncated: {len(corners)} corners of triangles are there")
    return corners


def triangles_of(
    corners: np.ndarray, counts: np.ndarray, vertices: int, path: str | Path
) -> np.ndarray:
    """Fans of polygons, (F, 3) int64: the corners of all one after another, and each one's number.

    Raises InputError for a corner that is no vertex.
    """
    if len(corners) and not 0 <= corners.min() <= corners.max() < vertices:
        raise InputError(
            f"{path}: faces name vertices that are not there ({vertices} are); it is damaged"
        )
    counts = counts.astype(np.int64)
    fans = np.maximum(counts - 2, 0)  # triangles of each polygon
    first = (np.cumsum(counts) - counts).repeat(fans)  # where its corners begin
    turn = np.arange(fans.sum()) - (np.cumsum(fans) - fans).repeat(fans)
    return corners.astype(np.int64)[np.stack([first, first + turn + 1, first + turn + 2], 1)]


def _triangles_of_rows(polygons: list[list[int]], vertices: int, path: Path) -> np.ndarray:
    # a number of any length that is no vertex is the nearest that is none
    corners = [max(-1, min(corner, vertices)) for row in polygons for corner in row]
    corners = np.array(corners, np.int64)
    return triangles_of(corners, np.array([len(row) for row in polygons]), vertices, path)
