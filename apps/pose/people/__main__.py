"""The embedded people by themselves: a data set in files, or some of them in a picture.

python -m apps.pose.people write --root ROOT [--train 3000] [--val 300] [--seed 0]
python -m apps.pose.people sheet --out people.png [--skeletons]
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from apps.pose.people.dataset import make_people
from apps.pose.people.sheet import contact_sheet
from core.app.embedded import embedded_commands
from core.config import entry_point
from core.ranges import Count, Processes, Seed


@dataclass(frozen=True)
class WriteConfig:
    """Write the data set in files: COCO keypoint jsons and JPEG images."""

    root: str = "data/pose-people"  # folder to write to
    train: Count = 3000  # number of training images
    val: Count = 300  # number of validation images
    seed: Seed = 0
    workers: Processes = None  # one for each core, at most 16


@dataclass(frozen=True)
class SheetConfig:
    """Some scenes in one picture."""

    out: str = "people.png"  # file to write
    seed: Seed = 0
    rows: Count = 3
    columns: Count = 5
    skeletons: bool = False  # with their labels


def write(config: WriteConfig) -> Path:
    """Draw a data set into its folder."""
    return make_people(config.root, config.train, config.val, config.seed, config.workers)


def sheet(config: SheetConfig) -> Image.Image:
    """Some people in one picture."""
    return contact_sheet(config.seed, config.rows, config.columns, config.skeletons)


@entry_point
def main() -> None:
    embedded_commands({"write": (WriteConfig, write), "sheet": (SheetConfig, sheet)})


if __name__ == "__main__":
    main()
