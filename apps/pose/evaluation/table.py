"""A table of numbers, for a terminal and for json."""

from __future__ import annotations

import math
import textwrap
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Table:
    """A title, the name of each column, rows of a name and numbers, and what the columns are.

    A number that nothing was counted for is NaN, or -1 as COCO's evaluation has it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""

    def text(self) -> str:
        """Columns aligned, fractions with three digits, the note below."""
        cells = [self.columns, *([_cell(value) for value in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(_aligned(row, widths)).rstrip() for row in cells]
        return "\n".join([self.title, *lines, *textwrap.wrap(self.note, 90)])

    def plain(self) -> dict[str, Any]:
        """The fields as json takes them; NaN as null."""
        return {**asdict(self), "rows": [[_known(value) for value in row] for row in self.rows]}


def _aligned(row: list[str], widths: list[int]) -> list[str]:
    return [
        c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
    ]


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) or value == -1 else f"{value:.3f}"
    return str(value)
