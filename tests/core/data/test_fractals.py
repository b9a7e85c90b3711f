"""Formula-driven images: rules, classes and the chaos game."""

import numpy as np
import pytest

from core.data.fractals import render as rendering
from core.data.fractals.classes import accepted, class_system, one_system
from core.data.fractals.dataset import patch_mask
from core.data.fractals.render import alias_table, draw, fill, kernels, points
from core.data.fractals.systems import (
    Stream,
    System,
    by_determinant,
    diverges,
    fractaldb,
    of_sigma,
    sigma,
    sigma_factor,
    singular_values,
    start,
)

HALVES = [[0.5, 0, 0, 0.5, e, f] for e, f in ((0, 0), (0.5, 0), (0.25, 0.5))]
SIERPINSKI = System(np.array(HALVES), np.full(3, 1 / 3))


def test_fractaldb_candidates():
    counts = set()
    for k in range(200):
        system = fractaldb(Stream(0, 0, 0, k))
        counts.add(len(system.maps))
        assert np.abs(system.maps).max() < 1
        areas = [abs(a * d - b * c) for a, b, c, d, _, _ in system.maps]
        np.testing.assert_allclose(system.chances, np.array(areas) / sum(areas))
    assert counts == {2, 3, 4, 5, 6, 7}


def test_sigma_candidates():
    factors = {2: [], 3: [], 4: []}
    for k in range(300):
        system = sigma(Stream(0, 0, 0, k))
        count, factor = len(system.maps), sigma_factor(system.maps)
        assert (5 + count) / 2 <= factor <= (6 + count) / 2
        assert singular_values(system.maps).max() <= 1
        np.testing.assert_allclose(system.chances.sum(), 1)
        factors[count].append(factor - (5 + count) / 2)
    assert all(len(found) > 60 for found in factors.values())
    middle = np.concatenate(list(factors.values())).mean()
    assert middle == pytest.approx(0.25, abs=0.03)  # uniform between 0 and 0.5


def test_one_system_and_its_perturbations():
    base = one_system(0)
    assert base.maps.shape == (2, 6)
    assert sigma_factor(base.maps) == pytest.approx(3.5)
    ratios = np.stack([class_system("1p-frac", 0, label).maps / base.maps for label in range(20)])
    assert ratios.min() >= 0.9
    assert ratios.max() <= 1.1
    assert len(np.unique(ratios)) == ratios.size  # every parameter has a factor of its own
    assert ratios.std() == pytest.approx(0.2 / 12**0.5, abs=0.01)
    np.testing.assert_array_equal(class_system("1p-frac", 0, 3).chances, base.chances)


def test_a_sigma_factor_of_any_size_is_reached():
    for total in (0.3, 1.0, 4.5, 8.9):
        assert sigma_factor(of_sigma(Stream(1), 3, total).maps) == pytest.approx(total)


def test_cheap_refusals_agree_with_the_rule():
    verdicts = []
    for k in range(150):
        stream = Stream(0, 0, 0, k)
        system, key = fractaldb(stream), stream.word()
        by_rule = fill(draw(system, 512, 100_000, key)) >= 0.2
        assert accepted(system, 0.2, key) == by_rule
        verdicts.append(by_rule)
    assert 1 <= sum(verdicts) <= 15


def test_divergence():
    large = by_determinant(np.array([[1.5, 0, 0, 1.5, 1, 0], [0, 1.5, -1.5, 0, 0, 1]]))
    assert diverges(large)
    assert draw(large, 32, 1000, 1) is None
    assert not diverges(SIERPINSKI)
    assert draw(System(np.zeros((1, 6)), np.ones(1)), 32, 1000, 1) is None  # a single point


def test_the_start_stays_where_it_is():
    system = sigma(Stream(5))
    x, y = start(system)
    a, b, c, d, e, f = system.maps[np.argmin(singular_values(system.maps)[:, 0])]
    assert (a * x + b * y + e, c * x + d * y + f) == pytest.approx((x, y))


