"""Batches whose order and randomness are pure functions of the seed and the position.

N samples, B samples a micro-batch of one process, W processes, m the index of the micro-batch.

Epoch e visits the samples in the permutation f(seed, e); epochs follow without a gap, so that
no sample is dropped. Micro-batch m of rank r holds the positions m*B*W + r*B + (0..B-1) of that
endless order. Nothing but m has to be remembered to go on after a stop, and runs with the same
number of samples per optimizer step see the same samples on any number of processes.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from core.data.concatenated import Concatenated
from core.errors import InputError
from core.memory import check_memory

SAMPLE = 1_000  # bytes of a sample at least: its key, its dict, its place in a list


class BadSample(Exception):
    """A sample that cannot be read: raised by a data set, counted and named by the loaders."""

    def __init__(self, path: str, reason: str):
        super().__init__(path, reason)  # both arguments, so that it survives a worker's pickle
        self.path, self.reason = str(path), reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def seed_everything(*key: int) -> None:
    """Seed Python, NumPy and torch with a hash of the key (any non-negative integers)."""
    torch.manual_seed(seed_cpu(*key))


def seed_cpu(*key: int) -> int:
    """The same for what draws on the CPU, as samples do; returns torch's seed.

    `torch.manual_seed` also notes the seed for devices that the process does not use, with a stack
    trace each, which takes longer than drawing a small image.
    """
    words = np.random.SeedSequence(key).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))  # noqa: NPY002 - mmpose's transforms draw from it
    seed = (int(words[2]) << 32) + int(words[3])
    torch.default_generator.manual_seed(seed)
    return seed


def epoch_order(seed: int, epoch: int, length: int) -> np.ndarray:
    """The permutation of ``length`` samples that epoch ``epoch`` visits: (length,) int64."""
    return np.random.default_rng([seed, epoch]).permutation(length)


class Loaded(NamedTuple):
    """What a loader's process hands over, of one sample or of a batch of them."""

    data: Any  # None where nothing could be read
    substitutes: list[bool]  # for each sample, whether it stands for a bad one
    bad: list[tuple[str, str]]  # (path, reason) of what was met on the way
    failure: InputError | None = None  # what ends a stream, or a batch that memory cannot hold


class SampleOrder:
    """Endless batch sampler: yields lists of (epoch, index) from micro-batch ``start`` on."""

    def __init__(self, length: int, batch: int, seed: int, rank: int, world: int, start: int):
        self.length, self.batch, self.seed = length, batch, seed
        self.rank, self.world, self.start = rank, world, start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        micro, orders = self.start, {}
        while True:
            # all epochs laid end to end: micro-batch m of all processes is one stretch of it, so
            # that who reads a sample changes with the processes and which samples a step has not
            first = (micro * self.world + self.rank) * self.batch
            keys = [divmod(first + i, self.length) for i in range(self.batch)]  # (epoch, place)
            needed = sorted({epoch for epoch, _ in keys})  # many, where a batch outgrows the data
            orders = {
                e: orders[e] if e in orders else epoch_order(self.seed, e, self.length)
                for e in needed
            }
            yield [(epoch, int(orders[epoch][i])) for epoch, i in keys]
            micro += 1


class _Seeded(Dataset):
    """Seeds all generators by (seed, epoch, index) before each sample; replaces bad samples.

    The substitute is the next index, so a bad file changes neither the order nor the randomness of
    any other sample.
    """

    def __init__(self, dataset: Dataset, seed: int, allowed: int):
        self.dataset, self.seed, self.allowed = dataset, seed, allowed

    def __getitem__(self, key: tuple[int, int]) -> Loaded:
        epoch, index = key
        bad = []
        for shift in range(min(self.allowed + 1, len(self.dataset))):
            try:
                seed_cpu(self.seed, epoch, index)
                sample = self.dataset[(index + shift) % len(self.dataset)]
                return Loaded(sample, [shift > 0], bad)
            except BadSample as error:
                bad.append((error.path, error.reason))
        return Loaded(None, [True], bad)

    def __getitems__(self, keys: list[tuple[int, int]]) -> list[Loaded]:
        """The samples of a batch; an item with what is wrong where they are more than memory."""
        first = self[keys[0]]
        try:
            check_batch(len(keys), bytes_of(first.data))
        except InputError as error:
            return [Loaded(None, first.substitutes, first.bad, error)]
        return [first, *(self[key] for key in keys[1:])]


def check_batch(count: int, sample: int = SAMPLE) -> None:
    """Raise InputError where the samples of a batch, of so many bytes, are more than memory."""
    check_memory(count * sample, f"a batch of {count:,} samples", "choose a smaller batch size")


def bytes_of(data: Any) -> int:
    """Of the arrays and tensors of a sample."""
    if isinstance(data, Mapping):
        return sum(map(bytes_of, data.values()))
    if isinstance(data, tuple | list):
        return sum(map(bytes_of, data))
    return getattr(data, "nbytes", 0)


