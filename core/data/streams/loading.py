"""Training batches of a stream, with the order of `core.data.streams.order`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from core.data.loading import (
    BadSample,
    Loaded,
    _Loader,
    bytes_of,
    check_batch,
    ignore_stop_signals,
    seed_cpu,
)
from core.data.streams.labelled import LabelledStream
from core.data.streams.order import Block, Layout, Order
from core.data.streams.tar_shard import Sample
from core.errors import InputError

NEAR = 64  # samples to read past rather than to open the shard again

Held = tuple[int, int, Sample | None]  # shard, index in it, and the sample if there is one


class StreamLoader(_Loader):
    """Endless micro-batches of one process; options as for `TrainLoader`.

    ``batches(start)`` begins at any micro-batch. With the same processes, workers, micro-batch and
    buffer it gives what a run that never stopped gives; `follow` goes on from other ones. The
    transform may draw from the global generators, seeded by (seed, epoch, sample) before each.
    """

    def __init__(self, dataset: LabelledStream, batch_size: int, **options: Any):
        super().__init__(dataset, batch_size, **options)
        lanes = max(1, self.workers)
        buffer = max(1, dataset.buffer // lanes)
        self.layouts = [Layout(0, 1, self.world, lanes, batch_size, buffer)]
        if self.rank == 0:
            self._account(dataset.damaged)
        self.bad.update(dataset.damaged)  # named by the first process, counted by all

    def follow(self, layouts: list[Layout], step: int, accumulate: int) -> None:
        """Go on from optimizer step ``step`` of a run that had ``layouts`` before.

        What they have left of an epoch is shared out anew where the layout is another one now.
        """
        own = replace(self.layouts[-1], step=step, accumulate=accumulate)
        past = [layout for layout in layouts if layout.step < step]
        same = past and replace(past[-1], step=step) == own
        self.layouts = past if same else [*past, own]

    def batches(self, start: int = 0) -> Iterator[Any]:
        """From micro-batch ``start`` of the run on, which ``accumulate`` of now counts.

        Raises InputError with too many bad samples, and StreamEnded.
        """
        start -= self.layouts[-1].step * self.layouts[-1].accumulate
        loader = DataLoader(
            _Lanes(self, start),
            batch_size=None,
            num_workers=self.workers,
            collate_fn=_unchanged,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=ignore_stop_signals,
        )
        for loaded in loader:
            self._account(loaded.bad)
            if loaded.failure:
                raise loaded.failure
            yield loaded.data


def _unchanged(item: Any) -> Any:
    return item


class _Lanes(IterableDataset):
    """The batches of one worker. An error travels as an item: DataLoader would add a traceback."""

    def __init__(self, loader: StreamLoader, start: int):
        self.stream, self.layouts, self.start = loader.dataset, loader.layouts, start
        self.seed, self.rank, self.collate = loader.seed, loader.rank, loader.collate
        self.allowed = loader.skip_bad

    def __iter__(self) -> Iterator[Loaded]:
        info, workers = get_worker_info(), self.layouts[-1].workers
        # DataLoader asks worker 0 first: it takes the lane whose turn micro-batch `start` is
        worker = (self.start + (info.id if info else 0)) % workers
        lane = self.rank * workers + worker
        given = int(self.layouts[-1].given(self.start)[lane])
        order = Order(self.stream.lengths, self.seed, self.layouts)
        bad: list[tuple[str, str]] = []
        try:
            samples = self._samples(order.blocks(lane, given), bad)
            while True:
                count, first = self.layouts[-1].micro_batch, next(samples)
                check_batch(count, bytes_of(first))
                batch = [first, *(next(samples) for _ in range(count - 1))]
                yield Loaded(self.collate(batch), [], bad.copy())
                bad.clear()
        except InputError as error:
            yield Loaded(None, [], bad, error)

    def _samples(self, blocks: Iterator[Block], bad: list[tuple[str, str]]) -> Iterator[Any]:
        """Items in the blocks' orders. The next block is read evenly while one is given.

        So memory holds one block at a time: each sample given makes room for one that is read.
        """
        offsets = [0, *torch.tensor(self.stream.lengths).cumsum(0).tolist()]  # of the shards
        cursor, block = _Cursor(self.stream), next(blocks)
        held = [cursor.at(*place) for place in block.places.tolist()]
        for following in blocks:
            coming: list[Held] = []
            for i, place in enumerate(block.order):
                # read by now: the same share of the next block as is given of this one, rounded up
                target = -(-(i + 1) * len(following.places) // len(block.places))
                unread = following.places[len(coming) : target].tolist()
                coming += [cursor.at(*p) for p in unread]
                if i >= block.given:
                    shard, index, _ = held[place]
                    key = (self.seed, block.epoch, offsets[shard] + index)
                    rest = (held[p] for p in block.order[i:])  # substitutes of a bad sample
                    yield self._item(key, chain(rest, coming), bad)
                held[place] = None
            block, held = following, coming

    def _item(self, key: tuple[int, ...], samples: Iterator[Held], bad: list) -> dict[str, Any]:
        """The first sample, or the next good one if it is bad, with the randomness of ``key``."""
        for shard, index, sample in samples:
            try:
                seed_cpu(*key)
                return self.stream.item(shard, index, sample)
            except BadSample as error:
                bad.append((error.path, error.reason))
                if len({path for path, _ in bad}) > self.allowed:
                    break
        path, reason = bad[-1]
        raise InputError(f"{path}: {reason}. No good sample is left to replace it")


class _Cursor:
    """Reads samples by (shard, index); cheap where the next index follows the last one."""

    def __init__(self, stream: LabelledStream):
        self.stream, self.shard, self.position = stream, -1, 0
        self.samples: Iterator[Sample] = iter(())

    def at(self, shard: int, index: int) -> Held:
        if shard != self.shard or not 0 <= index - self.position < NEAR:
            self.samples = self.stream.samples(shard, index)
            self.shard, self.position = shard, index
        while self.position <= index:
            sample = next(self.samples, None)
            self.position += 1
        return shard, index, sample
