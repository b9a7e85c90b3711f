"""The order in which loader workers read a stream: arithmetic alone, no reading.

A stream is a list of shards with known lengths, N samples together. A lane is one loader worker of
one process, and a layout is how many there are and how much each gives at a time.

Epoch e visits the shards in the permutation f(seed, e). Their samples in that order are cut into
ranges, one for each lane, whose lengths differ by at most one; a lane reads its own from the
beginning to the end. So every sample is seen exactly once an epoch whatever the number of shards,
and a shard is opened by few lanes. Over the epochs the spare samples go round, so that no lane
runs ahead of another by more than one sample and a micro-batch.

Within its range a lane shuffles blocks of `buffer` samples, each in a permutation f(seed, e, lane,
block). Unlike the usual sliding buffer, a block needs no memory of what came before: where a lane
stands is one integer, and going on means to seek to the block and to read it once more.

A run that goes on with another layout has left a ragged rest of one or two epochs: `Order` works
it out from the layouts before, and cuts the rest into ranges for the new lanes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from core.data.loading import epoch_order


@dataclass(frozen=True)
class Layout:
    """Who reads, from optimizer step ``step`` on."""

    step: int
    accumulate: int  # micro-batches per optimizer step
    world: int  # processes
    workers: int  # lanes of a process
    micro_batch: int  # samples
    buffer: int  # samples that a lane shuffles at a time

    @property
    def lanes(self) -> int:
        """Loader workers of all processes, each of which reads a part."""
        return self.world * self.workers

    def given(self, micro_batches: int) -> np.ndarray:
        """Samples that each lane has given after so many micro-batches of each process: (lanes,).

        Micro-batch m of a process comes from its worker m % workers.
        """
        of_worker = (micro_batches - np.arange(self.workers) + self.workers - 1) // self.workers
        return np.tile(of_worker, self.world) * self.micro_batch


@dataclass(frozen=True)
class Block:
    """Samples that a lane reads in the order of ``places`` and gives in that of ``order``."""

    epoch: int
    places: np.ndarray  # (n, 2) shard, index in the shard
    order: np.ndarray  # (n,) a permutation of the places
    given: int  # how many of them were given before


class Order:
    """Where every sample of every epoch is read, under the last of ``layouts``.

    lengths: samples of each shard. layouts: the run's, in turn, ``step`` ascending from wherever
    the stream began; an earlier one holds until the next one's step.

    Pieces are rows (shard, start, stop) of an (n, 3) array; s counts the layouts.
    """

    def __init__(self, lengths: Sequence[int], seed: int, layouts: Sequence[Layout]):
        self.lengths, self.seed, self.layouts = np.asarray(lengths, np.int64), seed, layouts
        steps = [(a, b.step - a.step) for a, b in pairwise(layouts)]
        self.given = [layout.given(count * layout.accumulate) for layout, count in steps]
        # cumulative sizes by layout and epoch, each (lanes,); grows as epochs are asked for
        self._before = [[np.zeros(layout.lanes, np.int64)] for layout in layouts]
        self.pieces = lru_cache(16)(self._pieces)  # of an epoch, as a layout finds it

    def blocks(self, lane: int, given: int) -> Iterator[Block]:
        """The endless blocks of a lane of the last layout that has given so many samples."""
        s, epoch = len(self.layouts) - 1, 0
        size = self.layouts[s].buffer
        # epochs that this lane has behind it, also those that earlier layouts gave (of size 0 now)
        while self.before(epoch + 1, s)[lane] <= given:
            epoch += 1
        while True:
            # (n, 3) pieces of the lane, and how many of their samples it has given already
            own, done = self.range(lane, epoch, s), max(given - self.before(epoch, s)[lane], 0)
            for block in range(done // size, -(-_count(own) // size)):
                first = block * size
                places = _places(own, np.arange(first, min(first + size, _count(own))))
                order = self._shuffled(len(places), epoch, s, lane, block)
                yield Block(epoch, places, order, max(int(done) - first, 0))
            epoch += 1

    def _shuffled(self, count: int, *key: int) -> np.ndarray:
        return np.random.default_rng([self.seed, *key]).permutation(count)

    def total(self, epoch: int, s: int) -> int:
        """Samples of an epoch that layout s finds unread."""
        return int(self.left(epoch, s - 1).sum() if s else self.lengths.sum())

    def sizes(self, epoch: int, s: int) -> np.ndarray:
        """The lengths of the lanes' ranges: (lanes,)."""
        lanes = self.layouts[s].lanes
        whole, spare = divmod(self.total(epoch, s), lanes)
        # `spare` lanes have one more, and other ones each epoch: lane l where (l + e) spare mod
        # lanes < spare, which over `lanes` epochs gives every lane `spare` of them
        return whole + ((np.arange(lanes) + epoch) * spare % lanes < spare)  # each in its turn

    def before(self, epoch: int, s: int) -> np.ndarray:
        """Samples that each lane gives before the epoch: (lanes,)."""
        known = self._before[s]
        while len(known) <= epoch:
            known.append(known[-1] + self.sizes(len(known) - 1, s))
        return known[epoch]

    def left(self, epoch: int, s: int) -> np.ndarray:
        """Samples of the epoch that each lane of layout s had not given at its end: (lanes,)."""
        return np.clip(self.before(epoch + 1, s) - self.given[s], 0, self.sizes(epoch, s))

    def _pieces(self, epoch: int, s: int) -> np.ndarray:
        """What layout s has to share out of an epoch, in the order of reading: (n, 3) pieces."""
        if s == 0:  # nothing was read before: whole shards, shuffled
            shards = epoch_order(self.seed, epoch, len(self.lengths))
            shards = shards[self.lengths[shards] > 0]
            return np.stack([shards, np.zeros_like(shards), self.lengths[shards]], axis=1)
        # what the lanes before left, lane after lane
        lanes = range(self.layouts[s - 1].lanes)
        return _merged(np.concatenate([self._unread(lane, epoch, s - 1) for lane in lanes]))

    def range(self, lane: int, epoch: int, s: int) -> np.ndarray:
        """The pieces that a lane reads, (n, 3): its share of the layout's, one after the other."""
        sizes = self.sizes(epoch, s)
        first = int(sizes[:lane].sum())
        return _cut(self.pieces(epoch, s), first, first + int(sizes[lane]))

    def _unread(self, lane: int, epoch: int, s: int) -> np.ndarray:
        """What the lane left of its range: the rest of a block, and all blocks after it."""
        own, size = self.range(lane, epoch, s), self.layouts[s].buffer
        count = _count(own)
        block, inside = divmod(count - int(self.left(epoch, s)[lane]), size)
        first, stop = block * size, min((block + 1) * size, count)
        if not inside:  # it stopped between two blocks
            return _cut(own, first, count)
        # of a block that was begun, the places behind `inside` of its order; sorted, to be read in
        # a row as before, one piece each until _merged joins neighbours
        order = self._shuffled(stop - first, epoch, s, lane, block)
        shard, index = _places(own, first + np.sort(order[inside:])).T
        rest = np.stack([shard, index, index + 1], axis=1)
        return np.concatenate([_merged(rest), _cut(own, stop, count)])


