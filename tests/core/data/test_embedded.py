"""Who makes embedded data: this process, or others where they are worth their start."""

import os
from functools import partial

import pytest

from core.data import embedded
from core.data.embedded import each


def note(folder, number):
    with open(folder / str(number), "x") as file:  # made twice, it would fail
        file.write(str(os.getpid()))


@pytest.fixture
def makers(tmp_path):
    """Call `each` for seven items; returns whether it was this process that made them, in order."""

    def make(workers):
        each(partial(note, tmp_path), range(7), workers, "notes")
        pids = [int((tmp_path / str(number)).read_text()) for number in range(7)]
        return [pid == os.getpid() for pid in pids]

    return make


class Others:
    """In place of a pool: the same calls in a child, without the seconds that spawned ones take."""

    def __init__(self, workers, *_):
        assert workers == 3

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def map(self, work, every, chunksize):
        assert chunksize == 8
        child = os.fork()
        if child == 0:
            for item in every:
                work(item)
            os._exit(0)
        os.waitpid(child, 0)
        return [None] * len(every)


def test_quick_work_starts_no_process(makers, monkeypatch):
    monkeypatch.setattr(embedded, "ProcessPoolExecutor", None)
    assert makers(None) == [True] * 7


def test_others_take_what_is_left_of_long_work(makers, monkeypatch):
    monkeypatch.setattr(embedded, "ProcessPoolExecutor", Others)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(embedded, "STARTING", 0.0)
    # the first says nothing: it may compile; the second says how long one takes
    assert makers(None) == [True] * 2 + [False] * 5


@pytest.mark.parametrize(("workers", "here"), [(1, True), (3, False)])
def test_a_number_that_is_told_is_taken(makers, monkeypatch, workers, here):
    monkeypatch.setattr(embedded, "ProcessPoolExecutor", Others)
    assert makers(workers) == [here] * 7
