"""Splits of tar shards: which files, how many samples in each, and the classes.

    <root>/<split>-00000.tar, ...   also <split>_*.tar, <split>/*.tar, shards-{00000..00123}.tar
    <root>/classes.txt              names of the classes, one a line; without it: 0, 1, ...
    <root>/_info.json               timm's record of the lengths, which spares reading all headers:
                                    splits -> <split> -> filenames, shard_lengths

Only local files: lengths are found by seeking from header to header, 0.2 s for 5,000 images that
are in memory.
"""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from core.data.images.labelled import LabelledImages
from core.data.scan_cache import cached
from core.data.streams.labelled import LabelledStream
from core.data.streams.tar_shard import Entry, Sample, index_tar, read_tar
from core.errors import InputError
from core.files import read_text

SCANS = 16  # shards whose headers are read at a time: network file systems answer slowly
MOST = 100_000  # shards of a pair of braces
BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass
class Shards:
    """The shards of a split, in the order in which a stream takes them."""

    classes: list[str]
    paths: list[str]
    lengths: list[int]  # whole samples in each
    damaged: list[tuple[str, str]] = field(default_factory=list)  # paths, and what is wrong


def holds_shards(root: str, split: str) -> bool:
    """Whether the root is made of tar shards, and not of class folders with a tar beside them."""
    folder = Path(root).expanduser()
    return root.endswith(".tar") or (
        folder.is_dir() and bool(_by_name(folder, split) or _only_tars(folder))
    )


def find_shards(root: str, split: str) -> Shards:
    """The shards of a split with their lengths: those of _info.json, else counted.

    What was counted is remembered for the same files. Raises InputError where there is no such
    split or file, for a record that is none, and for labels that do not fit the classes.
    """
    place = Path(root).expanduser()
    if root.endswith(".tar"):
        return _counted(_present(_braces(str(place))), _classes(place.parent))
    if (place / "_info.json").is_file():
        return _recorded(place, split)
    paths = _by_name(place, split)
    if not paths:
        there = ", ".join(sorted(path.name for path in place.glob("*.tar"))[:5]) or "no .tar"
        raise InputError(
            f"{root} has no {split}-*.tar, {split}_*.tar or {split}/*.tar, but {there}"
        )
    return _counted(paths, _classes(place))


def stream_shards(
    root: str, split: str, transform: Callable | None = None, skip_bad: int = 0, **options: Any
) -> LabelledStream:
    """The shards of a split as a stream; options are those of LabelledStream.

    Raises InputError where there is no such split, or more shards break off than ``skip_bad``.
    """
    shards = find_shards(root, split)
    if len(shards.damaged) > skip_bad:
        path, reason = shards.damaged[0]
        raise InputError(f"{path} {reason}: mend it, or leave its rest out with skip_bad")
    source, read = f"{root} {split}".strip(), partial(_read_shard, shards.paths)
    options["damaged"] = shards.damaged
    return LabelledStream(
        source, shards.classes, shards.paths, shards.lengths, read, transform, **options
    )


def _read_shard(paths: list[str], shard: int, start: int) -> Iterator[Sample]:
    return read_tar(paths[shard], start)


def open_shards(root: str, split: str, transform: Callable | None = None) -> LabelledImages:
    """The same images by index, for evaluation.

    Raises InputError where there is no such split, and for a shard that breaks off.
    """
    shards = find_shards(root, split)
    for path, reason in shards.damaged:
        raise InputError(f"{path} {reason}: mend it")
    entries = [(path, entry) for path in shards.paths for entry in index_tar(path).entries]
    labels, names = [e.label for _, e in entries], [e.name for _, e in entries]
    source, read = f"{root} {split}".strip(), partial(_read_entry, entries)
    return LabelledImages(source, shards.classes, labels, names, read, transform)


def _read_entry(entries: list[tuple[str, Entry]], index: int) -> bytes:
    path, entry = entries[index]
    with open(path, "rb") as file:
        file.seek(entry.offset)
        return file.read(entry.size)


