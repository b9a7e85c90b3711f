"""PLY files: points, normals, colours and triangles; truncated files are noticed.

Turk 1994; formats ascii, binary_little_endian and binary_big_endian. `plyrows.py` reads what the
header, which is read here, promises. Legend: N points, F faces.
"""

from __future__ import annotations

import codecs
import os
from typing import BinaryIO

import numpy as np

from apps.pointcloud.data.formats.columns import as_colours
from apps.pointcloud.data.formats.plyrows import Column, Element, Lists, read_element
from apps.pointcloud.data.formats.polygons import triangles_of
from apps.pointcloud.geometry.cloud import Cloud, placed_cloud
from core.errors import InputError
from core.files import unreadable

OLD_TYPES = {"char": "i1", "short": "i2", "int": "i4", "float": "f4", "double": "f8"}
OLD_TYPES |= {"uchar": "u1", "ushort": "u2", "uint": "u4"}
NEW_TYPES = {"int8": "i1", "int16": "i2", "int32": "i4", "float32": "f4", "float64": "f8"}
NEW_TYPES |= {"uint8": "u1", "uint16": "u2", "uint32": "u4"}
TYPES = OLD_TYPES | NEW_TYPES  # PLY's names of numpy's types
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
NORMALS, COLOURS = ("nx", "ny", "nz"), ("red", "green", "blue")


def read_ply(path: str | os.PathLike) -> tuple[Cloud, np.ndarray]:
    """The vertices and triangles (F, 3) int64 of a PLY file; polygons become fans.

    Raises InputError for a file that is no PLY, is truncated, or has no x, y, z.
    """
    with open(path, "rb") as file:
        order, elements = _read_header(file, path)
        read = {e.name: read_element(file, e, order, path) for e in elements}
    if "vertex" not in read:
        raise InputError(f"{path}: no element 'vertex': is it a cloud or a mesh?")
    cloud, polygons = _cloud_of(read["vertex"], path), _polygons_of(read.get("face", {}))
    return cloud, triangles_of(polygons.values, polygons.counts, len(cloud), path)


def _read_header(file: BinaryIO, path) -> tuple[str, list[Element]]:
    if file.readline(16).removeprefix(codecs.BOM_UTF8).strip() != b"ply":
        words = unreadable(path, "not a PLY file, which begins with 'ply'")
        raise InputError(f"{path}: {words}")
    order, elements = None, []
    for _ in range(1000):
        words = file.readline(10_000).decode("ascii", "replace").split()
        if words[:1] == ["format"] and len(words) > 1:
            order = ORDERS.get(words[1])
        elif words[:1] == ["element"]:
            if len(words) != 3 or not words[2].isdigit():
                raise InputError(f"{path}: '{' '.join(words)}' is no name and count: it is damaged")
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


def _cloud_of(rows: dict[str, Column], path) -> Cloud:
    points = _stack(rows, "xyz")
    if points is None:
        raise InputError(f"{path}: its vertices have no x, y, z but {', '.join(rows)}")
    known = (COLOURS, [f"diffuse_{name}" for name in COLOURS], "rgb")
    colours = next((c for names in known if (c := _stack(rows, names)) is not None), None)
    colours = None if colours is None else as_colours(colours)
    return placed_cloud(points, _stack(rows, NORMALS), colours, str(path))


def _stack(rows: dict[str, Column], names) -> np.ndarray | None:
    plain = set(names) <= rows.keys() and not any(isinstance(rows[n], Lists) for n in names)
    return np.stack([rows[n] for n in names], 1) if plain else None


def _polygons_of(rows: dict[str, Column]) -> Lists:
    """The corners of the faces, none where no list of indices is there."""
    lists = (rows[name] for name in rows if "ind" in name and isinstance(rows[name], Lists))
    return next(lists, Lists(np.zeros(0), np.zeros(0)))
