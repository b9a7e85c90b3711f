"""The order of a stream: every sample once an epoch, from any position, under any layouts."""

import random
from collections import Counter

import numpy as np
import pytest

from core.data.streams.order import Layout, Order


def given_by(lane, order, given, count):
    """(epoch, shard, index) of the next ``count`` samples of a lane."""
    found = []
    for block in order.blocks(lane, given):
        if len(found) >= count:
            return found[:count]
        places = block.places[block.order[block.given :]].tolist()
        found += [(block.epoch, *place) for place in places]
    return None


def all_given(lengths, layouts, micro_batches):
    order, last = Order(lengths, 7, layouts), layouts[-1]
    counts = last.given(micro_batches).tolist()
    return [s for lane, count in enumerate(counts) for s in given_by(lane, order, 0, count)]


def random_layout(draw, step):
    return Layout(step, *(draw.randint(1, top) for top in (3, 3, 3, 5, 7)))


@pytest.mark.parametrize("seed", range(30))
def test_each_sample_once_an_epoch_under_changing_layouts(seed):
    """An oracle by counting: layouts change at random, and the last one empties the epochs."""
    draw = random.Random(seed)
    lengths = [draw.randint(0, 9) for _ in range(draw.randint(1, 6))] + [draw.randint(1, 9)]
    layouts, seen, step = [], Counter(), draw.choice([0, 3])
    for _ in range(draw.randint(0, 4)):
        layouts.append(random_layout(draw, step))
        steps = draw.randint(0, 6)
        seen.update(all_given(lengths, layouts, steps * layouts[-1].accumulate))
        step += steps
    layouts.append(random_layout(draw, step))
    epochs = max((epoch for epoch, _, _ in seen), default=0) + 2
    seen.update(all_given(lengths, layouts, (epochs + 1) * (sum(lengths) + 9)))
    expected = {(e, s, i) for e in range(epochs) for s, n in enumerate(lengths) for i in range(n)}
    assert expected <= seen.keys()
    assert set(seen.values()) == {1}


def test_a_lane_goes_on_from_any_position():
    for buffer in (1, 3, 5, 50):
        order = Order([4, 9, 0, 6], 1, [Layout(0, 1, 2, 2, 4, buffer)])
        for lane in range(4):
            whole = given_by(lane, order, 0, 30)
            for start in range(30):
                assert given_by(lane, order, start, 30 - start) == whole[start:]


def test_lanes_keep_step_and_a_block_is_what_a_lane_reads_in_a_row():
    lengths, layout = [50, 50, 51], Layout(0, 1, 3, 2, 4, 10)
    order = Order(lengths, 0, [layout])
    for epoch in range(1, 40):
        before = order.before(epoch, 0)
        assert before.max() - before.min() <= 1
        assert before.sum() == epoch * 151
    blocks = order.blocks(0, 0)
    first = next(blocks)
    assert len(first.places) == 10
    assert sorted(first.order) == list(range(10))
    assert (np.diff(first.places[:, 1]) == 1).all()
    assert len({int(s) for lane in range(6) for s in order.range(lane, 0, 0)[:, 0]}) == 3
    assert sum(len(order.range(lane, 0, 0)) for lane in range(6)) <= 3 + 5, "one shard more a cut"


def test_what_a_layout_has_given():
    """Micro-batch m of a process comes from its worker m % workers."""
    layout = Layout(0, 1, 2, 3, 5, 10)
    for micro_batches in range(10):
        counts = [sum(m % 3 == w for m in range(micro_batches)) * 5 for w in range(3)]
        assert layout.given(micro_batches).tolist() == counts * 2
