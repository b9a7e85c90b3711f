"""PLY files by numpy alone: points, normals, colours and triangles; truncated files are noticed.

Turk 1994; formats ascii, binary_little_endian and binary_big_endian. Legend: N points, F faces.
"""

from __future__ import annotations

import codecs
import os
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from apps.pointcloud.data.formats.columns import as_colours
from apps.pointcloud.geometry.cloud import Cloud, placed_cloud
from core.errors import InputError
from core.files import whole_file

OLD_TYPES = {"char": "i1", "short": "i2", "int": "i4", "float": "f4", "double": "f8"}
OLD_TYPES |= {"uchar": "u1", "ushort": "u2", "uint": "u4"}
NEW_TYPES = {"int8": "i1", "int16": "i2", "int32": "i4", "float32": "f4", "float64": "f8"}
NEW_TYPES |= {"uint8": "u1", "uint16": "u2", "uint32": "u4"}
TYPES = OLD_TYPES | NEW_TYPES  # PLY's names of numpy's types
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
NORMALS, COLOURS = ("nx", "ny", "nz"), ("red", "green", "blue")


CHUNK = 4_000  # rows of text that are taken apart at a time


@dataclass(frozen=True)
class Lists:
    """A list property: all items (M,) one after another, and how many are each row's (N,)."""

    values: np.ndarray
    counts: np.ndarray

    def __len__(self) -> int:
        return len(self.counts)


Column = np.ndarray | Lists


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
        read = {e.name: (e, _read_element(file, e, order, path)) for e in elements}
    if "vertex" not in read:
        raise InputError(f"{path}: no element 'vertex': is it a cloud or a mesh?")
    cloud = _cloud_of(read["vertex"][1], path)
    if "face" not in read:
        return cloud, np.zeros((0, 3), np.int64)
    element, rows = read["face"]
    return cloud, _triangles_of(rows, element, len(cloud), path)


def write_ply(
    path: str | os.PathLike, cloud: Cloud, comment: str = "", faces: np.ndarray | None = None
) -> Path:
    """Write a cloud, or a mesh with triangles (F, 3), as binary PLY, whole or not at all.

    An existing file is replaced: the caller makes sure that it is no input.
    """
    rows = np.empty(len(cloud), columns_like(cloud))
    fill(rows, cloud)
    lines = ["ply", "format binary_little_endian 1.0", *[f"comment {comment}"] * bool(comment)]
    lines += [f"element vertex {len(cloud)}", *property_lines(rows.dtype)]
    triangles = np.zeros(0 if faces is None else len(faces), [("count", "u1"), ("at", "<i4", 3)])
    if faces is not None:
        triangles["count"], triangles["at"] = 3, faces
        lines += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
    lines += ["end_header", ""]
    with whole_file(path) as partial:
        partial.write_bytes("\n".join(lines).encode() + rows.tobytes() + triangles.tobytes())
    return Path(path)


def columns_like(cloud: Cloud) -> np.dtype:
    """The properties of a cloud: x, y, z, and the normals and colours that it has.

    Of one with an origin, which float32 would round, x, y, z in double precision.
    """
    names = [(axis, "<f4" if cloud.origin is None else "<f8") for axis in "xyz"]
    names += [(name, "<f4") for name in NORMALS if cloud.normals is not None]
    return np.dtype(names + [(name, "u1") for name in COLOURS if cloud.colours is not None])


def property_lines(dtype: np.dtype) -> list[str]:
    """Their lines in a header."""
    kinds = {"f4": "float", "f8": "double", "u1": "uchar"}
    return [f"property {kinds[dtype[name].str[1:]]} {name}" for name in dtype.names]


def fill(rows: np.ndarray, cloud: Cloud) -> None:
    """Put a cloud into rows (N,) of `columns_like` it."""
    parts = {"xyz": cloud.places(), NORMALS: cloud.normals}
    if cloud.colours is not None:
        parts[COLOURS] = (np.clip(cloud.colours, 0, 1) * 255).round()
    for names, values in parts.items():
        for i, name in enumerate(names):
            if values is not None:
                rows[name] = values[:, i]


def _read_header(file: BinaryIO, path) -> tuple[str, list[Element]]:
    if file.readline(16).removeprefix(codecs.BOM_UTF8).strip() != b"ply":
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
            if len({name for name, *_ in properties}) < len(properties):
                raise InputError(f"{path}: property {words[-1]} of '{last.name}' comes twice")
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


