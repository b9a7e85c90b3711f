"""The data set on disk, as ShapeNet-Part (v0_normal) lies there.

    <root>/<synset>/<id>.txt                       rows x y z nx ny nz part
    <root>/train_test_split/shuffled_<split>_file_list.json    shape_data/<synset>/<id>
    <root>/synsetoffset2category.txt               name, tab, synset

<root>/solids.json records the settings and is written last: a folder with it is complete.
"""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import numpy as np

from apps.pointcloud.solids.shapes import DECIMALS, KINDS, SPLITS, make_shape
from core.data.embedded import each, write_whole
from core.data.randomness import stream
from core.errors import InputError

VERSION = 1  # of the shapes: raise it when a change makes other ones
MANIFEST = "solids.json"
FEWEST = 64  # points of a shape
ROW = " ".join([f"%.{DECIMALS}f"] * 6 + ["%.1f"])


def write_solids(
    root: str | os.PathLike,
    train: int,
    val: int,
    test: int,
    seed: int = 0,
    points: int = 4096,
    workers: int | None = None,
) -> Path:
    """Write the data set to root unless it is there already; returns root.

    train, val, test: shapes of each of the KINDS; a shape is a pure function of the seed, its
    split and its number there, so that more of a split, or another split, changes none. points: of
    each shape. workers: processes, one for each core unless told otherwise, at most 16. It is built
    in a folder beside root and renamed: root never holds a part of it. Raises InputError for a
    number that is too small, and where root holds something else, or other solids.
    """
    # in the order of SPLITS, whose places are part of a shape's seed
    counts = dict(zip(SPLITS, (train, val, test), strict=True))
    if seed < 0 or min(counts.values()) < 1 or points < FEWEST:
        raise InputError(
            f"solids: seed {seed}, {counts}, points {points}: at least 0, 1 of each split and "
            f"{FEWEST} points are needed"
        )
    manifest = {"solids": VERSION, "seed": seed, "points": points, **counts}
    write = partial(_write, manifest, workers)
    return write_whole(root, MANIFEST, manifest, "embedded solids", write)


def shape_id(split: str, number: int) -> str:
    """The name of a shape's file: train_00012."""
    return f"{split}_{number:05d}"


def _write(manifest: dict, workers: int | None, root: Path) -> None:
    every = [(s, k, n) for s in SPLITS for k in range(len(KINDS)) for n in range(manifest[s])]
    for kind in KINDS:
        (root / kind.synset).mkdir()
    each(
        partial(_write_shape, root, manifest["seed"], manifest["points"]), every, workers, "solids"
    )
    _write_lists(root, manifest)


def _write_shape(root: Path, seed: int, points: int, which: tuple[str, int, int]) -> None:
    split, kind, number = which
    rows = make_shape(seed, split, kind, number, points)
    np.savetxt(root / KINDS[kind].synset / f"{shape_id(split, number)}.txt", rows, ROW)


def _write_lists(root: Path, manifest: dict) -> None:
    (root / "train_test_split").mkdir()
    for number, split in enumerate(SPLITS):
        files = [shape_id(split, n) for n in range(manifest[split])]
        names = [f"shape_data/{kind.synset}/{file}" for kind in KINDS for file in files]
        order = np.argsort(stream(manifest["seed"], number).random(len(names)), kind="stable")
        text = json.dumps([names[i] for i in order])
        (root / "train_test_split" / f"shuffled_{split}_file_list.json").write_text(text)
    lines = "".join(f"{kind.name}\t{kind.synset}\n" for kind in KINDS)
    (root / "synsetoffset2category.txt").write_text(lines)
