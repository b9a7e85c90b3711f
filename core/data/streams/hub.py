"""Labelled images of a Hub data set, or of a folder in its format, read without a download."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from core.data.images.hub import find_columns, hub_set, still_encoded
from core.data.scan_cache import cached
from core.data.streams.labelled import LabelledStream
from core.data.streams.tar_shard import Sample
from core.errors import InputError, first_line

ROWS = 16  # decoded from Arrow at a time
FOOTERS = 16  # parquet files that are asked for their lengths at a time


def open_hub_stream(
    root: str, split: str, transform: Callable | None = None, **options: Any
) -> LabelledStream:
    """`hub:<name>[@config][#columns]` as a stream; options are those of LabelledStream.

    The shards are those of `datasets`, one for each file. Their lengths stand at the ends of
    parquet files; other files are read through once, and the lengths remembered. Raises InputError
    where the set cannot be opened, or has no such split or columns.
    """
    name, _, chosen = root.removeprefix("hub:").partition("#")
    builder, dataset = _open(name, split)
    if dataset.features is None:
        raise InputError(f"{root}: its files do not say what their columns are: use parquet")
    columns = find_columns(dataset.features, root, [c for c in chosen.split(",") if c])
    classes = getattr(dataset.features[columns[1]], "names", None)
    if classes is None:
        raise InputError(
            f"{root}: {columns[1]} is a column of words or numbers, whose classes are known only "
            "when all is read: do without streaming, or store it as a ClassLabel"
        )
    dataset = still_encoded(dataset.select_columns(list(columns)), columns[0])
    files = (builder.config.data_files or {}).get(split, [])
    lengths = _lengths(name, builder, files, dataset)
    shards = [str(file) for file in files] if len(files) == len(lengths) else None
    shards = shards or [f"hub:{name} shard {i}" for i in range(len(lengths))]
    source, read = f"hub:{name} {split}".strip(), partial(_read, dataset, *columns)
    return LabelledStream(source, classes, shards, lengths, read, transform, **options)


def _open(name: str, split: str) -> tuple[Any, Any]:
    """The builder of `datasets`, and its stream of a split."""
    datasets, name, config, saved = hub_set(name)
    if saved:
        raise InputError(f"{name} was written by save_to_disk and is read in place: no stream")
    try:
        builder = datasets.load_dataset_builder(name, config)
        return builder, builder.as_streaming_dataset(split=split)
    except Exception as error:  # the network's, the Hub's and the files' errors are many kinds
        raise InputError(f"hub:{name} ({split}) cannot be opened: {first_line(error)}") from error


def _lengths(name: str, builder: Any, files: list[str], dataset: Any) -> list[int]:
    """Rows of each shard."""
    from datasets.packaged_modules.parquet.parquet import Parquet

    parquet = isinstance(builder, Parquet) and len(files) == dataset.num_shards
    states = list(getattr(files, "origin_metadata", []))  # commits, tags or times of the files
    key = [name, builder.config.name, builder.hash, list(files), states]
    try:
        return cached(key, partial(_footers, files) if parquet else partial(_count, dataset))
    except Exception as error:  # as above
        raise InputError(f"hub:{name} cannot be counted: {first_line(error)}") from error


def _footers(files: list[str]) -> list[int]:
    with ThreadPoolExecutor(FOOTERS) as pool:
        return list(pool.map(_rows, files))


def _rows(file: str) -> int:
    import fsspec
    import pyarrow.parquet as parquet

    with fsspec.open(file, "rb") as opened:
        return parquet.read_metadata(opened).num_rows


def _count(dataset: Any) -> list[int]:
    shards = dataset.num_shards
    print(f"counting the rows of {shards} shards, once: all is read", flush=True)
    return [sum(map(_batch_size, _batches(dataset, i, 0))) for i in range(shards)]


def _batch_size(batch: dict[str, list]) -> int:
    return len(next(iter(batch.values())))


def _batches(dataset: Any, shard: int, start: int) -> Iterator[dict[str, list]]:
    """Columns of a few rows at a time.

    Iterating over the rows themselves would share a shard out among loader workers once more.
    """
    part = dataset.shard(num_shards=dataset.num_shards, index=shard)
    return (part.skip(start) if start else part).iter(ROWS)


def _read(dataset: Any, image: str, label: str, shard: int, start: int) -> Iterator[Sample]:
    """The rows of a shard from ``start`` on. Whatever interrupts it is an OSError."""
    try:
        for batch in _batches(dataset, shard, start):
            for picture, number in zip(batch[image], batch[label], strict=True):
                yield _sample(picture, number)
    except OSError:
        raise
    except Exception as error:  # of the HTTP client, of parquet's decoder
        raise OSError(first_line(error)) from error


def _sample(picture: dict | None, label: int | None) -> Sample:
    picture = picture or {}  # a row without an image
    data, path = picture.get("bytes") or b"", picture.get("path") or ""
    if not data and path:
        import fsspec

        with fsspec.open(path, "rb") as file:
            data = file.read()
    return Sample(data, -1 if label is None else label, os.path.basename(path))
