"""Data sets trained on as one: how often each is drawn, and that position alone says what."""

from collections import Counter

import pytest
import torch
from torch.utils.data import Dataset

from core import InputError
from core.data.concatenated import Concatenated, apportion
from core.data.loading import TrainLoader


class Named(Dataset):
    def __init__(self, first, count):
        self.first, self.count = first, count

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        return {"value": torch.tensor(self.first + i), "noise": torch.rand((), dtype=torch.float64)}


def values(batches):
    return [int(v) for batch in batches for v in batch["value"]]


def take(count, start=0, batch=4, **options):
    data = Concatenated([Named(100, 6), Named(200, 10)], (3, 1))
    stream = TrainLoader(data, batch, seed=5, **options).batches(start)
    return [next(stream) for _ in range(count)]


def test_sets_are_drawn_by_their_shares_and_no_sample_is_left_out():
    """16 samples an epoch, 12 of the six (two turns), 4 of the ten (all within five epochs)."""
    seen = values(take(20))
    for epoch in range(5):
        part = seen[16 * epoch : 16 * (epoch + 1)]
        assert Counter(v for v in part if v < 200) == dict.fromkeys(range(100, 106), 2)
    assert Counter(v for v in seen if v >= 200) == dict.fromkeys(range(200, 210), 2)
    assert seen[:16] != seen[16:32]


def test_each_visit_of_a_sample_has_its_own_randomness():
    noise = torch.cat([batch["noise"] for batch in take(20)])
    assert len(set(noise.tolist())) == 80


def test_the_samples_are_a_function_of_seed_and_position_alone():
    whole = take(9)
    for a, b in zip(whole[5:], take(4, start=5, workers=1), strict=True):
        assert torch.equal(a["value"], b["value"])
        assert torch.equal(a["noise"], b["noise"])
    halves = [take(9, batch=2, rank=rank, world=2) for rank in (0, 1)]
    both = [v for step in zip(*halves, strict=True) for v in values(step)]
    assert both == values(whole)


def test_whole_numbers_in_proportion():
    assert apportion(16, (3, 1)) == [12, 4]
    assert apportion(10, (1, 1, 1)) == [4, 3, 3]
    assert apportion(7, (0.5, 0.25)) == [5, 2]
    with pytest.raises(InputError, match=r"a share of 0.01 of 10.01 is less than one sample"):
        apportion(100, (10, 0.01))
