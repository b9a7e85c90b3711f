"""LAS files 1.0 to 1.4 by numpy; LAZ, their compressed form, by laspy where it is installed.

ASPRS, LAS 1.4 specification R15: tables 3 (header) and 7 to 17 (point records). Legend: N points.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from apps.pointcloud.data.formats.columns import as_colours
from apps.pointcloud.geometry.cloud import Cloud, placed_cloud
from core.errors import InputError

HEADER = {0: 227, 1: 227, 2: 227, 3: 235, 4: 375}  # bytes, by the minor version of 1
RECORD = (20, 28, 26, 34, 57, 63, 30, 36, 38, 59, 67)  # bytes of a point at least, by its format
COLOUR_AT = {2: 20, 3: 28, 5: 28, 7: 30, 8: 30, 10: 30}  # bytes into a record, by its format
COMPRESSED = 0x80  # of the format: LAZ


def read_las(path: Path) -> Cloud:
    """Points in the file's unit and colours.

    Raises InputError for LAZ without laspy, and for a header that no version of LAS has.
    """
    data = np.memmap(path, np.uint8, "r")
    if bytes(data[:4]) != b"LASF" or len(data) < HEADER[0]:
        raise InputError(f"{path}: not a LAS file, which begins with LASF, or cut short")
    kind = int(data[104])
    if kind & COMPRESSED:
        return _by_laspy(path)
    start, (length,) = _number(data, "<I", 96), struct.unpack("<H", bytes(data[105:107]))
    count = _number(data, "<I", 107)
    if reason := _damage(tuple(data[24:26].tolist()), start, kind, length):
        raise InputError(f"{path}: its header is damaged, or of no LAS that is known: {reason}")
    if data[25] >= 4 and len(data) >= 255:  # 1.4 counts in 64 bits too
        count = count or _number(data, "<Q", 247)
    there = max(len(data) - start, 0) // length
    if there < count:
        raise InputError(f"{path}: is truncated: {there} of {count} points are there")
    records = data[start : start + count * length].reshape(count, length)
    scale, offset = np.frombuffer(bytes(data[131:179]), "<f8").reshape(2, 3)
    points = _integers(records[:, :12], "<i4") * scale + offset
    place = COLOUR_AT.get(kind)
    if place is None:
        return placed_cloud(points, where=str(path))
    colours = _integers(records[:, place : place + 6], "<u2")
    # writers without colours leave all of them at 0
    return placed_cloud(points, None, as_colours(colours) if colours.any() else None)


def _damage(version: tuple[int, int], start: int, kind: int, length: int) -> str:
    """What is wrong with a version, the place of the points, their format and their bytes."""
    major, minor = version
    if major != 1 or minor not in HEADER:
        return f"version {major}.{minor}, and 1.0 to 1.{max(HEADER)} are known"
    if start < HEADER[minor]:
        return f"points from byte {start} on, within the header of {HEADER[minor]}"
    if kind >= len(RECORD):
        return f"points of format {kind}, and 0 to {len(RECORD) - 1} are known"
    if length < RECORD[kind]:
        return f"points of {length} bytes, and format {kind} has {RECORD[kind]}"
    return ""


def _number(data: np.ndarray, kind: str, place: int) -> int:
    return struct.unpack(kind, bytes(data[place : place + struct.calcsize(kind)]))[0]


def _integers(records: np.ndarray, kind: str) -> np.ndarray:
    return np.ascontiguousarray(records).view(kind)


def _by_laspy(path: Path) -> Cloud:
    try:
        import laspy
    except ImportError as error:
        raise InputError(
            f"{path}: LAZ needs laspy: pip install 'laspy[lazrs]', or write it as .las"
        ) from error
    try:
        file = laspy.read(path)
    except Exception as error:  # of laspy and its two decoders, many kinds
        raise InputError(f"{path}: laspy cannot read it ({error})") from error
    names = {"red", "green", "blue"} & set(file.point_format.dimension_names)
    colours = np.stack([file.red, file.green, file.blue], 1) if len(names) == 3 else None
    colours = None if colours is None else as_colours(colours)
    return placed_cloud(np.asarray(file.xyz), None, colours, str(path))
