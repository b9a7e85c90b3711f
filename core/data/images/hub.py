"""Labelled images of a Hub data set, or of a local folder that `datasets` can read."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from core.data.images.labelled import LabelledImages
from core.errors import InputError, first_line

LABELS = ("label", "style", "class")  # names of columns of words or numbers that are labels


def open_hub(root: str, split: str, transform: Callable | None = None) -> LabelledImages:
    """`hub:<name>[@config][#columns]` as LabelledImages; the columns are found by their types.

    `columns` (one name, or two with a comma) chooses where several are images or class labels, as
    in hub:<cifar100>#fine_label. Labels may also be words or whole numbers, whose classes are the
    different ones in order, and images structs or bytes. Raises InputError where it cannot be
    loaded or has no such columns.
    """
    name, _, chosen = root.removeprefix("hub:").partition("#")
    dataset = _load(name, split)
    image, label = find_columns(dataset.features, root, [c for c in chosen.split(",") if c])
    names_of = getattr(dataset.features[label], "names", None)
    dataset = still_encoded(dataset.select_columns([image, label]), image)
    table = dataset.with_format("arrow")[:]
    names = _base_names(table[image])
    labels = table[label].to_pylist()
    if None in labels:
        raise InputError(f"{root}: {labels.count(None)} rows have no {label}")
    if names_of is None:
        classes, labels = _numbered(labels, f"{root}: {label}")
    else:
        classes = names_of
    source = f"hub:{name} {dataset.split or split}".strip()
    return LabelledImages(source, classes, labels, names, partial(_row, dataset, image), transform)


def hub_set(name: str) -> tuple[Any, str, str | None, bool]:
    """The package `datasets`; the name and configuration of <name>[@config]; whether it is saved.

    A name may be a folder; saved: by `save_to_disk`. Raises InputError without the package.
    """
    try:
        import datasets
    except ImportError as error:
        raise InputError("hub: images need the package datasets: pip install datasets") from error
    local = Path(name).expanduser().is_dir()
    name, _, config = (os.path.expanduser(name), "", "") if local else name.partition("@")
    saved = any(Path(name, file).is_file() for file in ("state.json", "dataset_dict.json"))
    return datasets, name, config or None, saved


def _load(name: str, split: str) -> Any:
    datasets, name, config, saved = hub_set(name)
    try:
        if not saved:
            return datasets.load_dataset(name, config, split=split)
        dataset = datasets.load_from_disk(name)
    except Exception as error:  # the network's, the Hub's and the files' errors are many kinds
        raise InputError(f"hub:{name} ({split}) cannot be loaded: {first_line(error)}") from error
    if not isinstance(dataset, dict):
        return dataset
    if split not in dataset:
        raise InputError(f"hub:{name} has no split {split!r}, but {', '.join(dataset)}")
    return dataset[split]


def find_columns(features: Any, root: str, chosen: list[str]) -> tuple[str, str]:
    """The names of the image column and the label column.

    Labels: a ClassLabel, or what `chosen` names or is called label, style or class, of words or
    whole numbers. Raises InputError where there is none, or several and `chosen` names none, and
    where `chosen` names a column that is neither.
    """
    if unknown := [name for name in chosen if name not in features]:
        raise InputError(f"{root}: no column {unknown[0]!r}, but {', '.join(features)}")
    images = [name for name in features if _is_image(features[name])]
    labels = [name for name in features if type(features[name]).__name__ == "ClassLabel"]
    plain = [name for name in features if _is_plain(features[name])]
    labels = [n for n in labels + plain if n in chosen] or labels
    labels = labels or [name for name in plain if name.lower() in LABELS]
    if useless := [name for name in chosen if name not in images + labels]:
        raise InputError(
            f"{root}: {useless[0]} is a column neither of images nor of labels; its columns: "
            f"{', '.join(features)}"
        )
    image = _one(images, "image", features, root, chosen)
    return image, _one(labels, "label", features, root, chosen)


def _one(names: list[str], kind: str, features: Any, root: str, chosen: list[str]) -> str:
    columns = [name for name in names if name in chosen] or names
    place = root.partition("#")[0]
    if not columns:
        hint = f": choose one, as in {place}#COLUMN" if kind == "label" else ""
        raise InputError(f"{root} has no {kind} column; its columns: {', '.join(features)}{hint}")
    if len(columns) > 1:
        raise InputError(
            f"{root} has several {kind} columns: {', '.join(columns)}. Choose one, as in "
            f"{place}#{columns[0]}"
        )
    return columns[0]


def _is_image(feature: Any) -> bool:
    """Whether it is an image, or what one is stored as: bytes, or a struct that has them."""
    fields = feature if isinstance(feature, dict) else {}
    binary = ("binary", "large_binary")
    return type(feature).__name__ == "Image" or any(
        getattr(value, "dtype", None) in binary for value in (feature, fields.get("bytes"))
    )


def _is_plain(feature: Any) -> bool:
    """Whether it is a column of words or of whole numbers."""
    dtype = getattr(feature, "dtype", None) if type(feature).__name__ == "Value" else None
    return isinstance(dtype, str) and dtype.startswith(("string", "large_string", "int", "uint"))


def _numbered(labels: list[Any], source: str) -> tuple[list[str], list[int]]:
    """Names of the classes of words or numbers, in order, and the class of each label.

    Raises InputError, which names ``source``, for -1: what has it is not labelled.
    """
    values = sorted(set(labels))
    if values and values[0] == -1:
        raise InputError(f"{source} has labels from -1: a split without labels?")
    index = {value: i for i, value in enumerate(values)}
    return [str(value) for value in values], [index[value] for value in labels]


def still_encoded(dataset: Any, image: str) -> Any:
    """Images stay encoded: decoding is ours, and the files' names become visible."""
    from datasets import Image

    return dataset.cast_column(image, Image(decode=False))


def _base_names(column: Any) -> list[str]:
    import pyarrow.compute as compute

    paths = compute.struct_field(column, "path").to_pylist()
    return [os.path.basename(path) if path else str(i) for i, path in enumerate(paths)]


def _row(dataset: Any, image: str, index: int) -> str | bytes:
    row = dataset[index][image]
    if row is None:
        return b""  # which is a bad sample
    return row["bytes"] if row["bytes"] is not None else row["path"]
