"""Nearest neighbours and farthest point sampling in packed clouds, on any device.

Legend: N points, Nq queries, B clouds, k neighbours; n and m of one cloud. Clouds are packed as in
`apps.pointcloud.geometry.segments`: batch (N,) int64, sorted; None is one cloud. Nothing crosses
clouds.

Neighbours come from scipy's KD-tree on the CPU, and from all distances, in chunks, elsewhere.
Every cloud is put in an order of its own first (`tile_order`), so that the neighbours depend on the
set of its points, not on their order or on other clouds: points of a voxel grid have many equally
near neighbours, and one of them has to be the last. That order also puts queries that lie together
behind one another, which halves the time of the tree at 100,000 points. Both searches are
deterministic; between devices neighbours may differ where distances are equal in float32.
"""

from __future__ import annotations

import math

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from apps.pointcloud.geometry.farthest import (
    box_size,
    farthest_of_cloud,
    tile_order,
)
from apps.pointcloud.geometry.segments import check_batch, cloud_count, cloud_sizes
from apps.pointcloud.geometry.trees import threads_for
from core.errors import InputError

CHUNK = 2**26  # distances at a time, 256 MB in float32
NEAR = 64  # points that the order of a search keeps together


@torch.no_grad()
def knn(
    query: Tensor,
    points: Tensor,
    k: int,
    query_batch: Tensor | None = None,
    points_batch: Tensor | None = None,
    tidy: bool = True,
) -> Tensor:
    """The k nearest of points (N, 3) to each of query (Nq, 3), nearest first: (Nq, k) int64.

    Where query is points, the first is the point itself (or one at the very same place). A cloud of
    fewer than k points gives all of them, and then its nearest again and again. Not tidy: which of
    equally near points it is depends on their order, and small clouds take less time. Raises
    InputError for k < 1, coordinates that are not finite, and queries in a cloud without points.
    """
    if k < 1:
        raise InputError(f"neighbours k is {k}; choose 1 or more")
    query_batch, points_batch = _checked(query, query_batch), _checked(points, points_batch)
    count = max(cloud_count(query_batch), cloud_count(points_batch))
    sizes = [cloud_sizes(batch, count).tolist() for batch in (query_batch, points_batch)]
    neighbours, start = [], 0  # start: where the cloud begins among all points
    for b, (queries, cloud) in enumerate(
        zip(query.split(sizes[0]), points.split(sizes[1]), strict=True)
    ):
        if len(queries) and not len(cloud):
            raise InputError(f"cloud {b} has {len(queries)} queries, but no points to search")
        if len(queries):
            neighbours.append(_of_cloud(queries, cloud, k, query is points, tidy) + start)
        start += len(cloud)
    return torch.cat(neighbours) if neighbours else query_batch.new_zeros(0, k)


@torch.no_grad()
def farthest_points(points: Tensor, count: int | float, batch: Tensor | None = None) -> Tensor:
    """Farthest point sampling of points (N, 3): indices (M,) int64, cloud by cloud.

    count: an int is a number of points for each cloud (one of fewer gives them all); a float is a
    share of each cloud in (0, 1], rounded down, and at least one point. The first of a cloud is its
    farthest point from its mean: the samples depend on the set, not on its order. No point comes
    twice. Raises InputError for a count below 1, a share outside (0, 1], and coordinates that are
    not finite.
    """
    share = isinstance(count, float)
    if not (0 < count <= 1 if share else count >= 1):
        raise InputError(f"count is {count}; choose an int from 1, or a float in (0, 1]")
    batch, chosen, start = _checked(points, batch), [], 0
    for cloud in points.split(cloud_sizes(batch).tolist()):
        number = max(1, math.floor(count * len(cloud) + 1e-6)) if share else min(count, len(cloud))
        if len(cloud):
            chosen.append(_sample(cloud, number) + start)
        start += len(cloud)
    return torch.cat(chosen) if chosen else batch.new_zeros(0)


def _of_cloud(query: Tensor, points: Tensor, k: int, same: bool, tidy: bool) -> Tensor:
    """The same of one cloud: query (m, 3), points (n, 3) -> (m, k), places among its points."""
    search = _by_tree if points.device.type == "cpu" else _by_distances
    if tidy:
        order = tile_order(points, NEAR)  # (n,)
        turns = order if same else tile_order(query, NEAR)  # (m,)
        # the search sees both in tile order; `order[...]` takes its answers to the caller's places
        near = order[search(query[turns], points[order], min(k, len(points)))]  # (m, min(k, n))
    else:
        turns, near = slice(None), search(query, points, min(k, len(points)))
    neighbours = near.new_empty(len(query), k)
    # a cloud of fewer than k points fills up with its nearest; rows go back to the queries' order
    neighbours[turns] = torch.cat([near, near[:, :1].expand(-1, k - near.shape[1])], 1)
    return neighbours


def _by_tree(query: Tensor, points: Tensor, k: int) -> Tensor:
    tree = cKDTree(points.numpy())
    # k as a range keeps the last axis also where k is 1
    near = tree.query(query.numpy(), k=range(1, k + 1), workers=threads_for(len(query)))[1]
    return torch.from_numpy(near)  # (m, k)


def _by_distances(query: Tensor, points: Tensor, k: int) -> Tensor:
    """Differences, not products: |a|^2 + |b|^2 - 2ab loses near neighbours to rounding."""
    mode = "donot_use_mm_for_euclid_dist"
    chunks = query.split(max(1, CHUNK // len(points)))
    return torch.cat(
        [
            torch.cdist(chunk, points, compute_mode=mode).topk(k, largest=False).indices
            for chunk in chunks
        ]
    )


def _sample(points: Tensor, count: int) -> Tensor:
    """Farthest point sampling of one cloud (n, 3): (count,), places among its points."""
    box = box_size(len(points))
    order = tile_order(points, box)
    ordered = points[order].double()
    # The start is a property of the set, the farthest point from its mean: a cloud in another order
    # gives the same samples.
    from_mean = (ordered - ordered.mean(0)).square().sum(1)
    start = int((from_mean == from_mean.max()).nonzero()[0])
    return order[farthest_of_cloud(ordered, start, count, box)]


def _checked(points: Tensor, batch: Tensor | None) -> Tensor:
    """The clouds' numbers (N,) of checked points (N, 3)."""
    if points.ndim != 2 or points.shape[1] != 3 or not points.is_floating_point():
        raise InputError(f"points are {tuple(points.shape)} {points.dtype}; give (N, 3) floats")
    if not bool(torch.isfinite(points).all()):
        raise InputError("points have coordinates that are NaN or infinite; drop those points")
    if batch is None:
        return torch.zeros(len(points), dtype=torch.int64, device=points.device)
    check_batch(batch, len(points))
    return batch
