"""ReaL accuracy on ImageNet's validation images (Beyer et al. 2020, arXiv 2006.07159).

A prediction is right if it is in the image's list of labels; images with an empty list are left
out. Of the 50,000 images 46,837 are scored. File ILSVRC2012_val_00000001 has the first list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from core.errors import InputError, first_line

VALIDATION_FILE = re.compile(r"ILSVRC2012_val_(\d{8})")


def real_accuracy(
    predictions: Sequence[int], names: Sequence[str], real_labels: Sequence[Sequence[int]]
) -> dict[str, float]:
    """{"top1", "scored", "empty"}: the share of predictions that are in their image's list.

    `names` are the files' names, ILSVRC2012_val_<number from 1>; images with an empty list are not
    scored. Raises InputError for other names, and where nothing is left to score.
    """
    lists = [real_labels[_list_index(name, len(real_labels))] for name in names]
    pairs = list(zip(predictions, lists, strict=True))
    right = [prediction in labels for prediction, labels in pairs if labels]
    if not right:
        raise InputError(f"none of the {len(names)} images has ReaL labels")
    empty = len(names) - len(right)
    return {"top1": sum(right) / len(right), "scored": len(right), "empty": empty}


def _list_index(name: str, count: int) -> int:
    match = VALIDATION_FILE.search(name)
    if not match or not 1 <= int(match[1]) <= count:
        raise InputError(
            f"ReaL labels are for ILSVRC2012_val_00000001 to ..{count:08d}, not for {name!r}: "
            "leave --real-labels out for other images"
        )
    return int(match[1]) - 1


def read_real_labels(path: str) -> list[list[int]]:
    """ReaL's real.json, a list of labels for each validation image; "timm" is the copy there."""
    if path == "timm":
        import timm  # slow to import

        path = str(Path(timm.__file__).parent / "data" / "_info" / "imagenet_real_labels.json")
    try:
        labels = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as ReaL labels: {first_line(error)}") from error
    lists = isinstance(labels, list) and all(isinstance(entry, list) for entry in labels)
    if not lists or not all(type(label) is int for entry in labels for label in entry):
        raise InputError(f"{path} is no list of lists of labels, as real.json is")
    return labels
