"""Embedded shapes: python -m apps.pointcloud.solids [write | sheet] [--field value]."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from apps.pointcloud.prediction.pictures import save_picture
from apps.pointcloud.solids.dataset import write_solids
from apps.pointcloud.solids.sheet import contact_sheet
from core.config import cli, entry_point
from core.errors import InputError


@dataclass(frozen=True)
class WriteConfig:
    """A data set in ShapeNet-Part's layout."""

    root: str = "data/solids"
    train: int = 60  # shapes of each kind
    val: int = 5
    test: int = 10
    seed: int = 0
    points: int = 4096  # of each shape
    workers: int | None = None  # processes; one for each core, at most 16


@dataclass(frozen=True)
class SheetConfig:
    """A picture with a row for each kind."""

    out: str = "solids.png"
    seed: int = 0
    columns: int = 8
    size: int = 120  # pixels of a shape


def draw_sheet(config: SheetConfig) -> None:
    """Write the picture; an existing file is not overwritten."""
    out = Path(config.out).expanduser()
    if out.exists():
        raise InputError(f"{out} exists already: give another --out")
    if config.columns < 1 or config.size < 32 or config.seed < 0:
        raise InputError("columns are at least 1, size at least 32, and seed at least 0")
    picture = contact_sheet(config.seed, config.columns, config.size)
    print(save_picture(out, picture.quantize(128)))


def write() -> WriteConfig:
    """All shapes as files: 825 of them, 190 MB, in about a minute of one core."""
    return WriteConfig()


def sheet() -> SheetConfig:
    """A contact sheet of all kinds, solids.png: about ten seconds on one core."""
    return SheetConfig()


PRESETS = {"write": write, "sheet": sheet}


@entry_point
def main() -> None:
    config = cli(PRESETS)
    if isinstance(config, SheetConfig):
        draw_sheet(config)
    else:
        print(write_solids(**vars(config)))


if __name__ == "__main__":
    main()
