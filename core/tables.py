"""One table of numbers, for a terminal, for Markdown and for json.

rows = [("a", 12, 0.5), ("b", 3, float("nan"))]
print(Table("Classes", ("class", "images", "recall"), rows, forms={"recall": scaled(100, 1)}))

Classes
class  images  recall
a          12    50.0
b           3       -
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

MISSING = "-"  # where there is no number: None and NaN
NOTE_WIDTH = 90  # characters of a line of the note

Form = str | Callable[[Any], str]  # "{:.2f}", "{:.1%}", or a function of the number


@dataclass(frozen=True)
class Table:
    """A title, the name of each column, rows of cells, and a note on what the columns are.

    A cell is a word, a number, a truth ("yes", "no"), or None where there is nothing. `form` writes
    fractions; `forms`, by the name of a column, writes any number in it. A column of words alone is
    on the left, one with numbers on the right. A row that is shorter than the others ends in a cell
    that may be as long as it is, such as the reason why nothing could be measured. Without names of
    columns there is no head.

    bold: (row, column) of the cells that stand out, counted from 0, such as `best` has them.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""
    form: Form = "{:.3f}"
    forms: Mapping[str, Form] = field(default_factory=dict)
    bold: Collection[tuple[int, int]] = ()

    def __str__(self) -> str:
        return self.text()

    def text(self, indent: str = "") -> str:
        """Aligned columns under the title, the note below; bold cells end in a star."""
        space = " " if self.bold else ""  # so that digits stay below one another
        lines = [list(map(str, self.columns))] if self.columns else []
        lines += self._cells("{}*", "{}" + space)
        widths, right = _widths(lines), self._numeric()
        body = [indent + _aligned(line, widths, right) for line in lines]
        title = [self.title] if self.title else []
        return "\n".join([*title, *body, *textwrap.wrap(self.note, NOTE_WIDTH)])

    def markdown(self) -> str:
        """The title as a line of its own, the table, the note; bold cells are **bold**.

        A word may come from somebody's file: HTML in it is shown as it stands.
        """
        lines = [list(map(str, self.columns)), *self._cells("**{}**", "{}")]
        count = max(map(len, lines))
        filled = [line + [""] * (count - len(line)) for line in lines]
        head, *body = ["| " + " | ".join(map(_markdown_cell, line)) + " |" for line in filled]
        table = "\n".join([head, "|---" * count + "|", *body])
        return "\n\n".join(part for part in (_no_html(self.title), table, self.note) if part)

    def plain(self) -> dict[str, Any]:
        """{"title", "columns", "rows", "note"} as json takes them; what is not a number is None."""
        rows = [[_plain(value) for value in row] for row in self.rows]
        return {"title": self.title, "columns": list(self.columns), "rows": rows, "note": self.note}

    def _cells(self, bold: str, other: str) -> list[list[str]]:
        """The words of each cell of the rows, in one of two forms."""
        return [
            [
                (bold if (r, c) in self.bold else other).format(self._written(c, value))
                for c, value in enumerate(row)
            ]
            for r, row in enumerate(self.rows)
        ]

    def _written(self, column: int, value: Any) -> str:
        if isinstance(value, str):
            return value
        if not _known(value):
            return MISSING
        name = self.columns[column] if column < len(self.columns) else ""
        if isinstance(value, bool):
            return "yes" if value else "no"
        if name in self.forms:
            return _formed(self.forms[name], value)
        return str(value) if isinstance(value, Integral) else _formed(self.form, value)

    def _numeric(self) -> set[int]:
        """The columns that have a number in any row."""
        # By the values and not by what is written: "12 (10 to 14)" is a word, and reads left.
        cells = ((c, value) for row in self.rows for c, value in enumerate(row))
        return {c for c, v in cells if isinstance(v, Real) and not isinstance(v, bool)}


def scaled(factor: float, digits: int = 2) -> Callable[[float], str]:
    """A form: the number times `factor` (100 for percent), with so many digits."""
    return lambda value: f"{factor * value:.{digits}f}"


def best(values: Sequence[Any], smaller: bool = False) -> list[int]:
    """The places of the largest (or smallest) number; none where fewer than two are known."""
    known = [value for value in values if isinstance(value, Real) and _known(value)]
    if len(known) < 2:
        return []
    first = min(known) if smaller else max(known)
    return [place for place, value in enumerate(values) if value == first]


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    """Characters of each column."""
    # The last cell of a short row does not count: a long reason would push all others apart.
    count = max(map(len, lines), default=0)
    counted = [line if len(line) == count else line[:-1] for line in lines]
    columns = ([line[c] for line in counted if c < len(line)] for c in range(count))
    return [max(map(len, cells), default=0) for cells in columns]


def _aligned(line: Sequence[str], widths: Sequence[int], right: Collection[int]) -> str:
    cells = [
        cell.rjust(width) if c in right else cell.ljust(width)
        for c, (cell, width) in enumerate(zip(line, widths, strict=False))
    ]
    if len(line) < len(widths):
        cells[-1] = line[-1]
    return "  ".join(cells).rstrip()


def _formed(form: Form, value: Any) -> str:
    return form.format(value) if isinstance(form, str) else form(value)


def _known(value: Any) -> bool:
    return value is not None and not (isinstance(value, Real) and math.isnan(value))


def _plain(value: Any) -> Any:
    """Numbers of NumPy as Python's, what is not a number as None."""
    if not _known(value):
        return None
    if isinstance(value, bool | str):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def _markdown_cell(word: str) -> str:
    return _no_html(" ".join(word.split())).replace("|", r"\|")


def _no_html(text: str) -> str:
    return text.replace("<", "&lt;")