def _read_element(file: BinaryIO, element: Element, order: str, path) -> dict[str, Column]:
    """Columns by name."""
    if not element.count or not element.properties:
        return {name: np.zeros(0) for name, _, _ in element.properties}
    listed = any(count for *_, count in element.properties)
    if not order:
        rows = _ascii_rows(file, element, path)
        return (_listed_columns if listed else _ascii_columns)(rows, element, path)
    if listed:
        return _binary_lists(file, element, order, path)
    dtype = np.dtype([(name, order + kind) for name, kind, _ in element.properties])
    data = file.read(min(dtype.itemsize * element.count, _remaining(file)))
    _check_length(len(data) // dtype.itemsize, element, path)
    rows = np.frombuffer(data, dtype, element.count)
    return {name: rows[name] for name in dtype.names}


def _remaining(file: BinaryIO) -> int:
    """Bytes to the end: what a header promises beyond them is not asked for."""
    return os.fstat(file.fileno()).st_size - file.tell()


def _ascii_rows(file: BinaryIO, element: Element, path) -> Iterator[list[bytes]]:
    """The words of each row: a line's, or, of files of a number a line, as many as a row has."""
    lines = (row for line in file if (row := line.split()))
    first = next(lines, [])
    try:
        complete = len(list(_one_row(iter(first), element))) > 0
    except RuntimeError:  # the line ends within the row
        complete = False
    if complete:
        yield from islice(chain([first], lines), element.count)
        return
    words = chain(first, (word for line in lines for word in line))
    for _ in range(element.count):
        try:
            yield list(_one_row(words, element))
        except RuntimeError:
            return


def _one_row(words: Iterator[bytes], element: Element) -> Iterator[bytes]:
    """As many of the words as one row has. RuntimeError where they end before it does."""
    for _, _, listed in element.properties:
        count = next(words) if listed else b"1"
        if listed:
            yield count
        for _ in range(int(count) if count.isdigit() else 0):
            yield next(words)


def _ascii_columns(rows: Iterator[list[bytes]], element: Element, path) -> dict[str, np.ndarray]:
    names, parts, count = [name for name, _, _ in element.properties], [], 0
    while words := [row[: len(names)] for row in islice(rows, CHUNK)]:
        whole = [row for row in words if len(row) == len(names)]
        try:
            parts.append(np.array(whole, np.float64).reshape(-1, len(names)))
        except ValueError as error:
            raise InputError(f"{path}: {element.name}: {error}") from error
        count += len(whole)
    _check_length(count, element, path)
    values = np.concatenate(parts)
    return {
        # a byte that is written 255.0 is a byte; what its type cannot hold is left as it is
        name: values[:, i].astype(kind) if _fits(values[:, i], kind) else values[:, i]
        for i, (name, kind, _) in enumerate(element.properties)
    }


def _fits(values: np.ndarray, kind: str) -> bool:
    if kind[0] == "f":
        return True
    limits = np.iinfo(kind)
    return bool(
        np.isfinite(values).all() and limits.min <= values.min() <= values.max() <= limits.max
    )


def _check_length(rows: int, element: Element, path) -> None:
    if rows < element.count:
        raise InputError(
            f"{path}: is truncated: {rows} of {element.count} rows of '{element.name}' are there; "
            "copy or export it again"
        )


def _binary_lists(file: BinaryIO, element: Element, order: str, path) -> dict[str, Column]:
    """Rows with lists; if their lists are all as long as the first ones, they are read at once."""
    # Most meshes are all triangles: read as if every list were as long as the first one, check the
    # counts, and go row by row only where they differ.
    start = file.tell()
    first = list(_binary_row(file, element, order, path))
    lengths = [len(values) if listed else None for values, listed in first]
    parts = []
    for (name, kind, listed), length in zip(element.properties, lengths, strict=True):
        parts += [(f"{name} count", order + listed)] if listed else []
        parts += [(name, order + kind, (length,) if listed else ())]
    dtype = np.dtype(parts)
    file.seek(start)
    if dtype.itemsize * element.count <= _remaining(file):
        rows = np.frombuffer(file.read(dtype.itemsize * element.count), dtype)
        lists = {n: k for (n, *_, c), k in zip(element.properties, lengths, strict=True) if c}
        if all((rows[f"{name} count"] == length).all() for name, length in lists.items()):
            names = [name for name, _, _ in element.properties]
            return {n: _even(rows[n]) if n in lists else rows[n] for n in names}
    file.seek(start)
    rows = (list(_binary_row(file, element, order, path)) for _ in range(element.count))
    return _columns_of(rows, element)


def _binary_row(file: BinaryIO, element: Element, order: str, path) -> Iterator[tuple]:
    """(values, whether a list) of each property."""
    for _, kind, listed in element.properties:
        count = _numbers(file, order + listed, 1, element, path)[0] if listed else 1
        yield (
            _numbers(file, order + kind, _list_length(count, element, path), element, path),
            listed,
        )


def _numbers(file: BinaryIO, kind: str, count: int, element: Element, path) -> np.ndarray:
    size = np.dtype(kind).itemsize * count
    if size > _remaining(file):
        raise InputError(f"{path}: is truncated within '{element.name}'; copy or export it again")
    return np.frombuffer(file.read(size), kind)


def _list_length(count, element: Element, path) -> int:
    if not (np.isfinite(count) and count >= 0 and count == int(count)):
        raise InputError(f"{path}: a list of {count} items in '{element.name}': it is damaged")
    return int(count)


def _listed_columns(rows: Iterator[list[bytes]], element: Element, path) -> dict[str, Column]:
    """Rows of words with lists."""

    def parsed() -> Iterator[list[tuple]]:
        for words in rows:
            place, row = 0, []
            for _, _, listed in element.properties:
                count = _list_length(float(words[place]), element, path) if listed else 1
                place += bool(listed)
                row.append(([float(word) for word in words[place : place + count]], listed))
                place += count
            if place > len(words):
                raise InputError(f"{path}: is truncated within '{element.name}'; export it again")
            yield row

    try:
        columns = _columns_of(parsed(), element)
    except (ValueError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: {element.name}: {error}") from error
    _check_length(len(next(iter(columns.values()))), element, path)
    return columns


def _columns_of(rows: Iterable[list[tuple]], element: Element) -> dict[str, Column]:
    """Columns of rows of (values, whether a list); eight bytes a number."""
    values = [array("d") for _ in element.properties]
    counts = [array("q") for _ in element.properties]
    for row in rows:
        for i, (items, _) in enumerate(row):
            values[i].extend(items)
            counts[i].append(len(items))
    return {
        name: Lists(np.array(values[i]), np.array(counts[i])) if listed else np.array(values[i])
        for i, (name, _, listed) in enumerate(element.properties)
    }


def _even(rows: np.ndarray) -> Lists:
    return Lists(rows.ravel(), np.full(len(rows), rows.shape[1]))


def _cloud_of(rows: dict[str, Column], path) -> Cloud:
    points = _stack(rows, "xyz")
    if points is None:
        raise InputError(f"{path}: its vertices have no x, y, z but {', '.join(rows)}")
    known = (COLOURS, [f"diffuse_{name}" for name in COLOURS], "rgb")
    colours = next((c for names in known if (c := _stack(rows, names)) is not None), None)
    colours = None if colours is None else as_colours(colours)
    return placed_cloud(points, _stack(rows, NORMALS), colours, str(path))


def _stack(rows: dict[str, np.ndarray], names) -> np.ndarray | None:
    plain = set(names) <= rows.keys() and not any(isinstance(rows[n], Lists) for n in names)
    return np.stack([rows[n] for n in names], 1) if plain else None


def _triangles_of(rows: dict[str, Column], element: Element, vertices: int, path) -> np.ndarray:
    """Fans of the polygons: (F, 3). Raises InputError for a corner that is no vertex."""
    listed = [name for name, _, count in element.properties if count and "ind" in name]
    if not listed or not isinstance(rows[listed[0]], Lists) or not len(rows[listed[0]].values):
        return np.zeros((0, 3), np.int64)
    corners, counts = rows[listed[0]].values, rows[listed[0]].counts
    if not (np.isfinite(corners).all() and 0 <= corners.min() <= corners.max() < vertices):
        raise InputError(f"{path}: faces name vertices that are not there; the file is damaged")
    fans = np.maximum(counts - 2, 0)  # triangles of each polygon
    first = (np.cumsum(counts) - counts).repeat(fans)  # where its corners begin
    turn = np.arange(fans.sum()) - (np.cumsum(fans) - fans).repeat(fans)
    return corners.astype(np.int64)[np.stack([first, first + turn + 1, first + turn + 2], 1)]
