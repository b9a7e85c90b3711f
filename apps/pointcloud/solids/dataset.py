"""The data set on disk, as ShapeNet-Part (v0_normal) lies there.

    <root>/<synset>/<id>.txt                       rows x y z nx ny nz part
    <root>/train_test_split/shuffled_<split>_file_list.json    shape_data/<synset>/<id>
    <root>/synsetoffset2category.txt               name, tab, synset

<root>/solids.json records the settings and is written last: a folder with it is complete.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from apps.pointcloud.randomness import stream
from apps.pointcloud.solids.shapes import DECIMALS, KINDS, SPLITS, make_shape
from core.errors import InputError

VERSION = 1  # of the shapes: raise it when a change makes other ones
MANIFEST = "solids.json"
FEWEST = 64  # points of a shape
ROW = " ".join([f"%.{DECIMALS}f"] * 6 + ["%.1f"])


def write_solids(root, train: int, val: int, test: int, seed: int = 0, points: int = 4096,
                 workers: int | None = None) -> Path:  # fmt: skip
    """Write the data set to root unless it is there already; returns root.

    train, val, test: shapes of each of the KINDS; a shape is a pure function of the seed, its
    split and its number there, so that more of a split, or another split, changes none. points: of
    each shape. workers: processes, one for each core unless told otherwise, at most 16. It is built
    in a folder beside root and renamed: root never holds a part of it.

    Raises:
        InputError: a number is too small; root holds something else, or other solids.
    """
    root, counts = Path(root).expanduser(), dict(zip(SPLITS, (train, val, test), strict=True))
    if seed < 0 or min(counts.values()) < 1 or points < FEWEST:
        raise InputError(f"solids: seed {seed}, {counts}, points {points}: at least 0, 1 of each "
                         f"split and {FEWEST} points are needed")  # fmt: skip
    manifest = {"solids": VERSION, "seed": seed, "points": points, **counts}
    if _is_there(root, manifest):
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    partial_root = root.parent / f".{root.name}.partial-{uuid.uuid4().hex[:8]}"
    try:
        _write(partial_root, manifest, workers or min(os.cpu_count() or 1, 16))
        (partial_root / MANIFEST).write_text(json.dumps(manifest) + "\n")
        _move(partial_root, root, manifest)
    finally:
        shutil.rmtree(partial_root, ignore_errors=True)
    return root


def shape_id(split: str, number: int) -> str:
    """The name of a shape's file: train_00012."""
    return f"{split}_{number:05d}"


def _is_there(root: Path, manifest: dict) -> bool:
    """Whether root is the data set of this manifest; False where there is nothing yet."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    way_out = f"choose another folder than {root}, or delete it"
    if not (root / MANIFEST).is_file():
        raise InputError(f"{root}: holds something else than embedded solids; {way_out}")
    try:
        found = json.loads((root / MANIFEST).read_text())
    except ValueError as error:
        raise InputError(
            f"{root / MANIFEST}: not a record of embedded solids; {way_out}"
        ) from error
    if found != manifest:
        raise InputError(f"{root}: holds the embedded solids {found}, wanted {manifest}; {way_out}")
    return True


def _write(root: Path, manifest: dict, workers: int) -> None:
    from rich.progress import Progress

    every = [(s, k, n) for s in SPLITS for k in range(len(KINDS)) for n in range(manifest[s])]
    for kind in KINDS:
        (root / kind.synset).mkdir(parents=True)
    write = partial(_write_shape, root, manifest["seed"], manifest["points"])
    with Progress(transient=True) as progress:
        found = _each(write, every, min(workers, len(every)))
        for _ in progress.track(found, len(every), description="solids"):
            pass
    _write_lists(root, manifest)


def _each(write: Callable, every: list, workers: int) -> Iterator:
    """What `write` returns of each, in order, by so many processes."""
    if workers < 2:
        yield from map(write, every)
        return
    context = multiprocessing.get_context("spawn")  # forks after threads may hang
    with ProcessPoolExecutor(workers, context, _end_with_parent) as pool:
        yield from pool.map(write, every, chunksize=8)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _write_shape(root: Path, seed: int, points: int, which: tuple[str, int, int]) -> None:
    split, kind, number = which
    rows = make_shape(seed, split, kind, number, points)
    np.savetxt(root / KINDS[kind].synset / f"{shape_id(split, number)}.txt", rows, ROW)


def _write_lists(root: Path, manifest: dict) -> None:
    (root / "train_test_split").mkdir()
    for number, split in enumerate(SPLITS):
        names = [f"shape_data/{kind.synset}/{shape_id(split, n)}" for kind in KINDS
                 for n in range(manifest[split])]  # fmt: skip
        order = np.argsort(stream(manifest["seed"], number).random(len(names)), kind="stable")
        text = json.dumps([names[i] for i in order])
        (root / "train_test_split" / f"shuffled_{split}_file_list.json").write_text(text)
    lines = "".join(f"{kind.name}\t{kind.synset}\n" for kind in KINDS)
    (root / "synsetoffset2category.txt").write_text(lines)


def _move(source: Path, root: Path, manifest: dict) -> None:
    """Rename; where another process was first, its data set is the same one."""
    try:
        source.rename(root)  # replaces an empty folder, never one that holds something
    except OSError:
        if not _is_there(root, manifest):
            raise
