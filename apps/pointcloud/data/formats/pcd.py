"""PCD files, versions 0.6 and 0.7: ascii, binary and binary_compressed, numbers of any size.

https://pointclouds.org/documentation/tutorials/pcd_file_format.html. Fields x y z, normal_x/y/z and
rgb or rgba are taken, others passed over. Legend: N points.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from apps.pointcloud.geometry.cloud import Cloud, placed_cloud
from core.errors import InputError

KINDS = {"F": "f", "I": "i", "U": "u"}
SIZES = {"F": (2, 4, 8), "I": (1, 2, 4, 8), "U": (1, 2, 4, 8)}
LINES = 40  # of a header, comments among them
NORMALS = ("normal_x", "normal_y", "normal_z")


@dataclass(frozen=True)
class Header:
    """What stands above the points."""

    dtype: np.dtype  # of a point
    points: int
    encoding: str  # ascii, binary, binary_compressed


def read_pcd(path: Path) -> Cloud:
    """The cloud of a PCD file. Raises InputError for a damaged, truncated or unknown one."""
    with open(path, "rb") as file:
        header = _read_header(file, path)
        readers = {"ascii": _ascii, "binary": _binary, "binary_compressed": _compressed}
        if header.encoding not in readers:
            raise InputError(f"{path}: DATA {header.encoding} is none of {', '.join(readers)}")
        columns = readers[header.encoding](file, header, path)
    missing = [axis for axis in "xyz" if axis not in columns]
    if missing:
        raise InputError(f"{path}: no field {', '.join(missing)}, but {', '.join(columns)}")
    points = np.stack([columns[axis] for axis in "xyz"], 1)
    normals = None
    if set(NORMALS) <= columns.keys():
        normals = np.stack([columns[name] for name in NORMALS], 1)
    return placed_cloud(points, normals, _colours(columns), str(path))


def _read_header(file: BinaryIO, path: Path) -> Header:
    words: dict[str, list[str]] = {}
    for _ in range(LINES):
        line = file.readline(100_000).decode("latin-1").split()
        if line and not line[0].startswith("#"):
            words[line[0].upper()] = line[1:]
        if line[:1] == ["DATA"] and len(line) == 2:
            return Header(_dtype(words, path), _count(words, path), line[1].lower())
    raise InputError(f"{path}: not a PCD file: no line DATA in its header")


def _count(words: dict[str, list[str]], path: Path) -> int:
    for names in (("POINTS",), ("WIDTH", "HEIGHT")):
        numbers = [words.get(name, ["?"])[:1] for name in names]
        if all(number and number[0].isdecimal() for number in numbers):
            return int(np.prod([int(number[0]) for number in numbers], dtype=object))
    raise InputError(f"{path}: its header has no number of POINTS")


def _dtype(words: dict[str, list[str]], path: Path) -> np.dtype:
    names = words.get("FIELDS") or words.get("COLUMNS") or []
    sizes, types = words.get("SIZE", []), words.get("TYPE", [])
    counts = words.get("COUNT") or ["1"] * len(names)
    if not names or not len(names) == len(sizes) == len(types) == len(counts):
        raise InputError(f"{path}: FIELDS, SIZE, TYPE and COUNT of its header do not fit together")
    parts = []
    for i, (name, size, kind, count) in enumerate(zip(names, sizes, types, counts, strict=True)):
        known = size.isdecimal() and int(size) in SIZES.get(kind.upper(), ())
        if not known or not count.isdecimal() or not 0 < int(count) < 100_000:
            raise InputError(f"{path}: a field of SIZE {size}, TYPE {kind}, COUNT {count}")
        # names may come twice, as the padding "_" does
        shape = () if count == "1" else (int(count),)
        parts.append((f"{name} {i}", f"<{KINDS[kind.upper()]}{size}", shape))
    return np.dtype(parts)


def _ascii(file: BinaryIO, header: Header, path: Path) -> dict[str, np.ndarray]:
    """Columns of a text file; a row has a number for each item of each field."""
    places, place = {}, 0
    for name in header.dtype.names:
        kind = header.dtype[name]
        if kind.shape == ():
            places.setdefault(name.rpartition(" ")[0], (place, kind))
        place += int(np.prod(kind.shape))
    lines = (line for line in file if line.strip())
    names = [name for name in ("x", "y", "z", *NORMALS, "rgb", "rgba") if name in places]
    chosen = [places[name][0] for name in names]
    try:
        rows = np.loadtxt(lines, np.float64, usecols=chosen, ndmin=2, encoding="latin-1")
    except ValueError as error:
        raise InputError(f"{path}: rows of its DATA are damaged: {error}") from error
    _check(len(rows), header, path)
    kinds = [places[name][1] for name in names]
    columns = {name: rows[: header.points, i] for i, name in enumerate(names)}
    # a packed colour is written as the float, or the integer, that its four bytes are
    packed = {n: k for n, k in zip(names, kinds, strict=True) if n in ("rgb", "rgba")}
    return columns | {name: columns[name].astype(kind) for name, kind in packed.items()}


def _binary(file: BinaryIO, header: Header, path: Path) -> dict[str, np.ndarray]:
    data = file.read()
    _check(len(data) // header.dtype.itemsize, header, path)
    rows = np.frombuffer(data, header.dtype, header.points)
    columns: dict[str, np.ndarray] = {}
    for name in header.dtype.names:
        if rows[name].ndim == 1:
            columns.setdefault(name.rpartition(" ")[0], rows[name])
    return columns


def _compressed(file: BinaryIO, header: Header, path: Path) -> dict[str, np.ndarray]:
    """Two sizes, then LZF: all of the first field, all of the second, ..."""
    sizes = np.frombuffer(file.read(8).ljust(8, b"\0"), "<u4").tolist()
    packed = file.read(sizes[0])
    wanted = header.dtype.itemsize * header.points
    if sizes[1] != wanted or len(packed) < sizes[0]:
        raise InputError(f"{path}: its compressed DATA are damaged or truncated")
    data, columns, start = _unpacked(packed, wanted, path), {}, 0
    for name in header.dtype.names:
        kind = header.dtype[name]
        if kind.shape == ():
            column = np.frombuffer(data, kind, header.points, start)
            columns.setdefault(name.rpartition(" ")[0], column)
        start += kind.itemsize * header.points
    return columns


def _unpacked(packed: bytes, size: int, path: Path) -> bytes:
    """Of LZF: runs of bytes as they are, and copies (length, distance) of what came before."""
    out, place, end = bytearray(), 0, len(packed)
    while place < end and len(out) <= size:
        control, place = packed[place], place + 1
        if control < 32:
            out += packed[place : place + control + 1]
            place += control + 1
            continue
        length, extra = control >> 5, packed[place : place + 2] + b"\0\0"
        place += 2 if length == 7 else 1
        length, low = (7 + extra[0], extra[1]) if length == 7 else (length, extra[0])
        start = len(out) - ((control & 31) << 8) - low - 1
        if start < 0:
            break
        piece = bytes(out[start : start + length + 2])
        # a copy may reach into what it writes: then it repeats
        out += (piece * (-(-(length + 2) // len(piece))))[: length + 2]
    if len(out) != size:
        raise InputError(f"{path}: its compressed DATA are damaged")
    return bytes(out)


def _check(rows: int, header: Header, path: Path) -> None:
    if rows < header.points:
        raise InputError(f"{path}: {rows} of {header.points} points can be read: truncated?")


def _colours(columns: dict[str, np.ndarray]) -> np.ndarray | None:
    """(N, 3) in 0..1 of a packed field: blue is its lowest byte, red its third."""
    packed = columns.get("rgb", columns.get("rgba"))
    if packed is None or packed.dtype.itemsize != 4:
        return None
    bytes_ = np.ascontiguousarray(packed).view("<u4")
    return np.stack([(bytes_ >> shift) & 255 for shift in (16, 8, 0)], 1) / 255
