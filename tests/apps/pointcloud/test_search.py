"""Segments, nearest neighbours and farthest point sampling against loops and brute force."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from apps.pointcloud.geometry import search
from apps.pointcloud.geometry.farthest import box_size, farthest_of_cloud, tile_order
from apps.pointcloud.geometry.search import farthest_points, knn
from apps.pointcloud.geometry.segments import (
    check_batch,
    cloud_sizes,
    gather_sets,
    pack,
    segment_max,
    segment_mean,
    segment_softmax,
    segment_sum,
    unpack,
)
from apps.pointcloud.geometry.trees import Neighbours
from core import InputError

SIZES = (40, 1, 7, 100)


def sphere(count, noise=0.02):
    points = torch.randn(count, 3)
    return points / points.norm(dim=1, keepdim=True) + noise * torch.randn(count, 3)


def lattice(side):
    return torch.cartesian_prod(*[torch.arange(float(side))] * 3)


def clouds(sizes=SIZES):
    return pack([sphere(size) for size in sizes])


# segments

INDEX = torch.tensor([3, 0, 3, 1, 0, 3])  # not sorted; group 2 is empty


def rows_of(values, group):
    return [value for value, g in zip(values, INDEX, strict=True) if g == group]


def test_segments_are_those_of_loops():
    values = torch.randn(6, 2, 3)
    functions = (segment_sum, segment_mean, segment_max)
    total, mean, largest = (function(values, INDEX, 4) for function in functions)
    softmax = segment_softmax(values, INDEX, 4)
    for group in (0, 1, 3):
        rows = torch.stack(rows_of(values, group))
        torch.testing.assert_close(total[group], rows.sum(0))
        torch.testing.assert_close(mean[group], rows.mean(0))
        torch.testing.assert_close(largest[group], rows.amax(0))
        torch.testing.assert_close(torch.stack(rows_of(softmax, group)), rows.softmax(0))
    for result in (total, mean, largest):
        assert result.shape == (4, 2, 3)
        assert not result[2].any()


@pytest.mark.parametrize("function", [segment_sum, segment_mean, segment_max, segment_softmax])
@pytest.mark.parametrize("index", [INDEX, INDEX.sort().values])
def test_gradients_of_segments(function, index):
    values = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(lambda v: function(v, index, 4), values)


def test_softmax_of_huge_scores():
    scores = torch.tensor([1e4, -1e4, 1e4, 0.0, 1e4, -1e4])[:, None]
    weights = segment_softmax(scores, INDEX, 4)
    assert torch.isfinite(weights).all()
    assert weights[:, 0].tolist() == pytest.approx([0.5, 0, 0.5, 1, 1, 0])


def test_packing():
    parts = [torch.randn(2, 3), torch.randn(0, 3), torch.randn(3, 3)]
    points, batch = pack(parts)
    assert batch.tolist() == [0, 0, 2, 2, 2]
    assert cloud_sizes(batch).tolist() == [2, 0, 3]
    assert [len(part) for part in unpack(points, batch, 4)] == [2, 0, 3, 0]
    assert all(torch.equal(a, b) for a, b in zip(parts, unpack(points, batch), strict=True))
    with pytest.raises(InputError, match="no cloud"):
        pack([])


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (torch.tensor([0, 1, 0]), "not sorted"),
        (torch.tensor([-1, 0, 0]), "not sorted"),
        (torch.tensor([0, 1]), "give the number"),
        (torch.tensor([0.0, 0.0, 1.0]), "int64"),
    ],
)
def test_wrong_batches(batch, message):
    with pytest.raises(InputError, match=message):
        check_batch(batch, 3)


# nearest neighbours


def brute_force(query, points, k, query_batch, points_batch):
    """The k smallest distances of each query in its own cloud, sorted: (Nq, k)."""
    distances = (query[:, None].double() - points.double()).norm(dim=2)
    other = query_batch[:, None] != points_batch
    return distances.masked_fill(other, torch.inf).sort(1).values[:, :k]


@pytest.mark.parametrize("k", [1, 5, 7])
def test_neighbours_are_those_of_brute_force(k):
    points, batch = clouds((40, 7, 100))
    query, query_batch = clouds((3, 20, 11))
    index = knn(query, points, k, query_batch, batch)
    assert index.shape == (34, k)
    assert index.dtype == torch.int64
    assert torch.equal(batch[index], query_batch[:, None].expand(-1, k))
    distances = (gather_sets(points, index) - query[:, None]).norm(dim=2)
    expected = brute_force(query, points, k, query_batch, batch)
    torch.testing.assert_close(distances, expected.float())
    assert all(len(set(row.tolist())) == k for row in index)


def test_without_tidiness_the_neighbours_are_the_same_where_none_is_as_near():
    points, batch = clouds()
    torch.testing.assert_close(
        knn(points, points, 5, batch, batch, tidy=False), knn(points, points, 5, batch, batch)
    )


def test_ties_on_a_grid():
    """27 neighbours of a grid have equal distances in groups; k = 10 cuts one of the groups."""
    points = lattice(5)
    batch = torch.zeros(len(points), dtype=torch.int64)
    index = knn(points, points, 10)
    distances = (gather_sets(points, index) - points[:, None]).norm(dim=2)
    expected = brute_force(points, points, 10, batch, batch).float()
    torch.testing.assert_close(distances, expected)
    assert torch.equal(index[:, 0], torch.arange(len(points)))
    assert all(len(set(row.tolist())) == 10 for row in index)


@pytest.mark.parametrize("make", [lambda: sphere(300), lambda: lattice(6)])
def test_neighbours_do_not_depend_on_the_order(make):
    points = make()
    order = torch.randperm(len(points))
    places = gather_sets(points, knn(points, points, 10))[order]
    shuffled = points[order]
    assert torch.equal(gather_sets(shuffled, knn(shuffled, shuffled, 10)), places)


def test_neighbours_do_not_depend_on_other_clouds():
    points, batch = pack([lattice(4), sphere(60), lattice(3)])
    index = knn(points, points, 9, batch, batch)
    alone = [knn(cloud, cloud, 9) for cloud in unpack(points, batch)]
    starts = (0, 64, 124)
    assert torch.equal(index, torch.cat([i + s for i, s in zip(alone, starts, strict=True)]))


@pytest.mark.parametrize("count", [200, 20, 1])
def test_neighbours_that_are_searched_once_are_those_of_any_search(count):
    points = sphere(count).double().numpy()
    around = Neighbours(points, 32)
    for k in (8, 2, 32):
        distances, places = around.nearest(k)
        expected = cKDTree(points).query(points, range(1, min(k, count) + 1))
        np.testing.assert_array_equal(distances, expected[0])
        np.testing.assert_array_equal(places, expected[1])


def test_a_small_cloud_repeats_its_nearest():
    points = torch.tensor([[0.0, 0, 0], [1, 0, 0], [3, 0, 0]])
    assert knn(points, points, 5).tolist() == [[0, 1, 2, 0, 0], [1, 0, 2, 1, 1], [2, 1, 0, 2, 2]]
    assert knn(points[:1], points[:1], 3).tolist() == [[0, 0, 0]]
    assert knn(points[:0], points, 3).shape == (0, 3)


def test_the_search_of_other_devices(monkeypatch):
    points, query = sphere(500), sphere(90)
    expected = search._by_tree(query, points, 8)
    for chunk in (2**26, 500 * 7, 1):
        monkeypatch.setattr(search, "CHUNK", chunk)
        assert torch.equal(search._by_distances(query, points, 8), expected)


def test_identical_points():
    points = torch.ones(20, 3)
    index = knn(points, points, 4)
    assert index.min() >= 0
    assert index.max() < 20


def test_wrong_points():
    points = sphere(5)
    broken = points.clone()
    broken[2, 1] = torch.nan
    for wrong in (broken, broken / 0):
        with pytest.raises(InputError, match="NaN or infinite"):
            knn(points, wrong, 2)
        with pytest.raises(InputError, match="NaN or infinite"):
            farthest_points(wrong, 2)
    with pytest.raises(InputError, match="k is 0"):
        knn(points, points, 0)
    with pytest.raises(InputError, match=r"\(5, 2\)"):
        knn(points, points[:, :2], 1)
    batch = torch.tensor([0, 0, 0, 2, 2])
    with pytest.raises(InputError, match="cloud 1 has 1 queries, but no points"):
        knn(points[:1], points, 1, torch.tensor([1]), batch)


# farthest point sampling


def naive(points, start, count):
    """The definition: distances to all chosen ones at every step, the first of the farthest."""
    chosen = [start]
    while len(chosen) < count:
        steps = points.double()[:, None] - points.double()[chosen]
        nearest = (steps[..., 0] ** 2 + steps[..., 1] ** 2 + steps[..., 2] ** 2).amin(1)
        nearest[chosen] = -1
        chosen.append(int((nearest == nearest.max()).nonzero()[0]))
    return chosen


@pytest.mark.parametrize("make", [lambda: sphere(700), lambda: lattice(7)])
def test_sampling_is_that_of_the_definition(make):
    points = make()
    for box in (8, 64):
        ordered = points[tile_order(points, box)].double()
        for start in (0, 5):
            chosen = farthest_of_cloud(ordered, start, 80, box)
            assert chosen.tolist() == naive(ordered, start, 80)


def test_sampling_of_other_devices():
    from apps.pointcloud.geometry import farthest

    points = lattice(5).double()
    assert farthest._by_loop(points, 3, 60).tolist() == naive(points, 3, 60)


def test_samples_of_several_clouds():
    points, batch = clouds()
    index = farthest_points(points, 7, batch)
    assert cloud_sizes(batch[index]).tolist() == [7, 1, 7, 7]
    assert torch.equal(batch[index], batch[index].sort().values)
    alone = [cloud[farthest_points(cloud, 7)] for cloud in unpack(points, batch)]
    assert torch.equal(points[index], torch.cat(alone))
    for cloud in unpack(points, batch):
        first = farthest_points(cloud, 1)
        distances = (cloud - cloud.mean(0)).norm(dim=1)
        assert distances[first] == distances.max()
    quarter = farthest_points(points, 0.25, batch)
    assert cloud_sizes(batch[quarter]).tolist() == [10, 1, 1, 25]
    everything = farthest_points(points, 1.0, batch)
    assert torch.equal(everything.sort().values, torch.arange(len(points)))
    assert farthest_points(points[:0], 3).shape == (0,)


@pytest.mark.parametrize("make", [lambda: sphere(300), lambda: lattice(6)])
def test_samples_do_not_depend_on_the_order(make):
    points = make()
    shuffled = points[torch.randperm(len(points))]
    assert torch.equal(points[farthest_points(points, 40)], shuffled[farthest_points(shuffled, 40)])


def test_samples_of_identical_points_differ():
    assert len(set(farthest_points(torch.ones(100, 3), 30).tolist())) == 30


def test_thirds_are_rounded_down_and_not_below():
    for count in range(3, 300, 3):
        assert len(farthest_points(torch.rand(count, 3), 1 / 3)) == count // 3


@pytest.mark.parametrize("count", [0, -1, 0.0, 1.5])
def test_wrong_counts(count):
    with pytest.raises(InputError, match="count is"):
        farthest_points(sphere(4), count)


def test_tiles_hold_every_point_and_lie_close_together():
    points = sphere(4096)
    order = tile_order(points, 64)
    assert order.sort().values.tolist() == list(range(4096))
    boxes = points[order].view(64, 64, 3)
    sides = (boxes.amax(1) - boxes.amin(1)).mean(0)
    assert (sides < 0.8).all()  # 2 for points in any order
    assert box_size(4096) == 64 < box_size(10**6)
