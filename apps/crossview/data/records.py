"""Which files belong together, for each layout that cross-view sets come in.

    panels    <root>/<split>/*.png|jpg, several panels in a file (panels.py)
    cvusa     <root>/splits/<split>-19zl.csv or <root>/<split>.csv: aerial, panorama, ids 0 to 3
    cvact     <root>/[<split>/]<one of satview, satellite, aerial>/NAME<_suffix> with
              <one of streetview, panorama, ground>/NAME<_suffix>; no maps
    folders   <root>/[<split>/]aerial, ground and perhaps ground_map, aerial_map, of equal names

Images may lie in further folders, which are part of their names; folders of splits and views may
have capitals. A test split may be called test or val. Pairs in folders without folders of splits
are dealt: one in ten, by a fixed draw, validates. A record is a name and the panels' files.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from apps.crossview.data.panels import ORDERS
from apps.crossview.data.splits import read_list
from core.data.images.folders import images_below
from core.data.images.labelled import some_of
from core.errors import InputError
from core.files import csv_rows, read_text

ABOVE, STREET = ("aerial", "satview", "satellite"), ("ground", "streetview", "panorama")
FOLDERS = {
    "aerial": ABOVE,
    "ground": STREET,
    "ground_map": ("ground_map",),
    "aerial_map": ("aerial_map",),
}
SHOWN = 4  # names in a message
HELD = 10  # one in so many pairs validates, where a set has no splits


@dataclass(frozen=True)
class Record:
    """One place: its name, and a file for each panel or one file for all ("panels")."""

    name: str
    files: dict[str, Path]


def find_records(root: str, layout: str, split: str) -> list[Record]:
    """The records of a split ("train" or "val"), by name. InputError where there are none."""
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise InputError(f"{root} is no folder: give the data set as --data.root")
    finders = {"panels": _panels, "cvusa": _cvusa, "cvact": _folders, "folders": _folders}
    records = finders[layout](folder, split)
    if not records:
        raise InputError(f"{root}: no {split} images in layout {layout!r}; another --data.layout?")
    return sorted(records, key=lambda record: record.name)


def _names_of(split: str) -> tuple[str, ...]:
    return ("train",) if split == "train" else ("val", "test")


def _split_folder(root: Path, split: str) -> Path | None:
    return _folder(root, _names_of(split))


def _folder(root: Path, names: Iterable[str]) -> Path | None:
    """The first folder of one of these names, in small letters or others."""
    there = {path.name.lower(): path for path in sorted(root.iterdir()) if path.is_dir()}
    return next((there[name] for name in names if name in there), None)


def sorted_images(folder: Path) -> list[Path]:
    """The images of a folder and of those in it, by path; none that a system hides (._a.png)."""
    return sorted(map(Path, images_below(folder)))


def _panels(root: Path, split: str) -> list[Record]:
    folder = _split_folder(root, split)
    if folder is None:
        raise InputError(f"{root} has no folder {' or '.join(_names_of(split))}")
    images = sorted_images(folder)
    return [Record(p.relative_to(folder).as_posix(), {"panels": p}) for p in images]


def listed_records(root: str, lists: str, split: str) -> list[Record]:
    """The panel files that lists/*<split>*.txt names, wherever below `root` they lie.

    Names count without their ending, `.a2g` included, since lists and files differ in it. Raises
    InputError for a list or files that are not there.
    """
    sides = _names_of(split)
    texts = [path for name in sides for path in sorted(Path(lists).glob(f"*{name}*.txt"))]
    if len(texts) != 1:
        present = ", ".join(path.name for path in texts) or "none"
        raise InputError(
            f"{lists} needs one list *{'*.txt or *'.join(sides)}*.txt, and has {present}: a folder "
            "with one list a side"
        )
    images = sorted_images(Path(root).expanduser())
    files, names = _one_each(images, lambda path: _key(path.name)), read_list(texts[0])[0]
    if absent := [name for name in names if _key(name) not in files]:
        count = f"{len(absent)} of {len(names)}"
        raise InputError(f"{texts[0]}: {count} files are not in {root}: {some_of(absent, SHOWN)}")
    paths = sorted({files[_key(name)] for name in names})
    return [Record(path.name, {"panels": path}) for path in paths]


def _one_each(paths: Iterable[Path], name_of: Callable[[Path], str]) -> dict[str, Path]:
    """Paths by name. Raises InputError where two have one."""
    by_name: dict[str, Path] = {}
    for path in paths:
        name = name_of(path)
        if name in by_name:
            raise InputError(f"{by_name[name]} and {path} have one name: which of them is meant?")
        by_name[name] = path
    return by_name


def _key(name: str) -> str:
    return re.sub(r"(\.a2g)?\.\w+$", "", Path(name).name)


def _cvusa(root: Path, split: str) -> list[Record]:
    parts = itertools.product(_names_of(split), ("splits/", ""), ("-19zl", ""))
    names = [f"{folder}{name}{end}.csv" for name, folder, end in parts]
    listed = next((root / name for name in names if (root / name).is_file()), None)
    if listed is None:
        raise InputError(f"{root} has none of the lists {', '.join(names)}")
    rows = csv_rows(listed, read_text(listed))
    return [_triple(root, listed, line, row) for line, row in rows]


def _triple(root: Path, listed: Path, line: int, row: list[str]) -> Record:
    if len(row) != 3:
        raise InputError(
            f"{listed}, line {line}: {len(row)} columns, expected aerial image, panorama and "
            "annotation"
        )
    files = [root / cell.strip() for cell in row]
    return Record(row[1], dict(zip(("aerial", "ground", "ground_map"), files, strict=True)))


def _folders(root: Path, split: str) -> list[Record]:
    base = _split_folder(root, split) or root
    files: dict[str, dict[str, Path]] = {}  # by panel and place
    for panel, names in FOLDERS.items():
        folder = _folder(base, names)
        if folder is not None:
            files[panel] = _one_each(sorted_images(folder), partial(_place_in, folder))
    for panel, names in (("aerial", ABOVE), ("ground", STREET)):
        if panel not in files:
            raise InputError(f"{base} has no folder {' or '.join(names)}{_instead(base)}")
    _check_pairs(base, files)
    places = sorted(files["aerial"])
    chosen = _dealt(root, places, split) if base == root else places
    return [Record(name, {panel: files[panel][name] for panel in files}) for name in chosen]


def _dealt(root: Path, names: list[str], split: str) -> list[str]:
    """One side of names that come without splits."""
    if len(names) < 2:
        raise InputError(f"{root}: {len(names)} pairs cannot be dealt to two sides")
    order = np.argsort(np.random.Generator(np.random.PCG64(0)).random(len(names)))
    held = {names[i] for i in order[: max(1, len(names) // HELD)]}
    return [name for name in names if (name in held) == (split == "val")]


def _place_in(folder: Path, path: Path) -> str:
    """A file's folders and name, without its ending and what CVACT adds for the view."""
    place = unicodedata.normalize("NFC", path.relative_to(folder).with_suffix("").as_posix())
    return re.sub(r"_(grdView|satView_polish|satView)$", "", place)


def _instead(base: Path) -> str:
    """What there is, of which some may be meant."""
    folders = [path.name for path in sorted(base.iterdir()) if path.is_dir()]
    if not folders:
        return ""
    return (
        f", but {some_of(folders, SHOWN)}: if these are parts of a set, such as cities, give one "
        "as --data.root; if they are the views, rename them"
    )


def _check_pairs(base: Path, files: dict[str, dict[str, Path]]) -> None:
    for panel, by_place in files.items():
        if unpaired := sorted(files["aerial"].keys() ^ by_place.keys()):
            raise InputError(
                f"{base}: {len(unpaired)} names are in only one of aerial and {panel}: "
                f"{some_of(unpaired, SHOWN)}. Remove them or complete the pairs"
            )


def panels_of(record: Record, order: str) -> tuple[str, ...]:
    """Names of the panels of a record."""
    return ORDERS[order] if "panels" in record.files else tuple(record.files)
