"""Rows of a PLY file as columns: text, binary of both orders, and lists of any length.

Text has a row a line, or, as some programs write it, a number a line. What a header promises beyond
the end of a file is not asked for. Legend: N rows, M items of all lists.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice, repeat
from typing import BinaryIO

import numpy as np

from core.errors import InputError

CHUNK = 4_000  # rows of text that are taken apart at a time


@dataclass(frozen=True)
class Lists:
    """A list property: all items (M,) one after another, and how many are each row's (N,)."""

    values: np.ndarray
    counts: np.ndarray


Column = np.ndarray | Lists
Take = Callable[[str, int], Sequence]  # type, count: the next numbers, or EOFError


@dataclass(frozen=True)
class Element:
    """One kind of rows in a file; a list property has the type of its count and of its items."""

    name: str
    count: int
    properties: tuple[tuple[str, str, str | None], ...]  # name, numpy type, type of a list's count


def read_element(file: BinaryIO, element: Element, order: str, path) -> dict[str, Column]:
    """The next rows of a file, columns by name; order: "<", ">" or "" for text.

    Raises InputError for what is truncated or damaged.
    """
    if not element.count or not element.properties:
        return {name: np.zeros(0) for name, _, _ in element.properties}
    listed = any(count for *_, count in element.properties)
    if not order:
        _check_claim(_remaining(file), element, path)
        rows = _text_rows(file, element, path)
        return (_text_lists if listed else _text_columns)(rows, element, path)
    if listed:
        return _binary_lists(file, element, order, path)
    dtype = np.dtype([(name, order + kind) for name, kind, _ in element.properties])
    _check_length(_remaining(file) // dtype.itemsize, element, path)
    rows = _numbers(file, dtype, element.count)
    return {name: rows[name] for name in dtype.names}


def _text_rows(file: BinaryIO, element: Element, path) -> Iterator[Iterator[bytes]]:
    """For each row the words that it begins: a line's, or all that are left of the file."""
    lines = (words for line in file if (words := line.split()))
    first = next(lines, [])
    lines = chain([first], lines)
    try:
        _row(_of_words(iter(first)), element, path)
    except EOFError:  # the line ends within the row
        return repeat(chain.from_iterable(lines), element.count)
    except ValueError:
        pass  # no number: whoever takes the row says so
    return map(iter, islice(lines, element.count))


def _text_columns(rows: Iterator[Iterator[bytes]], element: Element, path) -> dict[str, np.ndarray]:
    """Columns of rows without lists, some thousands at a time."""
    width, parts = len(element.properties), []
    each = (row for words in rows if len(row := list(islice(words, width))) == width)
    try:
        while chunk := list(islice(each, CHUNK)):
            parts.append(np.array(chunk, np.float64))
    except ValueError as error:
        raise InputError(f"{path}: {element.name}: {error}") from error
    _check_length(sum(map(len, parts)), element, path)
    columns = np.concatenate(parts).T
    typed = zip(element.properties, columns, strict=True)
    return {name: _typed(values, kind) for (name, kind, _), values in typed}


def _text_lists(rows: Iterator[Iterator[bytes]], element: Element, path) -> dict[str, Column]:
    return _columns_of((_row(_of_words(words), element, path) for words in rows), element, path)


def _binary_lists(file: BinaryIO, element: Element, order: str, path) -> dict[str, Column]:
    """Rows with lists; if their lists are all as long as the first ones, they are read at once."""
    start = file.tell()

    def take(kind: str, count: int) -> np.ndarray:
        return _numbers(file, np.dtype(order + kind), count)

    # Most meshes are all triangles: read as if every list were as long as the first one, check the
    # counts, and go row by row only where they differ.
    with suppress(EOFError):
        dtype = _dtype_like(_row(take, element, path), element, order)
        file.seek(start)
        rows = _numbers(file, dtype, element.count)
        lists = [name for name, _, listed in element.properties if listed]
        if all((rows[f"{name} count"] == rows[name].shape[1]).all() for name in lists):
            columns = {name: rows[name] for name, _, _ in element.properties}
            return columns | {n: Lists(rows[n].ravel(), rows[f"{n} count"]) for n in lists}
    file.seek(start)
    return _columns_of((_row(take, element, path) for _ in range(element.count)), element, path)


def _dtype_like(row: list[Sequence], element: Element, order: str) -> np.dtype:
    """Of rows whose lists are as long as this one's."""
    parts = []
    for (name, kind, listed), numbers in zip(element.properties, row, strict=True):
        parts += [(f"{name} count", order + listed)] if listed else []
        parts += [(name, order + kind, (len(numbers),) if listed else ())]
    return np.dtype(parts)


def _row(take: Take, element: Element, path) -> list[Sequence]:
    """The numbers of each property of the next row."""
    row = []
    for _, kind, listed in element.properties:
        count = _list_length(take(listed, 1)[0], element, path) if listed else 1
        row.append(take(kind, count))
    return row


def _of_words(words: Iterator[bytes]) -> Take:
    def take(_kind: str, count: int) -> list[float]:
        numbers = [float(word) for word in islice(words, count)]
        if len(numbers) < count:
            raise EOFError
        return numbers

    return take


def _numbers(file: BinaryIO, dtype: np.dtype, count: int) -> np.ndarray:
    if dtype.itemsize * count > _remaining(file):
        raise EOFError
    return np.frombuffer(file.read(dtype.itemsize * count), dtype)


def _remaining(file: BinaryIO) -> int:
    """Bytes to the end."""
    return os.fstat(file.fileno()).st_size - file.tell()


def _list_length(count: float, element: Element, path) -> int:
    if not (np.isfinite(count) and count >= 0 and count == int(count)):
        raise InputError(f"{path}: a list of {count} items in '{element.name}': it is damaged")
    return int(count)


def _columns_of(rows: Iterable[list[Sequence]], element: Element, path) -> dict[str, Column]:
    """Columns of rows that are read one by one; eight bytes a number."""
    values = [array("d") for _ in element.properties]
    counts = [array("q") for _ in element.properties]
    try:
        for row in rows:
            for i, numbers in enumerate(row):
                values[i].extend(numbers)
                counts[i].append(len(numbers))
    except EOFError:
        pass  # there are fewer rows than there should be
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: {element.name}: {error}") from error
    _check_length(len(counts[0]), element, path)
    columns = zip(element.properties, map(np.array, values), map(np.array, counts), strict=True)
    return {
        name: Lists(items, lengths) if listed else _typed(items, kind)
        for (name, kind, listed), items, lengths in columns
    }


def _typed(values: np.ndarray, kind: str) -> np.ndarray:
    """Numbers of eight bytes in their type: a byte that a text writes as 255.0 is a byte.

    What an integer cannot hold stays as it is, and so do floats: a text that declares `float` may
    have more digits than that (UTM coordinates, six before the point).
    """
    if kind[0] == "f":
        return values
    limits = np.iinfo(kind)
    fits = np.isfinite(values).all() and limits.min <= values.min() <= values.max() <= limits.max
    return values.astype(kind) if fits else values


def _check_claim(size: int, element: Element, path) -> None:
    """Of text: a number has a digit and a space at least. More would be looked for without end."""
    if 2 * len(element.properties) * element.count > size + 1:
        raise InputError(
            f"{path}: is truncated: {size:,} bytes cannot hold {element.count:,} rows of "
            f"'{element.name}'; copy or export it again"
        )


def _check_length(rows: int, element: Element, path) -> None:
    if rows < element.count:
        raise InputError(
            f"{path}: is truncated: {rows} of {element.count} rows of '{element.name}' are there; "
            "copy or export it again"
        )
