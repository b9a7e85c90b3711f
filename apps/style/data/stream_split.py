"""A Hub data set that is read in turn, divided into training and validation without reading it.

Row r of shard s validates where the r-th number that default_rng([seed, s]) draws from [0, 1) is
below val_share. The rule needs the shards' lengths alone, which stand in their footers, and so no
class has exactly its share: for that the labels would have to be read first.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from apps.style.config import DataConfig
from apps.style.data.protocols import STYLES, known_classes
from core.data.streams.hub import open_hub_stream
from core.data.streams.labelled import LabelledStream
from core.data.streams.tar_shard import Sample
from core.errors import InputError

Read = Callable[[int, int], Iterator[Sample]]


def open_stream_side(
    config: DataConfig, split: str, transform: Callable | None = None
) -> LabelledStream | InTurn:
    """The training rows as a stream, or the validation rows by index. Raises InputError."""
    if not config.root.startswith("hub:") or config.split != "stratified":
        raise InputError(
            f"data.stream with data.root {config.root} and data.split {config.split}: "
            "hub:<name> can be streamed, with --data.split stratified"
        )
    if config.classes and config.classes != len(STYLES):
        raise InputError(
            f"data.stream has all classes, data.classes is {config.classes}: which rows to leave "
            "out is not known before they are read. Take 27, or do without data.stream"
        )
    options: dict[str, Any] = {"buffer": config.buffer, "retries": config.retries}
    options["limit"] = config.limit
    stream = open_hub_stream(config.root, "train", transform, **options)
    side = divided(stream, split, config.val_share, config.seed)
    if config.classes:
        side = renamed(side, known_classes(side.classes, config.root), STYLES)
    return side if split == "train" else InTurn(side)


def divided(stream: LabelledStream, split: str, val_share: float, seed: int) -> LabelledStream:
    """The rows of one side of the split, in their order.

    Raises InputError where the side is empty.
    """
    drawn = [np.random.default_rng([seed, s]).random(n) for s, n in enumerate(stream.lengths)]
    rows = [np.flatnonzero((numbers < val_share) == (split == "val")) for numbers in drawn]
    side = copy.copy(stream)  # the whole stream stays as it is
    side.read, side.lengths = partial(_read_rows, stream.read, rows), [len(r) for r in rows]
    if not len(side):
        raise InputError(f"{stream}: no row is on the side {split} with data.val_share {val_share}")
    side.source = f"{stream.source} {split} (share {val_share:g}, seed {seed})"
    return side


def _read_rows(read: Read, rows: Sequence[np.ndarray], shard: int, start: int) -> Iterator[Sample]:
    """The samples of some rows of a shard, from number `start` of them on.

    The shard is read from the first of these rows to the last, what is between them is passed over.
    """
    places = rows[shard][start:].tolist()
    if not places:
        return
    remaining = iter(places)
    following = next(remaining)
    for place, sample in enumerate(read(shard, following), following):
        if place == following:
            yield sample
            if (following := next(remaining, -1)) < 0:
                return


def renamed(stream: LabelledStream, names: Sequence[str], classes: Sequence[str]) -> LabelledStream:
    """The same samples; class i becomes the place of names[i] in `classes`."""
    index = [classes.index(name) for name in names]
    view = copy.copy(stream)
    view.read, view.classes = partial(_read_renamed, stream.read, index), list(classes)
    return view


def _read_renamed(read: Read, index: Sequence[int], shard: int, start: int) -> Iterator[Sample]:
    for sample in read(shard, start):
        known = 0 <= sample.label < len(index)  # the stream complains of another
        yield sample._replace(label=index[sample.label]) if known else sample


class InTurn(Dataset):
    """The samples of a stream by index, for evaluation; ascending indices read it once through.

    Each loader process reads all of it, whatever share of the samples it gives. An index before the
    last one opens its shard again.
    """

    def __init__(self, stream: LabelledStream):
        self.stream, self.source, self.classes = stream, stream.source, stream.classes
        self.offsets = np.cumsum([0, *stream.lengths])
        self.samples: Iterator[Sample] = iter(())
        self.shard, self.position, self.last = -1, 0, None  # what comes next, and what came last

    def __len__(self) -> int:
        return len(self.stream)

    def __str__(self) -> str:
        return self.source

    def __getitem__(self, index: int) -> dict[str, Any]:
        shard = int(np.searchsorted(self.offsets, index, "right")) - 1
        place = int(index - self.offsets[shard])
        return self.stream.item(shard, place, self._sample(shard, place))

    def _sample(self, shard: int, place: int) -> Sample | None:
        if (shard, place) == (self.shard, self.position - 1):  # loaders repeat the last one
            return self.last
        # behind, or in another shard: read on from there instead of passing over what is between
        if shard != self.shard or place < self.position:
            self.samples = self.stream.samples(shard, place)
            self.shard, self.position = shard, place
        while self.position <= place:
            self.last = next(self.samples, None)
            self.position += 1
        return self.last
