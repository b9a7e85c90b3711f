"""The data set on disk, as four-panel sets of this field lie there.

<root>/<split>/<number>.png    aerial, ground, aerial map, ground map, side by side
<root>/palette.yaml            class: [r, g, b], the colours of the maps
<root>/towns.json              the settings, written last: a folder with it is complete
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from apps.crossview.towns.classes import CLASSES, PALETTE
from apps.crossview.towns.layout import SPLITS, town_scene
from apps.crossview.towns.render import render
from core.data.embedded import each, write_whole
from core.errors import InputError

VERSION = 1  # of the pictures: raise it when a change makes other ones
MANIFEST, PALETTE_FILE = "towns.json", "palette.yaml"
SMALLEST = 16  # pixels


def write_towns(
    root: str | Path,
    train: int,
    val: int,
    seed: int = 0,
    size: int = 64,
    panorama: bool = False,
    workers: int | None = None,
) -> Path:
    """Write the data set to root unless it is there already; returns root.

    train, val: towns of each split; one is a pure function of the seed, its split and its number
    there. size: pixels of a panel's height; panels are square, those of the street four times as
    wide for a panorama. workers: processes, one for each core unless told otherwise, at most 16.

    Raises InputError where a number is too small, or root holds something else, or other towns.
    """
    if seed < 0 or train < 1 or val < 1 or size < SMALLEST:
        raise InputError(
            f"towns: seed {seed}, train {train}, val {val}, size {size}: at least 0, 1, 1 and "
            f"{SMALLEST} are needed"
        )
    counts = {"towns": VERSION, "seed": seed, "train": train, "val": val}
    manifest = counts | {"size": size, "panorama": panorama}
    write = partial(_write, manifest, workers)
    return write_whole(root, MANIFEST, manifest, "embedded towns", write)


def four_panels(seed: int, split: str, number: int, size: int, panorama: bool) -> np.ndarray:
    """One file's pixels: uint8 (size, W, 3)."""
    above, street = render(town_scene(seed, split, number), size, panorama)
    panels = [above.image, street.image, PALETTE[above.classes], PALETTE[street.classes]]
    return np.concatenate(panels, 1)


def _write(manifest: dict, workers: int | None, root: Path) -> None:
    colours = {name: PALETTE[i].tolist() for i, name in enumerate(CLASSES)}
    (root / PALETTE_FILE).write_text(yaml.safe_dump(colours, sort_keys=False))
    for split in SPLITS:
        (root / split).mkdir()
    every = [(split, number) for split in SPLITS for number in range(manifest[split])]
    each(partial(_write_one, root, manifest), every, workers, "towns")


def _write_one(root: Path, manifest: dict, which: tuple[str, int]) -> None:
    split, number = which
    settings = (manifest["size"], manifest["panorama"])
    pixels = four_panels(manifest["seed"], split, number, *settings)
    Image.fromarray(pixels).save(root / split / f"{number:05d}.png")
