"""Fractal images as files: an image folder, or tar shards.

    folder  <root>/<split>/<class>/<instance>.png           what `core.data.images.labelled` opens
    shards  <root>/<split>-00000.tar, ...: <key>.png and <key>.cls (the label), as webdataset reads

<root>/<split>.yaml records the settings. Writing again with the same ones goes on where it stopped:
a file is there whole or not at all, and none is ever written twice.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, fields
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np

from core.config import load_config, save_config
from core.data.fractals.dataset import FractalImages, FractalsConfig
from core.data.loading import epoch_order
from core.errors import InputError
from core.files import whole_file
from core.ranges import Count

CHUNK = 250  # images of a folder that a process writes at a time


@dataclass(frozen=True)
class Written:
    """What a split on disk was made of."""

    data: FractalsConfig = FractalsConfig()
    layout: Literal["folder", "shards"] = "folder"
    per_shard: Count = 10_000  # images in a tar file


def write(what: Written, root: str | os.PathLike, split: str, workers: int = 1) -> Iterator[int]:
    """Write all images; yields how many are there so far, those of an earlier call included.

    Shards hold the images in a shuffled order, as streams are shuffled by a small buffer only.
    workers: processes. Raises InputError where the split is there with other settings, or without
    a record of them.
    """
    if not what.data.instances or what.per_shard < 1 or workers < 1:
        raise InputError("writing needs instances, per_shard and workers of at least 1")
    images = FractalImages(what.data)
    root = Path(root).expanduser()
    _claim(what, root, split)
    jobs = _shards(what, root, split) if what.layout == "shards" else _chunks(images, root / split)
    done = 0
    for written in _results(jobs, workers):
        done += written
        yield done


def _claim(what: Written, root: Path, split: str) -> None:
    """Record the settings, or compare them with the record."""
    record = root / f"{split}.yaml"
    if record.exists():
        there = load_config(Written, record)
        for part, old in ((what.data, there.data), (what, there)):
            for field in fields(part):
                a, b = getattr(part, field.name), getattr(old, field.name)
                if a != b:
                    raise InputError(
                        f"{record}: written with {field.name} {b}, not {a}: choose another root"
                    )
        return
    if (root / split).exists() or list(root.glob(f"{split}-*.tar")):
        raise InputError(f"{root} has a split {split} of another origin: choose another root")
    root.mkdir(parents=True, exist_ok=True)
    save_config(what, record)


def _results(jobs: list[Callable[[], int]], workers: int) -> Iterator[int]:
    """What the jobs return, as they finish."""
    if workers == 1:
        yield from (job() for job in jobs)
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"))  # forks after threads may hang
    try:
        for future in as_completed([pool.submit(job) for job in jobs]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _chunks(images: FractalImages, folder: Path) -> list[Callable[[], int]]:
    starts = range(0, len(images), CHUNK)
    return [partial(_write_chunk, images.config, folder, start) for start in starts]


def _shards(what: Written, root: Path, split: str) -> list[Callable[[], int]]:
    count = -(-what.data.classes * what.data.instances // what.per_shard)
    paths = [root / f"{split}-{k:05d}.tar" for k in range(count)]
    return [partial(_write_shard, what, path, k) for k, path in enumerate(paths)]


@cache
def _images(config: FractalsConfig) -> FractalImages:
    """One data set a process, so that a class is searched for once."""
    return FractalImages(config)


def _write_chunk(config: FractalsConfig, folder: Path, start: int) -> int:
    images = _images(config)
    stop = min(start + CHUNK, len(images))
    for index in range(start, stop):
        path = folder / images.names[index]
        if path.exists():
            continue
        with whole_file(path) as partial_path:
            partial_path.write_bytes(encoded(images, index))
    return stop - start


def _write_shard(what: Written, path: Path, number: int) -> int:
    images = _images(what.data)
    order = epoch_order(what.data.seed, 0, len(images))
    chosen = order[number * what.per_shard : (number + 1) * what.per_shard].tolist()
    if not path.exists():
        with whole_file(path) as partial_path, tarfile.open(partial_path, "w") as tar:
            for index in chosen:
                key = images.names[index].removesuffix(".png").replace("/", "_")
                _add(tar, f"{key}.png", encoded(images, index))
                _add(tar, f"{key}.cls", str(images.labels[index]).encode())
    return len(chosen)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def encoded(images: FractalImages, index: int) -> bytes:
    """Image `index` as a PNG, with a single channel where it is grey on black."""
    from PIL import Image

    label, number = divmod(index, images.per_class)
    pixels = images.render(label, images.config.first + number)
    if images.config.colour == "grey" and images.config.background == "black":
        pixels = np.ascontiguousarray(pixels[..., 0])
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
