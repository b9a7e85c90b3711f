"""Formula-driven images on disk: python -m core.data.fractals [sheet | write] [--...]."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from core.config import cli, entry_point
from core.data.fractals.dataset import FractalsConfig
from core.data.fractals.sheet import class_rows, fractal_sheet, rule_rows
from core.data.fractals.writer import Written, write
from core.pictures.sheets import save_sheet
from core.progress import Display
from core.ranges import Count, Workers


@dataclass(frozen=True)
class SheetConfig:
    """A picture of many fractal images."""

    data: FractalsConfig = FractalsConfig()
    out: str = "fractals.png"
    show: Literal["rules", "classes"] = "rules"  # a row for each rule, or classes of data.rule
    rows: Count = 6  # of classes
    columns: Count = 10
    tile: Count = 96  # pixels of an image's side


@dataclass(frozen=True)
class WriteConfig:
    """Fractal images as an image folder or as tar shards."""

    what: Written = field(default_factory=Written)
    root: str = "data/fractals"
    split: str = "train"
    workers: Workers = 2  # processes


def draw_sheet(config: SheetConfig) -> None:
    """Write the picture; an existing file is not overwritten."""
    print(save_sheet(config.out, lambda: fractal_sheet(_rows(config), config.tile)))


def _rows(config: SheetConfig) -> list[list[np.ndarray]]:
    if config.show == "rules":
        return rule_rows(config.data, config.columns)
    return class_rows(config.data, config.rows, config.columns)


def write_images(config: WriteConfig) -> None:
    """Write the images, or go on writing them."""
    data = config.what.data
    with Display(data.classes * data.instances, 0) as display:
        for done in write(config.what, config.root, config.split, config.workers):
            display.update(done, "images")
    print(Path(config.root).expanduser() / config.split)


def sheet_of_rules() -> SheetConfig:
    """A contact sheet of all rules, fractals.png: seconds on one core."""
    return SheetConfig()


def files() -> WriteConfig:
    """All images as files, resumable: FractalDB-1k at 256 pixels unless told otherwise."""
    return WriteConfig()


PRESETS = {"sheet": sheet_of_rules, "write": files}


@entry_point
def main() -> None:
    config = cli(PRESETS)
    (draw_sheet if isinstance(config, SheetConfig) else write_images)(config)


if __name__ == "__main__":
    main()
