"""What a checkpoint keeps of a stream's order, and how a run follows it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.data.loading import TrainLoader
from core.data.streams.loading import StreamLoader
from core.data.streams.order import Layout
from core.errors import InputError

RECORD = Path("training_state", "loader.json")


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
