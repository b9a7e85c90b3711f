"""Procedural paintings: python -m apps.style.paintings [write | sheet] [--field value]."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from apps.style.paintings import contact_sheet, write_paintings
from core.config import cli, entry_point
from core.errors import InputError


@dataclass(frozen=True)
class WriteConfig:
    """A data set in the layout of WikiArt's ArtGAN copy."""

    root: str = "data/paintings"
    train: int = 250  # paintings of each style
    val: int = 50
    seed: int = 0
    size: int = 96  # pixels of the longer side
    workers: int | None = None  # processes; one for each core, at most 16


@dataclass(frozen=True)
class SheetConfig:
    """A picture with a row for each style and the same scenes in its columns."""

    out: str = "paintings.png"
    seed: int = 0
    columns: int = 7
    size: int = 96  # pixels of a painting's longer side


def draw_sheet(config: SheetConfig) -> None:
    """Write the picture, in 256 colours; an existing file is not overwritten."""
    out = Path(config.out).expanduser()
    if out.exists():
        raise InputError(f"{out} exists already: give another --out")
    if config.columns < 1 or config.size < 32 or config.seed < 0:
        raise InputError("columns are at least 1, size at least 32, and seed at least 0")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f"{out.name}.partial")
    picture = contact_sheet(config.seed, config.columns, config.size)
    small = picture.quantize(palette=picture.quantize(256))  # a given palette is dithered to
    small.save(partial, "PNG", optimize=True)
    os.replace(partial, out)
    print(out)


def files() -> WriteConfig:
    """All paintings as files, resumable: 3,600 small ones in about a minute of one core."""
    return WriteConfig()


def sheet() -> SheetConfig:
    """A contact sheet of all styles, paintings.png: seconds on one core."""
    return SheetConfig()


PRESETS = {"write": files, "sheet": sheet}


@entry_point
def main() -> None:
    config = cli(PRESETS)
    if isinstance(config, SheetConfig):
        draw_sheet(config)
    else:
        print(write_paintings(**vars(config)))


if __name__ == "__main__":
    main()
