"""Threads between stages: order, errors, and that they end."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from apps.pose.prediction.pipeline import MOST_FRAMES, Clock, Frame, grouped, mapped, prefetch


def frames(count, side):
    return [Frame(Path("a"), n, np.zeros((side, side, 3), np.uint8)) for n in range(count)]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def test_items_come_in_order():
    assert list(prefetch(prefetch(range(50)))) == list(range(50))
    assert list(prefetch([])) == []


def test_the_thread_works_while_the_other_does():
    """The next item is made before it is asked for, and no more than one after it."""
    made, wanted = [], threading.Event()

    def items():
        for i in range(10):
            made.append(i)
            if i == 2:
                wanted.set()
            yield i

    stream = prefetch(items())
    assert next(stream) == 0
    assert wanted.wait(5), "one in the queue, one in the making"
    time.sleep(0.05)
    assert made == [0, 1, 2]
    stream.close()


def test_errors_arrive_where_the_items_would():
    def items():
        yield 1
        raise KeyError("lost")

    stream = prefetch(prefetch(items()))
    assert next(stream) == 1
    with pytest.raises(KeyError, match="lost"):
        next(stream)


def test_closing_ends_all_threads_and_closes_the_source():
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    stream = prefetch(prefetch(endless()))
    next(stream)
    stream.close()
    assert closed.is_set()


def test_mapped_keeps_the_order_of_slow_ones():
    def slow(i):
        time.sleep(0.01 * (i % 3))
        return i * i

    assert list(mapped(slow, range(20), workers=4)) == [i * i for i in range(20)]
    with pytest.raises(ZeroDivisionError):
        list(mapped(lambda i: 1 // i, [1, 0]))


def test_groups():
    assert [len(g) for g in grouped(frames(2 * MOST_FRAMES + 1, 4))] == [MOST_FRAMES] * 2 + [1]
    assert [len(g) for g in grouped(frames(3, 5000))] == [1, 1, 1], "25 million pixels each"
    assert list(grouped([])) == []


def test_the_clock_counts_work_and_not_waiting():
    clock = Clock()

    def items():
        for i in range(3):
            time.sleep(0.02)
            yield i

    for _ in clock.timed("make", items()):
        time.sleep(0.05)
    assert 0.06 <= clock.seconds["make"] < 0.15
    assert "make" in clock.lines(3, 1.0)[1]