class _Collate:
    """Collates the samples and carries the bad ones beside them."""

    def __init__(self, collate: Callable):
        self.collate = collate

    def __call__(self, items: list[Loaded]) -> Loaded:
        bad = [record for item in items for record in item.bad]
        substitutes = [flag for item in items for flag in item.substitutes]
        if any(item.data is None for item in items):
            failure = next((item.failure for item in items if item.failure), None)
            return Loaded(None, substitutes, bad, failure)
        return Loaded(self.collate([item.data for item in items]), substitutes, bad)


def ignore_stop_signals(_worker: int) -> None:
    """A loader's process leaves SIGTERM and Ctrl-C to the training process, which saves and stops.

    A scheduler, or a terminal, signals both: without its loaders the step could not be finished.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def refuse_bad(bad: dict[str, str], allowed: int) -> None:
    """InputError that names the last of the bad samples {path: reason}, where they are too many."""
    if len(bad) > allowed:
        path, reason = next(reversed(bad.items()))
        raise InputError(
            f"{path}: {reason}. That makes {len(bad)} bad sample(s), {allowed} allowed: mend the "
            "file, or allow more with skip_bad"
        )


class _Loader:
    """What both loaders share: the worker processes, and the account of bad samples."""

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        *,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
        skip_bad: int = 0,
        collate: Callable = default_collate,
        on_bad: Callable[[str, str], None] | None = None,
    ):
        if len(dataset) == 0:
            raise InputError(f"the data set is empty: {dataset}")
        check_batch(batch_size)
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.rank, self.world, self.workers = rank, world, workers
        self.skip_bad, self.collate, self.on_bad = skip_bad, collate, on_bad
        self.bad: dict[str, str] = {}

    def _batches(self, order: Iterable[list[tuple[int, int]]]) -> Iterator[Loaded]:
        """Batches of the keys (epoch, index) that ``order`` lists."""
        loader = DataLoader(
            _Seeded(self.dataset, self.seed, self.skip_bad),
            batch_sampler=order,
            num_workers=self.workers,
            collate_fn=_Collate(self.collate),
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=ignore_stop_signals,
        )
        for loaded in loader:
            self._account(loaded.bad)
            if loaded.failure:
                raise loaded.failure
            if loaded.data is None:
                path, reason = loaded.bad[-1]
                raise InputError(f"{self.dataset}: no sample can be read, {path}: {reason}")
            yield loaded

    def _account(self, bad: list[tuple[str, str]]) -> None:
        for path, reason in bad:
            if path not in self.bad and self.on_bad:
                self.on_bad(path, reason)
            self.bad.setdefault(path, reason)
        refuse_bad(self.bad, self.skip_bad)


class TrainLoader(_Loader):
    """Endless micro-batches of one process. ``batches(start)`` begins at any micro-batch.

    ``dataset[i]`` may draw from Python's, NumPy's and torch's global generators: they are seeded by
    (seed, epoch, i) before each call, in the loader's process. Of a `Concatenated` the epoch is
    that of i's own set.
    """

    def batches(self, start: int = 0) -> Iterator[Any]:
        """Endless micro-batches from the one of number ``start`` on."""
        order = SampleOrder(
            len(self.dataset), self.batch_size, self.seed, self.rank, self.world, start
        )
        for loaded in self._batches(self._by_share(order)):
            yield loaded.data

    def _by_share(self, order: SampleOrder) -> Iterable[list[tuple[int, int]]]:
        if not isinstance(self.dataset, Concatenated):
            return order
        key = self.dataset.key
        return ([key(self.seed, epoch, number) for epoch, number in keys] for keys in order)


class EvalLoader(_Loader):
    """Every sample once over all processes, in order, with a mask.

    Batches are dicts with two entries added: ``index`` (B,) int64, and ``mask`` (B,) bool, which is
    False for padding and for the substitutes of bad samples. All processes get the same number of
    equally large batches, so collective calls inside the loop never hang.
    """

    def __init__(self, dataset: Dataset, batch_size: int, *, world: int = 1, **options: Any):
        share = -(-len(dataset) // world)  # a larger batch would be padding
        super().__init__(dataset, min(batch_size, share), world=world, **options)

    def __len__(self) -> int:
        return -(-len(self.dataset) // (self.batch_size * self.world))

    def __iter__(self) -> Iterator[dict]:
        count, size = len(self.dataset), self.batch_size
        # processes take turns: rank, rank + world, ...; a row for each batch, (batches, size)
        positions = (np.arange(len(self) * size) * self.world + self.rank).reshape(-1, size)
        # behind the end the last sample is read again, as padding; epoch 0: the same seeds always
        order = [[(0, min(int(p), count - 1)) for p in row] for row in positions]
        for row, loaded in zip(positions, self._batches(order), strict=True):
            real = torch.from_numpy(row < count) & ~torch.tensor(loaded.substitutes)
            yield {**loaded.data, "index": torch.from_numpy(row), "mask": real}
