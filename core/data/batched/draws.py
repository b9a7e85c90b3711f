"""Random numbers of samples: a pure function of seed, epoch and index, whoever asks for them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

COLUMNS = 24  # numbers that one sample has in an epoch; `BatchTransform` takes 22 at most


class Draws:
    """Uniform numbers in [0, 1) for B samples, on the CPU: `take()` gives the next (B,) of them."""

    def __init__(self, table: Tensor):
        self.table, self.taken = table, 0

    def take(self) -> Tensor:
        self.taken += 1
        return self.table[:, self.taken - 1]

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
    """The draws of any samples of a run over `length` samples."""

    def __init__(self, seed: int, length: int):
        self.seed, self.length = seed, length
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
        return rng.random((self.length, COLUMNS), dtype=np.float32)
