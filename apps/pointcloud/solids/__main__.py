"""Embedded shapes: python -m apps.pointcloud.solids [write | sheet] [--field value]."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from apps.pointcloud.solids.dataset import FEWEST, write_solids
from apps.pointcloud.solids.sheet import contact_sheet
from core.app.embedded import embedded_commands
from core.config import entry_point
from core.ranges import Count, Processes, Range, Seed


@dataclass(frozen=True)
class WriteConfig:
    """All shapes in ShapeNet-Part's layout: 825 files, 190 MB, in about a minute of one core."""

    root: str = "data/solids"
    train: Count = 60  # shapes of each kind
    val: Count = 5
    test: Count = 10
    seed: Seed = 0
    points: Annotated[int, Range(FEWEST)] = 4096  # of each shape
    workers: Processes = None  # one for each core, at most 16


@dataclass(frozen=True)
class SheetConfig:
    """A picture with a row for each kind, solids.png: about ten seconds on one core."""

    out: str = "solids.png"
    seed: Seed = 0
    columns: Count = 8
    size: Annotated[int, Range(32)] = 120  # pixels of a shape


def write(config: WriteConfig) -> Path:
    """The data set in files; returns its folder."""
    return write_solids(**vars(config))


def draw(config: SheetConfig) -> Any:
    """The picture."""
    return contact_sheet(config.seed, config.columns, config.size).quantize(128)


@entry_point
def main() -> None:
    embedded_commands({"write": (WriteConfig, write), "sheet": (SheetConfig, draw)})


if __name__ == "__main__":
    main()
