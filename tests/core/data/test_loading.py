"""Order, sharding, padding and bad samples."""

import random
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from core import InputError
from core.data.loading import (
    BadSample,
    EvalLoader,
    TrainLoader,
    epoch_order,
    seed_cpu,
    seed_everything,
)
from core.training.together import EndedEverywhere, together
from tests.core.toy import ToyData, toy_config


class Numbers(Dataset):
    def __init__(self, count, bad=()):
        self.count, self.bad = count, bad

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        if i in self.bad:
            raise BadSample(f"{i}.jpg", "truncated")
        return {"value": torch.tensor(i), "noise": torch.rand(())}


def take(loader, batches, start=0):
    stream = loader.batches(start)
    return [next(stream) for _ in range(batches)]


def values(batches):
    return [int(v) for batch in batches for v in batch["value"]]


def test_every_sample_once_an_epoch_in_another_order():
    order = values(take(TrainLoader(Numbers(10), 4, seed=3), 5))
    assert sorted(order[:10]) == sorted(order[10:]) == list(range(10))
    assert order[:10] != order[10:]
    assert order[:10] == epoch_order(3, 0, 10).tolist()


@pytest.mark.parametrize("world", [2, 4])
def test_the_global_batch_does_not_depend_on_the_processes(world):
    one = values(take(TrainLoader(Numbers(13), 8, seed=1), 6))
    shares = [
        TrainLoader(Numbers(13), 8 // world, seed=1, rank=r, world=world) for r in range(world)
    ]
    several = [values(step) for step in zip(*(take(share, 6) for share in shares), strict=True)]
    assert [v for step in several for v in step] == one


@pytest.mark.parametrize("workers", [0, 2])
def test_starting_in_the_middle_gives_the_same_samples_and_the_same_randomness(workers):
    config = toy_config("unused")
    whole = take(TrainLoader(ToyData(config), 8, workers=workers), 9)
    rest = take(TrainLoader(ToyData(config), 8), 4, start=5)
    for a, b in zip(whole[5:], rest, strict=True):
        assert torch.equal(a["x"], b["x"])
        assert torch.equal(a["index"], b["index"])


def test_a_batch_may_be_larger_than_the_data():
    seen = values(take(TrainLoader(Numbers(3), 8), 1))
    assert [sorted(seen[:3]), sorted(seen[3:6])] == [[0, 1, 2]] * 2


def test_a_sample_differs_between_epochs():
    batches = take(TrainLoader(Numbers(4), 4), 2)
    first = dict(zip(batches[0]["value"].tolist(), batches[0]["noise"].tolist(), strict=True))
    second = dict(zip(batches[1]["value"].tolist(), batches[1]["noise"].tolist(), strict=True))
    assert all(first[i] != second[i] for i in range(4))


def test_bad_samples_are_replaced_counted_and_named():
    named = []
    loader = TrainLoader(
        Numbers(10, bad={3, 4}), 5, skip_bad=2, on_bad=lambda *record: named.append(record)
    )
    seen = values(take(loader, 4))
    assert sorted(named) == [("3.jpg", "truncated"), ("4.jpg", "truncated")]
    assert Counter(seen)[5] == 6  # itself and both substitutes, twice
    good = values(take(TrainLoader(Numbers(10), 5), 4))
    assert [a for a, b in zip(seen, good, strict=True) if b not in (3, 4)] == [
        b for b in good if b not in (3, 4)
    ]


def test_a_substitute_has_the_randomness_of_the_sample_it_stands_for():
    """Not that of the sample it is, which the epoch shows as well."""
    bad = take(TrainLoader(Numbers(10, bad={3}), 10, skip_bad=1), 1)[0]
    good = take(TrainLoader(Numbers(10), 10), 1)[0]
    torch.testing.assert_close(bad["noise"], good["noise"], rtol=0, atol=0)
    assert bad["value"].tolist() == [4 if i == 3 else i for i in good["value"].tolist()]


def test_too_many_bad_samples_stop_with_a_name():
    with pytest.raises(InputError, match=r"\d.jpg: truncated.*2 bad sample.*1 allowed"):
        take(TrainLoader(Numbers(10, bad={3, 6}), 5, skip_bad=1), 4)


@pytest.mark.parametrize("kind", [TrainLoader, EvalLoader])
def test_nothing_but_bad_samples_is_an_error_however_many_are_allowed(kind):
    loader = kind(Numbers(3, bad=(0, 1, 2)), 2, skip_bad=9)
    with pytest.raises(InputError, match=r"no sample can be read, \d.jpg: truncated"):
        next(loader.batches() if kind is TrainLoader else iter(loader))


def test_an_empty_data_set_is_an_error():
    with pytest.raises(InputError, match="empty"):
        TrainLoader(Numbers(0), 4)


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 8, 11])
def test_evaluation_sees_every_sample_exactly_once(count, world):
    loaders = [EvalLoader(Numbers(count), 4, rank=r, world=world) for r in range(world)]
    shares = [list(loader) for loader in loaders]
    assert len({len(share) for share in shares}) == 1, "else collective calls would hang"
    batches = [batch for share in shares for batch in share]
    share = -(-count // world)  # of a process: a larger batch would be padding alone
    assert all(len(batch["mask"]) == min(4, share) for batch in batches)
    seen = [int(v) for b in batches for v in b["value"][b["mask"]]]
    assert sorted(seen) == list(range(count))
    assert all(torch.equal(b["index"][b["mask"]], b["value"][b["mask"]]) for b in batches)


def test_bad_samples_are_masked_in_evaluation():
    loader = EvalLoader(Numbers(6, bad={2}), 4, skip_bad=1)
    assert sorted(int(v) for b in loader for v in b["value"][b["mask"]]) == [0, 1, 3, 4, 5]
    assert loader.bad == {"2.jpg": "truncated"}


@pytest.mark.parametrize("workers", [0, 1])
def test_a_batch_that_memory_cannot_hold(monkeypatch, workers):
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=2**30))
    with pytest.raises(InputError, match=r"^a batch of 1,000,000,000 samples takes 931\.3 GiB"):
        TrainLoader(Numbers(24), 1_000_000_000)
    images = [{"image": torch.empty(3, 1000, 1000)}] * 24  # 12 MB each, in one memory
    with pytest.raises(
        InputError, match=r"^a batch of 200 samples takes 2\.2 GiB .* smaller batch"
    ):
        take(TrainLoader(images, 200, workers=workers), 1)
    (batch,) = EvalLoader(Numbers(24), 1_000_000_000)
    assert batch["mask"].sum() == len(batch["mask"]) == 24


def test_seeding_the_cpu_is_seeding_everything_there():
    draws = []
    for seed in (seed_everything, seed_cpu):
        seed(3, 1, 4)
        draws.append((random.random(), np.random.rand(), float(torch.rand(()))))  # noqa: NPY002
    assert draws[0] == draws[1]


def test_a_loader_that_was_killed_ends_the_run_in_a_line():
    """As torch says it: a run then saves what it has (`tests/core/training`)."""

    def batches(words):
        yield {"x": 1}
        raise RuntimeError(words)

    killed = together(batches("DataLoader worker (pid 7) is killed by signal: Killed. \nmore"), 1)
    assert next(killed) == {"x": 1}
    with pytest.raises(
        EndedEverywhere, match=r"pid 7\) is killed.*: fewer workers need less memory"
    ):
        next(killed)
    with pytest.raises(RuntimeError, match="of ours"):
        list(together(batches("a fault of ours"), 1))
