"""Lists of paintings: ArtGAN's style lists of WikiArt, and csv files. Nothing is opened here.

    style_class.txt                  `index Name` a line
    style_train.csv, style_val.csv   `Folder/artist_title.jpg,index` a line, without a header

(github.com/cs-chan/ArtGAN, "WikiArt Dataset (Refined)".) The class is the index: the folder
`Art_Nouveau_Modern` holds class `Art_Nouveau`. The artist is the file's name up to the first `_`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.config import did_you_mean
from core.data.images.labelled import alike
from core.errors import InputError
from core.files import csv_rows, read_text

SIDES = ("train", "val")
COLUMNS = {  # ours -> what files call it
    "path": ("path", "file", "file_name", "filename", "image", "image_path"),
    "class": ("class", "style", "label"),
    "split": ("split", "subset", "set"),
}
SEPARATORS = (",", ";", "\t")
SAME_SIDE = {"train": "train", "training": "train"}
SAME_SIDE |= dict.fromkeys(("val", "valid", "validation"), "val")


@dataclass(frozen=True)
class Listing:
    """N paintings in files.

    paths: relative to the root, each once; labels: (N,) indices into classes; sides: (N,) "train"
    or "val", or empty where the list does not say.
    """

    paths: list[str]
    labels: list[int]
    classes: list[str]
    sides: list[str]


def artist_of(path: str) -> str:
    """The artist of a painting: the file's name up to the first `_`."""
    return os.path.basename(path).partition("_")[0]


def read_lists(folder: str | Path) -> Listing:
    """ArtGAN's lists of a folder. Raises InputError for what is missing or damaged in them."""
    folder = Path(folder).expanduser()
    classes = _read_classes(folder / "style_class.txt")
    rows = {side: _read_rows(folder / f"style_{side}.csv", len(classes)) for side in SIDES}
    paths = [path for side in SIDES for path, _ in rows[side]]
    labels = [label for side in SIDES for _, label in rows[side]]
    _check_twice(paths, str(folder))
    used = set(labels)
    if unused := [name for i, name in enumerate(classes) if i not in used]:
        raise InputError(f"{folder}: class {unused[0]} of style_class.txt is empty: no list has it")
    return Listing(paths, labels, classes, [side for side in SIDES for _ in rows[side]])


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError(
            f"{path} is missing: a folder of ArtGAN's lists holds style_class.txt, style_train.csv "
            "and style_val.csv"
        )
    # not splitlines: a name may hold U+2028 and other ends of lines that are none in a file
    lines = read_text(path).split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _read_classes(path: Path) -> list[str]:
    pairs = [line.split(maxsplit=1) for line in _lines(path) if line.strip()]
    names = [pair[-1].strip() for pair in pairs]
    if not pairs or [pair[0] for pair in pairs] != [str(i) for i in range(len(pairs))]:
        raise InputError(f"{path}: its lines are `0 Name`, `1 Name` and so on")
    _check_twice(names, str(path))
    return names


def _read_rows(path: Path, classes: int) -> list[tuple[str, int]]:
    rows = []
    for number, line in enumerate(_lines(path), 1):
        file, _, label = line.rpartition(",")
        if not file or not label.strip().isdecimal() or int(label) >= classes:
            raise InputError(
                f"{path}, line {number}: {line!r} is not `Folder/file.jpg,index` with an index "
                f"below the {classes} of style_class.txt"
            )
        rows.append((file, int(label)))
    return rows


def read_csv(file: str | Path) -> Listing:
    """A csv file with the columns path, class and, if it likes, split (train or val).

    Columns may have the names of COLUMNS, in capitals or not, and commas, semicolons or tabs
    between; other columns are ignored, classes are sorted by name. Raises InputError for a missing
    column, an empty field, an unknown split, and a path that is there twice.
    """
    file = Path(file).expanduser()
    if not file.is_file():
        raise InputError(f"{file} is missing: data.csv is a file with the columns path and class")
    text = read_text(file)
    (_, header), *rows = [*csv_rows(file, text, _separator(text))] or [(1, [])]
    columns = _columns(header, file)
    named = ((line, dict(zip(header, row, strict=False))) for line, row in rows)
    values = [_checked_row(row, columns, f"{file}, line {line}") for line, row in named]
    if not values:
        raise InputError(f"{file} lists no painting: a line for each, below that of the columns")
    _check_rows_twice(values, [line for line, _ in rows], file)
    classes = sorted({name for _, name, *_ in values})
    _check_spelling(classes, str(file))
    index = {name: i for i, name in enumerate(classes)}
    labels = [index[name] for _, name, *_ in values]
    sides = [side for row in values for side in row[2:]]
    return Listing([path for path, *_ in values], labels, classes, sides)


def _separator(text: str) -> str:
    """What is between the columns: the one of them that the first line has most of."""
    first = text.partition("\n")[0]
    return max(SEPARATORS, key=first.count)


def _columns(fields: Sequence[str], file: Path) -> dict[str, str]:
    """The file's own name of path, class and, where it has it, split."""
    there = {(name or "").strip().lower(): name for name in reversed(fields)}
    found = {
        ours: next((there[name] for name in names if name in there), None)
        for ours, names in COLUMNS.items()
    }
    if missing := [name for name in ("path", "class") if found[name] is None]:
        theirs = ", ".join(map(repr, fields)) or "nothing at all"
        raise InputError(
            f"{file} has no column {missing[0]!r} ({', '.join(COLUMNS[missing[0]])}), but "
            f"{theirs}: its first line names the columns path, class and, if "
            "it likes, split"
        )
    columns = {ours: theirs for ours, theirs in found.items() if theirs is not None}
    if twice := [name for name in columns.values() if fields.count(name) > 1]:
        raise InputError(f"{file} has several columns {twice[0]!r}: which of them is meant?")
    return columns


def _checked_row(row: dict, columns: dict[str, str], where: str) -> list[str]:
    values = [row.get(name, "").strip() for name in columns.values()]
    if empty := [name for name, value in zip(columns, values, strict=True) if not value]:
        raise InputError(f"{where}: {empty[0]} is empty")
    if "split" in columns:
        values[-1] = SAME_SIDE.get(values[-1].lower(), values[-1])
        if values[-1] not in SIDES:
            known = did_you_mean(values[-1], SIDES)
            raise InputError(f"{where}: unknown split {values[-1]!r}.{known}")
    return values


def _check_spelling(classes: Sequence[str], where: str) -> None:
    """InputError for `alike` names: of a list that somebody types they are one class."""
    for one, other in alike(classes):
        raise InputError(
            f"{where}: {one!r} and {other!r} are two classes that differ in spelling alone: write "
            "one of them for both"
        )


def _check_rows_twice(values: list[list[str]], lines: list[int], file: Path) -> None:
    """InputError for a path of two rows: which these are, and whether they differ."""
    first: dict[str, int] = {}
    for number, (path, *rest) in enumerate(values):
        if (other := first.setdefault(path, number)) != number:
            before, where = values[other][1:], f"lines {lines[other]} and {lines[number]}"
            differ = "" if before == rest else f", as {', '.join(before)} and {', '.join(rest)}"
            raise InputError(f"{file}: {path} is listed twice, in {where}{differ}: keep one line")


def _check_twice(names: Sequence[str], where: str) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(f"{where}: {twice[0]} is listed twice")
