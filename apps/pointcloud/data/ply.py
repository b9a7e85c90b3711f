"""PLY files by numpy alone: points, normals, colours and triangles; truncated files are noticed.

Turk 1994; formats ascii, binary_little_endian and binary_big_endian. Legend: N points, F faces.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from apps.pointcloud.geometry.cloud import Cloud, make_cloud
from core.errors import InputError
from core.files import whole_file

OLD_TYPES = {"char": "i1", "short": "i2", "int": "i4", "float": "f4", "double": "f8"}
OLD_TYPES |= {"uchar": "u1", "ushort": "u2", "uint": "u4"}
NEW_TYPES = {"int8": "i1", "int16": "i2", "int32": "i4", "float32": "f4", "float64": "f8"}
NEW_TYPES |= {"uint8": "u1", "uint16": "u2", "uint32": "u4"}
TYPES = OLD_TYPES | NEW_TYPES  # PLY's names of numpy's types
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
NORMALS, COLOURS = ("nx", "ny", "nz"), ("red", "green", "blue")


@dataclass(frozen=True)
class Element:
    """One kind of rows in a file; a list property has the type of its count and of its items."""

    name: str
    count: int
    properties: tuple[tuple[str, str, str | None], ...]  # name, numpy type, type of a list's count


def read_ply(path: str | os.PathLike) -> tuple[Cloud, np.ndarray]:
    """The vertices and triangles (F, 3) int64 of a PLY file; polygons become fans.

    Raises InputError for a file that is no PLY, is truncated, or has no x, y, z.
    """
    with open(path, "rb") as file:
        order, elements = _read_header(file, path)
        cloud, faces = None, np.zeros((0, 3), np.int64)
        for element in elements:
            rows = _read_element(file, element, order, path)
            if element.name == "vertex":
                cloud = _cloud_of(rows, path)
            elif element.name == "face":
                faces = _triangles_of(rows, element)
    if cloud is None:
        raise InputError(f"{path}: no element 'vertex': is it a cloud or a mesh?")
    if len(faces) and not 0 <= faces.min() <= faces.max() < len(cloud):
        raise InputError(f"{path}: faces name vertices that are not there; the file is damaged")
    return cloud, faces


def write_ply(path: str | os.PathLike, cloud: Cloud, comment: str = "") -> Path:
    """Write a cloud as binary PLY, whole or not at all; returns the path.

    An existing file is replaced: the caller makes sure that it is no input.
    """
    path, columns = Path(path), [("xyz"[i], "<f4", cloud.points[:, i]) for i in range(3)]
    if cloud.normals is not None:
        columns += [(NORMALS[i], "<f4", cloud.normals[:, i]) for i in range(3)]
    if cloud.colours is not None:
        bytes_ = (np.clip(cloud.colours, 0, 1) * 255).round()
        columns += [(COLOURS[i], "u1", bytes_[:, i]) for i in range(3)]
    rows = np.empty(len(cloud), [(name, kind) for name, kind, _ in columns])
    for name, _, values in columns:
        rows[name] = values
    names = {"<f4": "float", "u1": "uchar"}
    lines = ["ply", "format binary_little_endian 1.0", *[f"comment {comment}"] * bool(comment)]
    lines += [f"element vertex {len(cloud)}"]
    lines += [f"property {names[kind]} {name}" for name, kind, _ in columns] + ["end_header", ""]
    with whole_file(path) as partial:
        partial.write_bytes("\n".join(lines).encode() + rows.tobytes())
    return path


def _read_header(file: BinaryIO, path) -> tuple[str, list[Element]]:
    if file.readline(16).strip() != b"ply":
        raise InputError(f"{path}: not a PLY file, which begins with 'ply'")
    order, elements = None, []
    for _ in range(1000):
        words = file.readline(10_000).decode("ascii", "replace").split()
        if words[:1] == ["format"] and len(words) > 1:
            order = ORDERS.get(words[1])
        elif words[:1] == ["element"] and len(words) == 3 and words[2].isdigit():
            elements.append(Element(words[1], int(words[2]), ()))
        elif words[:1] == ["property"] and elements:
            last = elements[-1]
            properties = (*last.properties, _property(words, path))
            elements[-1] = Element(last.name, last.count, properties)
        elif words == ["end_header"] and order is not None:
            return order, elements
    raise InputError(f"{path}: its header is damaged or does not end")


def _property(words: list[str], path) -> tuple[str, str, str | None]:
    if len(words) == 3 and words[1] in TYPES:
        return words[2], TYPES[words[1]], None
    if len(words) == 5 and words[1] == "list" and words[2] in TYPES and words[3] in TYPES:
        return words[4], TYPES[words[3]], TYPES[words[2]]
    raise InputError(f"{path}: a property that PLY does not have: {' '.join(words)}")


def _read_element(file: BinaryIO, element: Element, order: str, path) -> dict[str, list]:
    """Columns by name: arrays, or a list of arrays for a list property."""
    if not element.count:
        return {name: np.zeros(0) for name, _, _ in element.properties}
    if any(listed for *_, listed in element.properties):
        return _read_lists(file, element, order, path)
    dtype = np.dtype([(name, order + kind) for name, kind, _ in element.properties])
    if order:
        data = file.read(dtype.itemsize * element.count)
        _check_length(len(data) // dtype.itemsize, element, path)
        rows = np.frombuffer(data, dtype, element.count)
        return {name: rows[name] for name in dtype.names}
    words = _ascii_rows(file, element, path)
    _check_length(sum(len(row) >= len(dtype.names) for row in words), element, path)
    try:
        values = np.array([row[: len(dtype.names)] for row in words], np.float64)
    except ValueError as error:
        raise InputError(f"{path}: {element.name}: {error}") from error
    return {name: values[:, i].astype(dtype[name]) for i, name in enumerate(dtype.names)}


def _ascii_rows(file: BinaryIO, element: Element, path) -> list[list[bytes]]:
    rows = [file.readline().split() for _ in range(element.count)]
    _check_length(sum(bool(row) for row in rows), element, path)
    return rows


def _check_length(rows: int, element: Element, path) -> None:
    if rows < element.count:
        raise InputError(
            f"{path}: is truncated: {rows} of {element.count} rows of '{element.name}' are there; "
            "copy or export it again"
        )


def _read_lists(file: BinaryIO, element: Element, order: str, path) -> dict[str, list]:
    """Rows with lists. Binary ones whose lists are all as long as the first are read at once."""
    if not order:
        return _ascii_lists(_ascii_rows(file, element, path), element, path)
    # Most meshes are all triangles: read as if every list were as long as the first one, check the
    # counts, and go row by row only where they differ.
    start = file.tell()
    first = _one_row(file, element, order, path)
    lengths = [len(first[name]) if listed else None for name, _, listed in element.properties]
    parts = []
    for (name, kind, listed), length in zip(element.properties, lengths, strict=True):
        parts += [(f"{name} count", order + listed)] if listed else []
        parts += [(name, order + kind, (length,) if listed else ())]
    dtype = np.dtype(parts)
    file.seek(start)
    data = file.read(dtype.itemsize * element.count)
    if len(data) == dtype.itemsize * element.count:
        rows = np.frombuffer(data, dtype)
        lists = {
            name: length
            for (name, _, listed), length in zip(element.properties, lengths, strict=True)
            if listed
        }
        if all((rows[f"{name} count"] == length).all() for name, length in lists.items()):
            return {name: rows[name] for name, _, _ in element.properties}
    file.seek(start)
    rows = [_one_row(file, element, order, path) for _ in range(element.count)]
    return {name: [row[name] for row in rows] for name, _, _ in element.properties}


def _one_row(file: BinaryIO, element: Element, order: str, path) -> dict[str, np.ndarray]:
    row = {}
    for name, kind, listed in element.properties:
        count = int(_numbers(file, order + listed, 1, element, path)[0]) if listed else 1
        row[name] = _numbers(file, order + kind, count, element, path)
    return row


def _numbers(file: BinaryIO, kind: str, count: int, element: Element, path) -> np.ndarray:
    data = file.read(np.dtype(kind).itemsize * count)
    if len(data) < np.dtype(kind).itemsize * count:
        raise InputError(f"{path}: is truncated within '{element.name}'; copy or export it again")
    return np.frombuffer(data, kind)


def _ascii_lists(rows: list[list[bytes]], element: Element, path) -> dict[str, list]:
    columns = {name: [] for name, _, _ in element.properties}
    for row in rows:
        place = 0
        for name, _, listed in element.properties:
            count = int(row[place]) if listed else 1
            place += bool(listed)
            columns[name].append(np.array(row[place : place + count], np.float64))
            place += count
        if place > len(row):
            raise InputError(f"{path}: is truncated within '{element.name}'; export it again")
    return columns


def _cloud_of(rows: dict[str, np.ndarray], path) -> Cloud:
    if not {"x", "y", "z"} <= rows.keys():
        raise InputError(f"{path}: its vertices have no x, y, z but {', '.join(rows)}")
    points, normals = (_stack(rows, names) for names in ("xyz", NORMALS))
    colours = _stack(rows, COLOURS)
    if colours is None:
        colours = _stack(rows, [f"diffuse_{name}" for name in COLOURS])
    # bytes are 0 to 255 however dark they are; floats say by their size which range they have
    if colours is not None and (
        rows.get("red", colours).dtype.kind in "ui" or colours.max(initial=0) > 1
    ):
        colours = colours / 255
    return make_cloud(points, normals, colours, str(path))


def _stack(rows: dict[str, np.ndarray], names) -> np.ndarray | None:
    return np.stack([rows[n] for n in names], 1) if set(names) <= rows.keys() else None


def _triangles_of(rows: dict, element: Element) -> np.ndarray:
    listed = [name for name, _, count in element.properties if count and "ind" in name]
    if not listed or not len(rows[listed[0]]):
        return np.zeros((0, 3), np.int64)
    polygons = rows[listed[0]]
    if isinstance(polygons, np.ndarray) and polygons.shape[1] == 3:
        return polygons.astype(np.int64)
    fans = [[(p[0], p[i], p[i + 1]) for i in range(1, len(p) - 1)] for p in polygons]
    return np.array([face for fan in fans for face in fan], np.int64).reshape(-1, 3)
