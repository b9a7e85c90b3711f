"""The figures in the json files of evaluations, whichever wrote them: for a model card."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.files import distinct_name
from core.models.shapes import times

NO_FIGURES = ("config", "network", "per_class")  # parts of the json
# The folders of a path that is not relative; an address has a colon before its slashes.
FOLDERS = re.compile(r"(?<![\w.:/…~-])~?/(?:[^\s/'\"`,|]+/)*(?=[^\s/'\"`,|])")


def without_folders(text: str) -> str:
    """The text in which every path that is not relative has lost its folders: …/train.npz."""
    return FOLDERS.sub("…/", text)


def read_evaluations(files: Sequence[Path]) -> dict[str, dict[str, float]]:
    """{"FOLDER/FILE, on DATA": {dotted name: number}} of json files that core and apps write.

    Raises InputError for a file that is none.
    """
    found, taken = {}, set()
    for file in files:
        record = read_evaluation(file)
        title = ", ".join([f"{file.absolute().parent.name}/{file.name}", *_circumstances(record)])
        found[distinct_name(title, taken)] = dict(numbers(record))
    return found


def read_evaluation(file: Path) -> dict[str, Any]:
    """All that an evaluation wrote. Raises InputError for a file that is none."""
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{file} is no evaluation's json ({error})") from error


def _circumstances(record: Mapping[str, Any]) -> Iterator[str]:
    """On what an evaluation was made, as far as its json says it: data and image size."""
    if isinstance(record.get("data"), str):
        yield without_folders(f"on {record['data']}")
    config = record.get("config")
    for section, value in config.items() if isinstance(config, dict) else ():
        if isinstance(value, dict) and value.get("root"):
            yield without_folders(f"{section} {value['root']} {value.get('split', '')}".strip())
    if isinstance(size := record.get("image_size"), list):
        yield f"{times(size)} pixels"


def numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """(dotted name, number) of all that is finite.

    A row of a list is called after as many of its first fields as tell the rows apart.
    """
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in NO_FIGURES:
                yield from numbers(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        rows = [list(row.items()) for row in value if isinstance(row, Mapping)]
        count = _fields_of_names(rows)
        for row in rows:
            words = " ".join(f"{key} {inner}" for key, inner in row[:count])
            yield from numbers(dict(row[count:]), f"{name}.{words}")
    elif isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
        yield name, value


def _fields_of_names(rows: Sequence[Sequence[tuple[str, Any]]]) -> int:
    """How many of the first fields no two rows have in common; 1 where they never differ so."""
    for count in range(1, max(map(len, rows), default=0)):
        if len({str(row[:count]) for row in rows}) == len(rows):
            return count
    return 1