def _count(pieces: np.ndarray) -> int:
    """Samples in pieces (n, 3)."""
    return int((pieces[:, 2] - pieces[:, 1]).sum())


def _cut(pieces: np.ndarray, start: int, stop: int) -> np.ndarray:
    """The pieces of the positions start to stop of a sequence of pieces."""
    ends = np.cumsum(pieces[:, 2] - pieces[:, 1])
    begins = ends - (pieces[:, 2] - pieces[:, 1])
    cut = pieces.copy()
    cut[:, 1] += np.maximum(start - begins, 0)
    cut[:, 2] -= np.maximum(ends - stop, 0)
    return cut[cut[:, 1] < cut[:, 2]]  # those outside have turned inside out


def _places(pieces: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """(shard, index) of positions in a sequence of pieces: (n, 2)."""
    ends = np.cumsum(pieces[:, 2] - pieces[:, 1])  # (n,) positions behind each piece
    at = np.searchsorted(ends, positions, "right")
    return np.stack([pieces[at, 0], pieces[at, 2] - ends[at] + positions], axis=1)


def _merged(pieces: np.ndarray) -> np.ndarray:
    """The same sequence in as few pieces as it takes."""
    if len(pieces) == 0:
        return pieces
    joins = (pieces[1:, 0] == pieces[:-1, 0]) & (pieces[1:, 1] == pieces[:-1, 2])
    first = np.flatnonzero(np.r_[True, ~joins])
    last = np.r_[first[1:], len(pieces)] - 1
    return np.stack([pieces[first, 0], pieces[first, 1], pieces[last, 2]], axis=1)
