"""The data set on disk, as the ArtGAN copy of WikiArt lies there.

    <root>/<Style>/<artist>_<title>.jpg
    <root>/Style/style_train.csv, style_val.csv   rows <Style>/<file>,<class>, no header, CR LF
    <root>/Style/style_class.txt                  rows <class> <Style>, LF

<root>/paintings.json records the settings; a folder is a whole data set or absent.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from apps.style.paintings.styles import STYLES, artist_for, file_name, paint
from core.data.embedded import each, write_whole
from core.errors import InputError
from core.pictures.sheets import save_image

VERSION = 1  # of the pictures: raise it when a change makes other ones
RECORD, OLD_RECORD = "paintings.json", "paintings.yaml"
JPEG_QUALITY = 92
SMALLEST = 32  # pixels of the longer side: below it nothing of a style is left
CHUNK = 32  # paintings that a process makes at a time


@dataclass(frozen=True)
class Paintings:
    """What a folder of paintings is made of."""

    version: int
    seed: int
    train: int  # paintings of each style
    val: int
    size: int  # pixels of the longer side


def write_paintings(
    root: str | os.PathLike,
    train: int,
    val: int,
    seed: int = 0,
    size: int = 96,
    workers: int | None = None,
) -> Path:
    """Write the data set to root, unless it is there; returns root.

    train, val: paintings of each style; scenes 0 to train - 1 are trained on and the next `val`
    validate, the same ones in every style. size: pixels of the longer side. workers: processes,
    one for each core where None, at most 16. Several calls at once make the same files.

    Raises InputError where a number is too small, and where root holds something else or other
    paintings.
    """
    least_workers = 1 if workers is None else workers
    if seed < 0 or train < 1 or val < 1 or size < SMALLEST or least_workers < 1:
        numbers = f"seed {seed}, train {train}, val {val}, size {size}, workers {workers}"
        raise InputError(f"paintings: {numbers}: at least 0, 1, 1, {SMALLEST} and 1 are needed")
    what, root = Paintings(VERSION, seed, train, val, size), Path(root).expanduser()
    if _written_before(root, what):
        return root
    return write_whole(root, RECORD, asdict(what), "paintings", partial(_fill, what, workers))


def _written_before(root: Path, what: Paintings) -> bool:
    """Whether root is this data set by an older version, which wrote yaml first, the lists last."""
    record = root / OLD_RECORD
    if not (record.is_file() and (root / "Style/style_class.txt").is_file()):
        return False
    return yaml.safe_load(record.read_text()) == asdict(what)


def _fill(what: Paintings, workers: int | None, folder: Path) -> None:
    """Paint everything into an empty folder."""
    for style in (*STYLES, "Style"):
        (folder / style).mkdir()
    numbers = range(what.train + what.val)
    every = [(style, number) for style in STYLES for number in numbers]
    each(partial(_paint_file, what, folder), every, workers, "paintings", CHUNK)
    for name, text in _lists(what).items():
        (folder / "Style" / name).write_bytes(text.encode())  # bytes: the rows end in CR LF


def _paint_file(what: Paintings, folder: Path, key: tuple[str, int]) -> None:
    style, number = key
    image = paint(what.seed, style, artist_for(what.seed, style, number), number, what.size)
    save_image(folder / _path(what, style, number), image, quality=JPEG_QUALITY)


def _path(what: Paintings, style: str, number: int) -> str:
    return f"{style}/{file_name(what.seed, style, number)}"


def _lists(what: Paintings) -> dict[str, str]:
    """The texts of the three lists. Rows are shuffled, as the real ones are."""
    classes = "".join(f"{label} {style}\n" for label, style in enumerate(STYLES))
    return {
        "style_train.csv": _rows(what, range(what.train)),
        "style_val.csv": _rows(what, range(what.train, what.train + what.val)),
        "style_class.txt": classes,
    }


def _rows(what: Paintings, numbers: range) -> str:
    rows = [
        f"{_path(what, style, number)},{label}\r\n"
        for label, style in enumerate(STYLES)
        for number in numbers
    ]
    order = np.random.default_rng([what.seed, numbers.start, 6]).permutation(len(rows))
    return "".join(rows[i] for i in order)
