"""Dayton's lists: whole panoramas on one side, and what the official split gives away."""

import os
from pathlib import Path

import numpy as np
import pytest

from apps.crossview.data.splits import by_panorama, leak, panorama_of, read_list

REAL = os.environ.get("MIXER_TEST_DATA")
real_data = pytest.mark.skipif(not REAL, reason="MIXER_TEST_DATA names no folder of real data")


def dayton(panos, crops):
    return [f"p{p}-_.x{10 * c}.y400.a{37 * c - 180}.jpg" for p in range(panos) for c in crops]


def test_panoramas_are_not_divided():
    names = dayton(40, range(9))
    train, test = by_panorama(names, 90, seed=1)
    assert sorted(train + test) == sorted(names)
    assert not {panorama_of(n) for n in train} & {panorama_of(n) for n in test}
    assert abs(len(test) - 90) <= 9
    assert by_panorama(names[::-1], 90, seed=1) == (train, test), "the lists' order is nothing"
    assert by_panorama(names, 90, seed=2)[1] != test


def test_the_leak_by_hand():
    train = ["a.x1.y1.a10.jpg", "a.x2.y1.a-175.jpg", "b.x1.y1.a0.jpg"]
    test = ["a.x9.y1.a15.jpg", "a.x9.y1.a170.jpg", "b.x2.y1.a100.jpg", "c.x1.y1.a0.jpg"]
    found = leak(train, test)
    assert found["shared"] == 3
    assert found["share"] == 0.75
    # 5 degrees; 15 across the half turn; 100; another panorama
    assert [found[f"within {d}"] for d in (10, 20, 45)] == [0.25, 0.5, 0.5]


def test_lists_with_lines_that_are_none(tmp_path):
    (tmp_path / "l.txt").write_text(".\n..\na.x1.y1.a10.jpg\n\n")
    assert read_list(tmp_path / "l.txt") == (["a.x1.y1.a10.jpg"], 2)


def test_headings_lie_on_a_circle():
    """Against all pairs: the shorter way round, whatever the signs and however far apart."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        train, test = rng.integers(-180, 360, 4), rng.integers(-180, 360, 5)
        names = [[f"p.x1.y1.a{heading}.jpg" for heading in side] for side in (train, test)]
        near = []
        for heading in test:
            turns = np.deg2rad(train - heading)
            near.append(np.rad2deg(np.abs(np.angle(np.exp(1j * turns)))).min().round())
        counts = leak(*names)
        for degrees in (10, 20, 45):
            assert counts[f"within {degrees}"] == np.mean(np.array(near) <= degrees)


@real_data
@pytest.mark.parametrize(
    ("kind", "counts", "shared", "near"),
    [
        ("dayton", (55_000, 21_048, 0), 21_022, (35.5, 55.9, 83.3)),
        ("dayton_ablation", (18_332, 7_015, 4), 6_952, None),
    ],
)
def test_the_real_lists(kind, counts, shared, near):
    folder = Path(REAL) / f"crossview/{kind}_lists"
    (train, bad), (test, more) = (read_list(folder / f"{kind}_{s}.txt") for s in ("train", "test"))
    assert (len(train), len(test), bad + more) == counts
    found = leak(train, test)
    assert found["shared"] == shared
    if near:
        assert [round(100 * found[f"within {d}"], 1) for d in (10, 20, 45)] == list(near)
    fair = by_panorama([*train, *test], len(test))
    assert leak(*fair)["shared"] == 0
    assert abs(len(fair[1]) - len(test)) < 10