def _by_name(folder: Path, split: str) -> list[str]:
    """The shards of a split, sorted; of the folder, where no split is asked for."""
    name = glob.escape(split)
    for pattern in (f"{name}-*.tar", f"{name}_*.tar") if split else ("*.tar",):
        if paths := _visible(folder, pattern):
            return paths
    inner = folder / split
    return _visible(inner, "*.tar") if inner.is_dir() and _only_tars(inner) else []


def _visible(folder: Path, pattern: str) -> list[str]:
    """Files of a pattern, sorted; a killed writer may have left a hidden part of one."""
    paths = (path for path in folder.glob(pattern) if not path.name.startswith("."))
    return sorted(str(path) for path in paths if path.is_file())  # no pipe, which nobody may fill


def _only_tars(folder: Path) -> bool:
    entries = list(os.scandir(folder))
    return any(e.name.endswith(".tar") for e in entries) and not any(e.is_dir() for e in entries)


def _braces(pattern: str) -> list[str]:
    """shards-{08..11}.tar as its four paths."""
    match = BRACES.search(pattern)
    if not match:
        return [pattern]
    if (count := int(match[2]) - int(match[1]) + 1) > MOST:
        raise InputError(f"{pattern} stands for {count:,} files: at most {MOST:,}")
    numbers = range(int(match[1]), int(match[2]) + 1)
    before, after = pattern[: match.start()], pattern[match.end() :]
    width = len(match[1])  # leading zeros stay
    return [p for i in numbers for p in _braces(f"{before}{i:0{width}}{after}")]


def _present(paths: list[str]) -> list[str]:
    if missing := [path for path in paths if not os.path.isfile(path)]:
        what = "is no file" if os.path.exists(missing[0]) else "is missing"
        raise InputError(f"{missing[0]} {what}, {len(missing)} of {len(paths)} shards")
    return paths


def _classes(folder: Path) -> list[str]:
    path = folder / "classes.txt"
    text = read_text(path) if path.is_file() else ""
    return text.removesuffix("\n").split("\n") if text else []


def _recorded(folder: Path, split: str) -> Shards:
    """What _info.json says; the fields are those that timm's reader of webdatasets reads."""
    path = folder / "_info.json"
    try:
        splits = json.loads(path.read_text())["splits"]
        info = {name: (s["filenames"], s["shard_lengths"]) for name, s in splits.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no record of shards ({error}): mend or remove it") from error
    if split not in info:
        raise InputError(f"{path} has no split {split!r}, but {', '.join(info)}")
    if not (classes := _classes(folder)):
        raise InputError(f"{path} names no classes: write them to {folder / 'classes.txt'}")
    names, lengths = info[split]
    return Shards(classes, _present([str(folder / n) for n in names]), [int(n) for n in lengths])


def _counted(paths: list[str], classes: list[str]) -> Shards:
    counts = cached([_state(path) for path in paths], partial(_count_all, paths))
    highest, name = max((tuple(count["highest"]) for count in counts), default=(-1, ""))
    if classes and highest >= len(classes):
        raise InputError(
            f"{name} has label {highest}, but classes.txt names {len(classes)} classes"
        )
    classes = classes or [str(label) for label in range(highest + 1)]
    damaged = [(p, c["damage"]) for p, c in zip(paths, counts, strict=True) if c["damage"]]
    return Shards(classes, paths, [count["samples"] for count in counts], damaged)


def _state(path: str) -> tuple[str, int, int]:
    """What changes where the file does."""
    stat = os.stat(path)
    return os.path.abspath(path), stat.st_size, stat.st_mtime_ns


def _count_all(paths: list[str]) -> list[dict[str, Any]]:
    print(f"counting the samples of {len(paths)} tar files, once", flush=True)
    with ThreadPoolExecutor(SCANS) as pool:
        return list(pool.map(_count, paths))


def _count(path: str) -> dict[str, Any]:
    """Samples, damage, and the highest label with the sample that has it."""
    entries, damage = index_tar(path)
    top = max(entries, key=lambda entry: entry.label, default=Entry(0, 0, -1, ""))
    if negative := next((entry for entry in entries if entry.label < 0), None):
        raise InputError(f"{path} [{negative.name}] has label {negative.label}: no class")
    return {
        "samples": len(entries),
        "damage": damage,
        "highest": (top.label, f"{path} [{top.name}]"),
    }
