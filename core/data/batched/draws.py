"""Random numbers of samples: a pure function of seed, epoch and index, whoever asks for them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

COLUMNS = 24  # numbers that one sample has in an epoch, if nothing else is said


class Draws:
    """Uniform numbers in [0, 1) for B samples, on the CPU: `take()` gives the next (B,) of them.

    table: (B, columns).
    """

    def __init__(self, table: Tensor):
        self.table, self.taken = table, 0

    def take(self) -> Tensor:
        """The next column of draws, (B,)."""
        self.taken += 1
        return self.table[:, self.taken - 1]

    def split(self, parts: int) -> list[Draws]:
        """The columns shared out among so many, each with draws of its own."""
        return [Draws(table) for table in self.table.chunk(parts, 1)]

    def between(self, low: float, high: float) -> Tensor:
        """Uniform in [low, high)."""
        return low + (high - low) * self.take()

    def whole(self, count: int) -> Tensor:
        """Whole numbers 0 .. count - 1, int64."""
        return (self.take() * count).long().clamp(max=count - 1)  # the product may round up

    def chance(self, probability: float | Tensor) -> Tensor:
        """True with this probability."""
        return self.take() < probability

    def sign(self) -> Tensor:
        """-1 or 1."""
        return torch.where(self.chance(0.5), -1.0, 1.0)


class EpochDraws:
    """The draws of any samples of a run over `length` samples, `columns` of each in an epoch."""

    def __init__(self, seed: int, length: int, columns: int = COLUMNS):
        self.seed, self.length, self.columns = seed, length, columns
        self._tables: dict[int, np.ndarray] = {}

    def of(self, epochs: list[int], indices: list[int]) -> Draws:
        """Of B samples by (epoch, index)."""
        needed = set(epochs)
        self._tables = {epoch: self._table(epoch) for epoch in needed}
        rows = [self._tables[epoch][index] for epoch, index in zip(epochs, indices, strict=True)]
        return Draws(torch.from_numpy(np.stack(rows)))

    def _table(self, epoch: int) -> np.ndarray:
        if epoch in self._tables:
            return self._tables[epoch]
        # the 1 sets it apart from `epoch_order`, which hashes (seed, epoch)
        rng = np.random.default_rng([self.seed, epoch, 1])
        return rng.random((self.length, self.columns), dtype=np.float32)
