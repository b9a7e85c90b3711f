"""Splits of Dayton by panorama, and how much the official one gives away.

    python -m apps.crossview.data.splits TRAIN.txt TEST.txt [--out FOLDER] [--seed 0]

Dayton's names are <panorama>.x<column>.y<row>.a<heading>.jpg: about nine crops come from one
panorama, and the official lists deal crops, not panoramas, so that nearly every test image shows
what training has seen at another angle. Ours deals whole panoramas, by a seed, until the test side
has as many images as the official one.
"""

from __future__ import annotations

import argparse
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.config import entry_point
from core.errors import InputError
from core.files import read_text, write_text
from core.ranges import Seed, argument

NAME = re.compile(r"(?P<pano>.+)\.x-?\d+\.y-?\d+\.a(?P<heading>-?\d+)(\.a2g)?\.(jpg|png)")
WITHIN = (10, 20, 45)  # degrees


def panorama_of(name: str) -> str:
    """The panorama that a file of Dayton was cut from. Raises InputError for another name."""
    return _match(name)["pano"]


def _match(name: str) -> re.Match:
    match = NAME.fullmatch(Path(name).name)
    if match is None:
        raise InputError(
            f"{name!r} is no name of Dayton: <panorama>.x<..>.y<..>.a<heading>.jpg; --data.split "
            "official needs no such names"
        )
    return match


def _heading(match: re.Match) -> int:
    """Degrees from 0 to 359; names have them from -180 on."""
    return int(match["heading"]) % 360


def read_list(path: str | Path) -> tuple[list[str], int]:
    """Names of a list, and how many lines were none (`.` and `..` in the ablation lists)."""
    words = [line.strip() for line in read_text(path).split("\n") if line.strip()]
    names = [word for word in words if word not in (".", "..")]
    if not names:
        raise InputError(f"{path} names no image")
    return names, len(words) - len(names)


def by_panorama(names: Sequence[str], test: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Train and test names that share no panorama; about `test` names on the test side.

    Panoramas are dealt in a random order of the seed, as they come, until `test` names are there.
    """
    crops: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        crops[panorama_of(name)].append(name)
    panoramas = sorted(crops)
    order = np.argsort(np.random.Generator(np.random.PCG64(seed)).random(len(panoramas)))
    counts = np.cumsum([len(crops[panoramas[i]]) for i in order])
    cut = int(np.abs(counts - test).argmin()) + 1
    sides = [[panoramas[i] for i in order[cut:]], [panoramas[i] for i in order[:cut]]]
    train, held = ([name for pano in side for name in crops[pano]] for side in sides)
    return train, held


def leak(train: Sequence[str], test: Sequence[str]) -> dict[str, float]:
    """How many test names share a panorama with training, and how near a training heading is.

    "shared" and "share" of the test names; "within N" degrees, a share of all test names.
    """
    headings: dict[str, list[int]] = defaultdict(list)
    for name in train:
        match = _match(name)
        headings[match["pano"]].append(_heading(match))
    for turns in headings.values():
        turns.sort()
    apart = []
    for name in test:
        match = _match(name)
        apart.append(_nearest(headings.get(match["pano"], []), _heading(match)))
    known = np.isfinite(apart)
    near = {f"within {d}": float(np.mean(np.array(apart) <= d)) for d in WITHIN}
    return {"shared": int(known.sum()), "share": float(known.mean()), **near}


def _nearest(turns: list[int], heading: int) -> float:
    """Degrees to the nearest of sorted headings, around the circle; infinite without any."""
    if not turns:
        return float("inf")
    place = bisect_left(turns, heading)
    beside = (turns[place - 1], turns[place % len(turns)])  # before the first comes the last
    return min(min(abs(heading - t), 360 - abs(heading - t)) for t in beside)


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(
        description="Dayton's lists: what they share, and a fair split."
    )
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--seed", type=argument(Seed), default=0)
    parser.add_argument("--out", type=Path, help="folder for panorama_train.txt and _test.txt")
    options = parser.parse_args()
    (train, bad_train), (test, bad_test) = read_list(options.train), read_list(options.test)
    print(f"official: {len(train):,} + {len(test):,} names; {bad_train + bad_test} lines are none")
    _print_leak("official", leak(train, test))
    fair = by_panorama([*train, *test], len(test), options.seed)
    print(f"by panorama, seed {options.seed}: {len(fair[0]):,} + {len(fair[1]):,} names")
    _print_leak("by panorama", leak(*fair))
    if options.out:
        for name, names in zip(("train", "test"), fair, strict=True):
            write_text(options.out / f"panorama_{name}.txt", "\n".join(names) + "\n")


def _print_leak(name: str, counts: dict[str, float]) -> None:
    near = ", ".join(f"{k} degrees {100 * v:.1f} %" for k, v in counts.items() if "within" in k)
    print(
        f"  {name}: {counts['shared']:,} test images ({100 * counts['share']:.1f} %) share a "
        f"panorama with training; a training crop lies {near}"
    )


if __name__ == "__main__":
    main()
