"""Clouds as text: a point a row, with any separator, with or without names and other lines first.

Commas, semicolons, tabs or spaces; a decimal comma where another sign separates; quotes; UTF-8 and
UTF-16 with a byte order mark; CloudCompare's and .pts' counts; words behind the numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from apps.pointcloud.data.formats.columns import as_colours, cloud_of_rows, named_columns
from apps.pointcloud.geometry.cloud import Cloud, placed_cloud
from core.errors import InputError
from core.files import text_encoding

HEAD = 64  # lines among which the first point is looked for
LONG = 10_000  # characters of a line that are looked at
SEPARATORS = (";", ",", "\t", None)  # None: white space


@dataclass(frozen=True)
class Layout:
    """How a file is to be read: of which line on, and which columns."""

    encoding: str
    skip: int  # lines before the first point
    separator: str | None
    decimal_comma: bool
    numbers: int  # columns of the first row that are numbers, from its beginning
    names: dict  # of columns, empty where the file has none


def read_text(path: Path) -> Cloud:
    """The cloud of a text file. Raises InputError for one that has no rows of numbers."""
    layout = _layout_of(path)
    columns = {name: list(places) for name, places in layout.names.items()}
    chosen = [place for places in columns.values() for place in places] or range(layout.numbers)
    rows = _load(path, layout, chosen)
    if not columns:
        return cloud_of_rows(rows, path)
    # `rows` has the chosen columns alone, three of each kind, in their order
    parts = {name: rows[:, 3 * i : 3 * i + 3] for i, name in enumerate(columns)}
    colours = as_colours(parts["colours"]) if "colours" in parts else None
    return placed_cloud(parts["points"], parts.get("normals"), colours, str(path))


def _load(path: Path, layout: Layout, chosen) -> np.ndarray:
    options = {"delimiter": layout.separator, "usecols": list(chosen), "quotechar": '"', "ndmin": 2}
    try:
        with open(path, encoding=layout.encoding) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy warns of files without rows
            lines = islice(file, layout.skip, None)
            lines = (line.replace(",", ".") for line in lines) if layout.decimal_comma else lines
            return np.loadtxt(lines, np.float64, **options)
    except ValueError as error:
        raise InputError(
            f"{path}: not rows of numbers, below line {layout.skip + 1}: {error}"
        ) from error


def _layout_of(path: Path) -> Layout:
    # latin-1 reads any byte: what is no number is met as such, wherever it stands
    encoding = text_encoding(path, "latin-1")
    try:
        with open(path, encoding=encoding) as file:
            head = list(_lines(file))
    except UnicodeError as error:
        raise InputError(f"{path}: begins as {encoding} and is not ({error})") from error
    return _sniff(head, encoding, path)


def _lines(file) -> Iterator[str]:
    for _ in range(HEAD):
        line = file.readline(LONG)
        if not line:
            return
        yield line.strip()


def _sniff(head: list[str], encoding: str, path: Path) -> Layout:
    """The layout by the first lines: the first with three numbers is the first point."""
    named = _names_of(head)
    for number, line in enumerate(head):
        if line.startswith("#"):
            continue
        for separator in SEPARATORS:
            comma = separator != "," and "," in line
            words = _split(line.replace(",", ".") if comma else line, separator)
            numbers = [_is_number(word) for word in words]
            names = named.get(number, {})
            places = names.get("points", (0, 1, 2))
            if max(places) < len(words) and all(numbers[place] for place in places):
                _check_names(head[:number], len(words), separator, names, path)
                first = numbers.index(False) if False in numbers else len(numbers)
                return Layout(encoding, number, separator, comma, first, names)
    if named:
        raise InputError(f"{path}: the cloud is empty: names of columns, and no row of numbers")
    raise InputError(
        f"{path}: no row of three numbers or more, x y z, in its first {len(head)} lines: "
        "is it the right file?"
    )


def _names_of(head: list[str]) -> dict[int, dict]:
    """The columns by the last line of names before each line, by the line's number."""
    names, current = {}, {}
    for number, line in enumerate(head):
        if current:
            names[number] = current
        for separator in SEPARATORS:
            found = named_columns(_split(line.lstrip("/#"), separator))
            if "points" in found:
                current = found
                break
    return names | ({len(head): current} if current else {})


def _check_names(before: list[str], columns: int, separator, names: dict, path: Path) -> None:
    """Raise InputError where the line above the first point names its columns, and none x y z."""
    lines = [line for line in before if line]
    words = _split(lines[-1].lstrip("/#"), separator) if lines else []
    if not names and len(words) == columns and not any(_is_number(word) for word in words):
        raise InputError(
            f"{path}: its columns are named {', '.join(words)}: name the coordinates x, y, z, or "
            "leave the line of names out if they come first"
        )


def _split(line: str, separator: str | None) -> list[str]:
    return [word.strip().strip('"').strip() for word in line.split(separator)]


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word  # which Python takes within numbers
