"""Embedded shapes: python -m apps.pointcloud.solids [write | sheet] [--field value]."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.pointcloud.solids.dataset import write_solids
from apps.pointcloud.solids.sheet import contact_sheet
from core.app.embedded import embedded_commands
from core.config import entry_point
from core.errors import InputError


@dataclass(frozen=True)
class WriteConfig:
    """All shapes in ShapeNet-Part's layout: 825 files, 190 MB, in about a minute of one core."""

    root: str = "data/solids"
    train: int = 60  # shapes of each kind
    val: int = 5
    test: int = 10
    seed: int = 0
    points: int = 4096  # of each shape
    workers: int | None = None  # processes; one for each core, at most 16


@dataclass(frozen=True)
class SheetConfig:
    """A picture with a row for each kind, solids.png: about ten seconds on one core."""

    out: str = "solids.png"
    seed: int = 0
    columns: int = 8
    size: int = 120  # pixels of a shape


def write(config: WriteConfig) -> Path:
    """The data set in files; returns its folder."""
    return write_solids(**vars(config))


def draw(config: SheetConfig) -> Any:
    """The picture. Raises InputError for numbers that are too small."""
    if config.columns < 1 or config.size < 32 or config.seed < 0:
        raise InputError("columns are at least 1, size at least 32, and seed at least 0")
    return contact_sheet(config.seed, config.columns, config.size).quantize(128)


@entry_point
def main() -> None:
    embedded_commands({"write": (WriteConfig, write), "sheet": (SheetConfig, draw)})


if __name__ == "__main__":
    main()
