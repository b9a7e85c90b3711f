"""Procedural paintings: python -m apps.style.paintings [write | sheet] [--field value]."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from PIL import Image

from apps.style.paintings import contact_sheet, write_paintings
from apps.style.paintings.dataset import SMALLEST
from core.app.embedded import embedded_commands
from core.config import entry_point
from core.ranges import Count, Processes, Range, Seed


@dataclass(frozen=True)
class WriteConfig:
    """All paintings in the layout of WikiArt's ArtGAN copy: 3,600 in about a minute of one core."""

    root: str = "data/paintings"
    train: Count = 250  # paintings of each style
    val: Count = 50
    seed: Seed = 0
    size: Annotated[int, Range(SMALLEST, 4_096)] = 96  # pixels of the longer side
    workers: Processes = None  # one for each core, at most 16


@dataclass(frozen=True)
class SheetConfig:
    """A picture with a row for each style and the same scenes in its columns: seconds."""

    out: str = "paintings.png"
    seed: Seed = 0
    columns: Count = 7
    size: Annotated[int, Range(SMALLEST, 4_096)] = 96  # pixels of a painting's longer side


def write(config: WriteConfig) -> Path:
    """Paint a data set into its folder."""
    return write_paintings(**vars(config))


def draw(config: SheetConfig) -> Image.Image:
    """The contact sheet in 256 colours, so that the file is small."""
    picture = contact_sheet(config.seed, config.columns, config.size)
    return picture.quantize(palette=picture.quantize(256))  # a given palette is dithered to


@entry_point
def main() -> None:
    embedded_commands({"write": (WriteConfig, write), "sheet": (SheetConfig, draw)})


if __name__ == "__main__":
    main()