@pytest.mark.parametrize("chances", [[0.5, 0.5], [1.0], [0.1] * 7 + [0.3], [0, 0.001, 0.999]])
def test_alias_table_has_the_probabilities(chances):
    maps = np.arange(6.0 * len(chances)).reshape(-1, 6)
    table, thresholds = alias_table(System(maps, np.array(chances)))
    found = np.zeros(len(chances))
    for row, maps_row in enumerate(table):
        share = thresholds[row // 2] / 2**29
        weight = (1 - share if row % 2 else share) / 8
        if weight:
            found[int(maps_row[0]) // 6] += weight
    np.testing.assert_allclose(found, chances, atol=1e-8)


def splitmix(key, number):
    """Sebastiano Vigna's splitmix64.c from its description, by Python integers."""
    mask, words, state = 2**64 - 1, [], key
    for _ in range(number):
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        words.append(z ^ (z >> 31))
    return words


def plain_chaos_game(system, number, key):
    """The games of `render.points` in NumPy float32, one point after another."""
    lag, skipped = kernels().LAG, rendering.BURN_IN * kernels().LAG
    table, thresholds = alias_table(system)
    path = [np.array(start(system), np.float32)] * lag
    for i, bits in enumerate(splitmix(key, skipped + number)):
        if i >= lag:
            word = bits >> 32
            column, rest = word >> 29, word & (2**29 - 1)
            a, b, c, d, e, f = table[2 * column + (rest >= thresholds[column])]
            x, y = path[i - lag]
            path.append(np.array([a * x + b * y + e, c * x + d * y + f]))
    return np.stack(path[skipped:])


def plain_image(path, size):
    """Pixels of the points with a margin of one pixel, y upwards."""
    low, high = path.min(0), path.max(0)
    scale = ((size - 2.001) / (high.astype(float) - low)).astype(np.float32)
    counts = np.zeros((size, size), np.uint32)
    columns = ((path[:, 0] - low[0]) * scale[0]).astype(int) + 1
    rows = ((high[1] - path[:, 1]) * scale[1]).astype(int) + 1
    np.add.at(counts, (rows, columns), 1)
    return counts


def test_splitmix_reference():
    assert splitmix(1234567, 2) == [6457827717110365317, 3203168211198807973]


@pytest.mark.parametrize("system", [SIERPINSKI, sigma(Stream(7)), sigma(Stream(8))])
def test_the_kernel_is_a_plain_chaos_game(system):
    key = 2**63 + 12345
    path = plain_chaos_game(system, 2001, key)
    xs, ys = points(system, 2001, key)
    np.testing.assert_array_equal(np.stack([xs, ys], 1), path)
    np.testing.assert_array_equal(draw(system, 48, 2001, key), plain_image(path, 48))


def test_sierpinski_triangle():
    size, number = 128, 60_000
    counts = draw(SIERPINSKI, size, number, 3)
    assert counts.sum() == number
    inner = (np.arange(size - 4) + 0.5) / (size - 4)  # without the margin of two pixels
    x, y = np.meshgrid(inner, inner[::-1])
    corners = np.stack([1 - x - y / 2, x - y / 2, y])  # barycentric: left, right, top
    found = counts[2:-2, 2:-2]
    hole = (corners < 0.5 - 0.03).all(0)
    assert hole.sum() > 1000
    assert not found[hole].any()
    assert not found[(corners < -0.03).any(0)].any()
    for corner in corners:
        assert found[corner > 0.5 - 0.01].sum() / number == pytest.approx(1 / 3, abs=0.02)
    lit = found > 0
    assert (lit != lit[:, ::-1]).mean() < 0.05


def test_bounding_box_fills_the_image():
    for system in (SIERPINSKI, class_system("sigma", 0, 2)):
        rows, columns = np.nonzero(draw(system, 512, 5000, 1))
        assert (rows.min(), columns.min(), rows.max(), columns.max()) == (6, 6, 505, 505)


def test_patches_by_hand():
    assert patch_mask(0b100010001).tolist() == [[-1, -1], [0, 0], [1, 1]]
    plain = draw(SIERPINSKI, 32, 500, 1)
    drawn = draw(SIERPINSKI, 32, 500, 1, patch_mask(0b000101010))
    by_hand = sum(np.roll(plain, shift, (0, 1)) for shift in ((-1, 0), (0, -1), (0, 1)))
    np.testing.assert_array_equal(drawn, by_hand)


def test_each_point_has_a_patch_of_its_own():
    plain, pasted = draw(SIERPINSKI, 64, 400, 1), draw(SIERPINSKI, 64, 400, 1, None)
    assert set(np.unique(pasted)) == {0, 1}
    near = sum(np.roll(plain, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)) > 0
    assert not pasted[~near].any()
    assert 0.3 < pasted[near].mean() < 0.7
    key = 77
    xs, ys = np.zeros((2, 1), np.int32), np.zeros(25, np.uint32)
    kernels().paste(xs[0] + 12, 5, np.uint64(key), ys)  # one point in the middle of 5x5 pixels
    bits = 1 + splitmix(key, 1)[0] % 511
    offsets = [tuple(offset) for offset in np.argwhere(ys.reshape(5, 5)) - 2]
    assert offsets == [tuple(offset) for offset in patch_mask(bits)]
