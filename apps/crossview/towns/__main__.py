"""The embedded towns, in files or in one picture.

python -m apps.crossview.towns write --root FOLDER [--train 2000 --val 200 --size 64 --panorama]
python -m apps.crossview.towns sheet --out FILE.png [--size 128]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from PIL import Image

from apps.crossview.towns.dataset import four_panels, write_towns
from core.app.embedded import embedded_commands
from core.config import entry_point
from core.ranges import Count, Range, Seed


@dataclass(frozen=True)
class WriteConfig:
    """The data set, in four-panel files."""

    root: str = "data/crossview-towns"
    train: Count = 2000
    val: Count = 200
    size: Annotated[int, Range(16, 4_096)] = 64  # pixels of a panel's height
    seed: Seed = 0
    panorama: bool = False  # streets 360 degrees wide, four times as wide as high


@dataclass(frozen=True)
class SheetConfig:
    """Some validation towns in one picture: from above, from the street, and both maps."""

    out: str = "towns.png"
    rows: Count = 6
    columns: Count = 2
    size: Annotated[int, Range(16, 4_096)] = 128  # pixels of a panel's height
    seed: Seed = 0
    panorama: bool = False


def write(config: WriteConfig):
    """Render a data set into its folder."""
    options = {"size": config.size, "panorama": config.panorama}
    return write_towns(config.root, config.train, config.val, config.seed, **options)


def town_sheet(config: SheetConfig) -> Image.Image:
    """Some towns in one picture: rows and columns of their panels."""
    numbers = np.arange(config.rows * config.columns).reshape(config.rows, config.columns)
    look = (config.size, config.panorama)
    strips = [[four_panels(config.seed, "val", int(n), *look) for n in row] for row in numbers]
    return Image.fromarray(np.concatenate([np.concatenate(row, 1) for row in strips], 0))


@entry_point
def main() -> None:
    embedded_commands({"write": (WriteConfig, write), "sheet": (SheetConfig, town_sheet)})


if __name__ == "__main__":
    main()
