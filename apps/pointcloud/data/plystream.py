"""A PLY file that grows piece by piece, for clouds that are larger than memory should be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from apps.pointcloud.data.ply import COLOURS
from core.files import whole_file

LINE = "element vertex "
WIDTH = 20  # digits of the count, and spaces of the comment that makes up for those it has not


class PlyStream:
    """Vertices x, y, z and, if wanted, red, green, blue; `count` of them so far."""

    def __init__(self, file: BinaryIO, colours: bool, comment: str):
        self.file, self.count = file, 0
        names = [(axis, "<f4") for axis in "xyz"] + [(name, "u1") for name in COLOURS * colours]
        self.dtype = np.dtype(names)
        kinds = {"<f4": "float", "u1": "uchar"}
        self.head = f"ply\nformat binary_little_endian 1.0\ncomment {comment}\n"
        self.tail = "".join(f"property {kinds[k]} {n}\n" for n, k in names) + "end_header\n"
        file.write(self._header())

    def add(self, points: np.ndarray, colours: np.ndarray | None = None) -> None:
        """Points (n, 3), colours (n, 3) in 0..1."""
        rows = np.empty(len(points), self.dtype)
        for i, axis in enumerate("xyz"):
            rows[axis] = points[:, i]
        if colours is not None:
            for i, name in enumerate(COLOURS):
                rows[name] = (np.clip(colours[:, i], 0, 1) * 255).round()
        self.file.write(rows.tobytes())
        self.count += len(points)

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
def ply_stream(path: Path, colours: bool, comment: str) -> Iterator[PlyStream]:
    """A stream whose file appears at ``path`` when all went well."""
    with whole_file(path) as partial, open(partial, "wb") as file:
        stream = PlyStream(file, colours, comment)
        yield stream
        stream.close()
