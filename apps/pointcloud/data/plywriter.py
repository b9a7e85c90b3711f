"""PLY files written: whole, or piece by piece for clouds that are larger than memory should be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from apps.pointcloud.data.formats.ply import COLOURS, NORMALS
from apps.pointcloud.geometry.cloud import Cloud
from core.files import whole_file

WIDTH = 20  # digits of a growing count, and spaces of the comment that stand in for the others
KINDS = {"f4": "float", "f8": "double", "u1": "uchar"}


def write_ply(
    path: str | os.PathLike, cloud: Cloud, comment: str = "", faces: np.ndarray | None = None
) -> Path:
    """Write a cloud, or a mesh with triangles (F, 3), as binary PLY, whole or not at all.

    An existing file is replaced: the caller makes sure that it is no input.
    """
    rows = _rows_of(cloud, _columns_like(cloud))
    comments = [f"comment {comment}"] * bool(comment)
    lines = [*comments, f"element vertex {len(cloud)}", *_properties(rows.dtype)]
    triangles = np.zeros(0 if faces is None else len(faces), [("count", "u1"), ("at", "<i4", 3)])
    if faces is not None:
        triangles["count"], triangles["at"] = 3, faces
        lines += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
    with whole_file(path) as partial:
        partial.write_bytes(_header(lines) + rows.tobytes() + triangles.tobytes())
    return Path(path)


@contextmanager
def ply_stream(path: Path, like: Cloud, comment: str) -> Iterator[PlyStream]:
    """A stream whose file appears at ``path`` when all went well."""
    with whole_file(path) as partial, open(partial, "wb") as file:
        stream = PlyStream(file, like, comment)
        yield stream
        stream.close()


class PlyStream:
    """Vertices x, y, z and, as `like` has them, normals and colours; `count` of them so far.

    In double precision where `like` has an origin, which is added to what comes.
    """

    def __init__(self, file: BinaryIO, like: Cloud, comment: str):
        self.file, self.comment, self.count = file, comment, 0
        self.dtype = _columns_like(like)
        file.write(self._header())

    def add(self, cloud: Cloud) -> None:
        """The points of a piece, of the same origin, normals and colours."""
        self.file.write(_rows_of(cloud, self.dtype).tobytes())
        self.count += len(cloud)

    def _header(self) -> bytes:
        """As long for any count: a comment takes up what the number leaves."""
        count = str(self.count)
        comments = f"comment {self.comment}", f"comment {' ' * (WIDTH - len(count))}"
        return _header([*comments, f"element vertex {count}", *_properties(self.dtype)])

    def close(self) -> None:
        """Put the count where it belongs."""
        self.file.seek(0)
        self.file.write(self._header())


def _header(lines: list[str]) -> bytes:
    whole = ["ply", "format binary_little_endian 1.0", *lines, "end_header"]
    return "".join(f"{line}\n" for line in whole).encode()


def _columns_like(cloud: Cloud) -> np.dtype:
    """The properties of a cloud: x, y, z, and the normals and colours that it has.

    Of one with an origin, which float32 would round, x, y, z in double precision.
    """
    names = [(axis, "<f4" if cloud.origin is None else "<f8") for axis in "xyz"]
    names += [(name, "<f4") for name in NORMALS if cloud.normals is not None]
    return np.dtype(names + [(name, "u1") for name in COLOURS if cloud.colours is not None])


def _properties(dtype: np.dtype) -> list[str]:
    return [f"property {KINDS[dtype[name].str[1:]]} {name}" for name in dtype.names]


def _rows_of(cloud: Cloud, dtype: np.dtype) -> np.ndarray:
    """A cloud as rows (N,) of `_columns_like` it."""
    rows, parts = np.empty(len(cloud), dtype), {"xyz": cloud.places(), NORMALS: cloud.normals}
    if cloud.colours is not None:
        parts[COLOURS] = (np.clip(cloud.colours, 0, 1) * 255).round()
    for names, values in parts.items():
        for i, name in enumerate(names):
            if values is not None:
                rows[name] = values[:, i]
    return rows
