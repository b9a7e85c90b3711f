"""Several data sets trained on as one, each drawn as often as its share says.

Set s has N_s samples; an epoch is N = N_1 + N_2 + ... samples, as many as there are, and n_s of
them are of set s. Which of its samples these are goes on from epoch to epoch: a set has an endless
order of its own, of turns, each a permutation of all its samples. A small share leaves nothing out,
it takes more epochs; a large one has several turns in an epoch, with new randomness in each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from torch.utils.data import ConcatDataset, Dataset

from core.errors import InputError


class Concatenated(ConcatDataset):
    """Data sets end to end: index i is of the whole, as in torch's class.

    ``shares`` are what a sample's chances to be of each set are proportional to, all above 0.
    """

    def __init__(self, datasets: Sequence[Dataset], shares: Sequence[float]):
        super().__init__(datasets)
        self.lengths = [len(dataset) for dataset in datasets]
        self.draws = apportion(sum(self.lengths), shares)  # n_s
        self.ends = np.cumsum(self.draws)

    def key(self, seed: int, epoch: int, number: int) -> tuple[int, int]:
        """(turn, index) of ``number``, 0 <= number < N, of what epoch ``epoch`` holds.

        A pure function. No two (epoch, number) have the same turn and index.
        """
        which = int(np.searchsorted(self.ends, number, side="right"))
        place = number - int(self.ends[which]) + self.draws[which]  # among the set's own
        turn, place = divmod(epoch * self.draws[which] + place, self.lengths[which])
        order = _turn_order(seed, turn, which, self.lengths[which])
        return turn, sum(self.lengths[:which]) + int(order[place])


@lru_cache(maxsize=32)
def _turn_order(seed: int, turn: int, which: int, length: int) -> np.ndarray:
    # the 2 sets it apart from the order of the epochs, (seed, epoch), and from draws, (.., .., 1)
    return np.random.default_rng([seed, turn, 2, which]).permutation(length)


def apportion(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers whose sum is ``total``, in proportion to ``shares`` (largest remainders).

    Raises InputError where one of them would be 0.
    """
    exact = [total * share / sum(shares) for share in shares]
    counts = [math.floor(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: counts[i] - exact[i])
    for i in by_remainder[: total - sum(counts)]:
        counts[i] += 1
    if 0 in counts:
        share = shares[counts.index(0)]
        raise InputError(
            f"a share of {share:g} of {sum(shares):g} is less than one sample of an epoch of "
            f"{total}: give more, or 0 to leave the data set out"
        )
    return counts
