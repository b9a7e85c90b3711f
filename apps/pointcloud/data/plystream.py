"""A PLY file that grows piece by piece, for clouds that are larger than memory should be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from apps.pointcloud.data.ply import columns_like, fill, property_lines
from apps.pointcloud.geometry.cloud import Cloud
from core.files import whole_file

LINE = "element vertex "
WIDTH = 20  # digits of the count, and spaces of the comment that makes up for those it has not


class PlyStream:
    """Vertices x, y, z and, as `like` has them, normals and colours; `count` of them so far.

    In double precision where `like` has an origin, which is added to what comes.
    """

    def __init__(self, file: BinaryIO, like: Cloud, comment: str):
        self.file, self.count = file, 0
        self.dtype = columns_like(like)
        self.head = f"ply\nformat binary_little_endian 1.0\ncomment {comment}\n"
        self.tail = "".join(f"{line}\n" for line in property_lines(self.dtype)) + "end_header\n"
        file.write(self._header())

    def add(self, cloud: Cloud) -> None:
        """The points of a piece, of the same origin, normals and colours."""
        rows = np.empty(len(cloud), self.dtype)
        fill(rows, cloud)
        self.file.write(rows.tobytes())
        self.count += len(cloud)

    def _header(self) -> bytes:
        """As long for any count: a comment takes up what the number leaves."""
        count = str(self.count)
        line = f"comment {' ' * (WIDTH - len(count))}\n{LINE}{count}\n"
        return (self.head + line + self.tail).encode()

    def close(self) -> None:
        """Put the count where it belongs."""
        self.file.seek(0)
        self.file.write(self._header())


@contextmanager
def ply_stream(path: Path, like: Cloud, comment: str) -> Iterator[PlyStream]:
    """A stream whose file appears at ``path`` when all went well."""
    with whole_file(path) as partial, open(partial, "wb") as file:
        stream = PlyStream(file, like, comment)
        yield stream
        stream.close()
