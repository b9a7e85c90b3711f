"""Training batches of data sets and of streams, and what a checkpoint keeps of a stream's order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from core.data.loading import TrainLoader
from core.data.streams.labelled import StreamEnded
from core.data.streams.loading import StreamLoader
from core.data.streams.order import Layout
from core.errors import InputError
from core.training.session import Session

RECORD = Path("training_state", "loader.json")


def feed(session: Session, loader: TrainLoader | StreamLoader, start: int) -> Iterator[Any]:
    """Micro-batches from number ``start`` on. A stream that ends raises StreamEnded everywhere."""
    batches = loader.batches(start)
    return _together(session, batches) if isinstance(loader, StreamLoader) else batches


def _together(session: Session, batches: Iterator[Any]) -> Iterator[Any]:
    """The same, where no process goes on if one cannot: the others would wait for it for ever.

    They compare flags for every micro-batch, on the CPU, so that a GPU's queue is not waited for.
    """
    group = dist.new_group(backend="gloo") if session.world > 1 else None
    try:
        while True:
            batch, failure = _next(batches)
            if failures := _failures(failure, group):
                raise StreamEnded(failures[0])
            yield batch
    finally:
        batches.close()


def _next(batches: Iterator[Any]) -> tuple[Any, str]:
    try:
        return next(batches), ""
    except InputError as error:
        return None, str(error)


def _failures(failure: str, group: Any) -> list[str]:
    """What went wrong in any of the processes; the messages are exchanged if there are some."""
    if group is None:
        return [failure] if failure else []
    flag = torch.tensor([bool(failure)], dtype=torch.int32)
    dist.all_reduce(flag, group=group)
    if not flag:
        return []
    words: list[str] = [""] * group.size()
    dist.all_gather_object(words, failure, group=group)
    return [word for word in words if word]


def describe_order(loader: TrainLoader | StreamLoader | None) -> dict[str, Any]:
    """What has to be known of a stream to go on; empty for data sets with an index."""
    if not isinstance(loader, StreamLoader):
        return {}
    layouts = [asdict(layout) for layout in loader.layouts]
    return {**_extent(loader), "layouts": layouts}


def follow_order(
    loader: TrainLoader | StreamLoader, checkpoint: Path | None, step: int, accumulate: int
) -> None:
    """Let a stream's loader go on from the checkpoint's step. Raises InputError for other data."""
    if not isinstance(loader, StreamLoader):
        return
    path = checkpoint / RECORD if checkpoint else None
    record = json.loads(path.read_text()) if path and path.is_file() else {}
    layouts = [Layout(**layout) for layout in record.pop("layouts", [])]
    if layouts and record != _extent(loader):
        raise InputError(
            f"{loader.dataset} is {_words(_extent(loader))}; the run read {_words(record)}: bring "
            "back the same, or start a new run from this one's weights"
        )
    loader.follow(layouts, step, accumulate)


def _extent(loader: StreamLoader) -> dict[str, int]:
    return {
        "samples": len(loader.dataset),
        "shards": len(loader.dataset.lengths),
        "seed": loader.seed,
    }


def _words(extent: dict[str, int]) -> str:
    return "{samples} samples in {shards} shards with seed {seed}".format(**extent)
