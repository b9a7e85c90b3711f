"""The data set on disk, as the ArtGAN copy of WikiArt lies there.

    <root>/<Style>/<artist>_<title>.jpg
    <root>/Style/style_train.csv, style_val.csv   rows <Style>/<file>,<class>, no header, CR LF
    <root>/Style/style_class.txt                  rows <class> <Style>, LF

<root>/paintings.yaml records the settings. Writing again with the same ones goes on where it
stopped and does nothing where all is there: files are whole or absent, and the lists come last.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from apps.style.paintings.styles import STYLES, artist_for, file_name, paint
from core.config import load_config, to_plain
from core.data.embedded import end_with_parent
from core.errors import InputError

VERSION = 1  # of the pictures: raise it when a change makes other ones
RECORD = "paintings.yaml"
JPEG_QUALITY = 92
SMALLEST = 32  # pixels of the longer side: below it nothing of a style is left
CHUNK = 32  # paintings that a process makes at a time


@dataclass(frozen=True)
class Paintings:
    """What a folder of paintings was made of."""

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
    """Write the data set to root, or what is missing of it; returns root.

    train, val: paintings of each style; scenes 0 to train - 1 are trained on and the next `val`
    validate, the same ones in every style. size: pixels of the longer side. workers: processes,
    one for each core unless told otherwise, at most 16. Several calls at once make the same files.

    Raises:
        InputError: a number is too small; root holds something else, or other paintings.
    """
    workers = min(os.cpu_count() or 1, 16) if workers is None else workers
    if seed < 0 or train < 1 or val < 1 or size < SMALLEST or workers < 1:
        given = f"seed {seed}, train {train}, val {val}, size {size}, workers {workers}"
        raise InputError(f"paintings: {given}: at least 0, 1, 1, {SMALLEST} and 1 are needed")
    what, root = Paintings(VERSION, seed, train, val, size), Path(root).expanduser()
    _claim(what, root)
    _paint_missing(what, root, workers)
    for name, text in _lists(what).items():
        if not (root / "Style" / name).exists():
            _put(root / "Style" / name, text.encode())
    return root


def _claim(what: Paintings, root: Path) -> None:
    """Record the settings, or compare them with the record."""
    record, way_out = root / RECORD, f"choose another folder than {root}, or delete it"
    empty = not root.exists() or (root.is_dir() and all(map(_unfinished, root.iterdir())))
    if record.exists():  # looked for after the folder: another process may be writing it
        there = load_config(Paintings, record)
        for field in fields(Paintings):
            a, b = getattr(what, field.name), getattr(there, field.name)
            if a != b:
                raise InputError(f"{record}: painted with {field.name} {b}, not {a}; {way_out}")
        return
    if not empty:
        raise InputError(f"{root}: holds something else than embedded paintings; {way_out}")
    _put(record, yaml.safe_dump(to_plain(what), sort_keys=False).encode())


def _unfinished(path: Path) -> bool:
    return path.name.startswith(f".{RECORD}.")


def _put(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, whoever else writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_path = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        partial_path.write_bytes(content)
        os.replace(partial_path, path)
    finally:
        partial_path.unlink(missing_ok=True)


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


def _paint_missing(what: Paintings, root: Path, workers: int) -> None:
    from rich.progress import Progress

    every = [(style, number) for style in STYLES for number in range(what.train + what.val)]
    missing = [one for one in every if not (root / _path(what, *one)).exists()]
    parts = [missing[start : start + CHUNK] for start in range(0, len(missing), CHUNK)]
    jobs = [partial(_paint_files, what, root, part) for part in parts]
    with Progress(transient=True) as progress:
        task = progress.add_task("paintings", total=len(missing))
        for done in _results(jobs, min(workers, len(jobs))):
            progress.advance(task, done)


def _results(jobs: list[Callable[[], int]], workers: int) -> Iterator[int]:
    """What the jobs return, as they finish."""
    if workers < 2:
        yield from (job() for job in jobs)
        return
    context = multiprocessing.get_context("spawn")  # forks after threads may hang
    pool = ProcessPoolExecutor(workers, context, initializer=end_with_parent)
    try:
        for future in as_completed([pool.submit(job) for job in jobs]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _paint_files(what: Paintings, root: Path, part: list[tuple[str, int]]) -> int:
    for style, number in part:
        artist = artist_for(what.seed, style, number)
        image = paint(what.seed, style, artist, number, what.size)
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY)
        _put(root / _path(what, style, number), buffer.getvalue())
    return len(part)
