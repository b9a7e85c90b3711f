"""Farthest point sampling of one cloud: each new point is the farthest from all chosen so far.

Eldar et al. 1997, "The farthest point strategy for progressive image sampling". Exact: distances
are squares in float64, and of equally far points the first one is taken, on every device.

On the CPU points lie in boxes of 64 to 256 (`tile_order`). A box whose nearest corner is no nearer
to the new point than its own farthest point is from the chosen ones cannot change, and is left out:
the bucket idea of QuickFPS (Han et al. 2023, IEEE TCAD). This is ours because the bucketed search
of fpsample (1.0.2) ignores the start that it is given, and installing it takes a C++ compiler.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from core.compiled import njit


def farthest_of_cloud(points: Tensor, start: int, count: int, box: int) -> Tensor:
    """Indices (count,) int64 of points (n, 3) float64, all different; `start` comes first.

    box: how many points behind one another are a box; only the time depends on it.
    """
    if points.device.type != "cpu":
        return _by_loop(points, start, count)
    chosen = np.empty(count, np.int64)
    _by_boxes(points.contiguous().numpy(), start, box, chosen)
    return torch.from_numpy(chosen)


def box_size(points: int) -> int:
    """Points in a box: about as many as keep the boxes and the points in balance."""
    return 64 if points < 20_000 else 128 if points < 150_000 else 256


def lexicographic_order(points: Tensor) -> Tensor:
    """The order (n,) by x, then y, then z, of points (n, 3); equal points keep theirs."""
    order = torch.arange(len(points), device=points.device)
    for axis in (2, 1, 0):
        order = order[points[order, axis].argsort(stable=True)]
    return order


def tile_order(points: Tensor, box: int) -> Tensor:
    """An order (n,) in which each `box` points behind one another lie close together.

    Slabs along x, columns along y within them, boxes along z within those: sort-tile-recursive
    packing (Leutenegger et al. 1997). It depends on the set of points, not on their order.
    """
    order = lexicographic_order(points)
    place = torch.arange(len(points), device=points.device)
    boxes = max(1, len(points) // box)
    for axis, parts in ((1, boxes ** (1 / 3)), (2, boxes ** (2 / 3))):
        boxes_each = max(1, round(boxes / parts))
        part = place // (boxes_each * box)
        within = points[order, axis].argsort(stable=True)
        order = order[within[part[within].argsort(stable=True)]]
    return order


def _by_loop(points: Tensor, start: int, count: int) -> Tensor:
    """Every point at every step: count x n distances, where the points lie."""
    x, y, z = points.T.contiguous()
    place = torch.arange(len(points), device=points.device)
    nearest = torch.full_like(x, torch.inf)
    chosen = [place[start]]
    for _ in range(count - 1):
        last = chosen[-1]
        dx, dy, dz = x - x[last], y - y[last], z - z[last]
        nearest = torch.minimum(nearest, dx * dx + dy * dy + dz * dz)
        nearest[last] = -1.0  # never again, even where all points are one
        # argmax promises no order among equals: the first of them, as on the CPU
        first = torch.where(nearest == nearest.max(), place, len(place)).min()
        chosen.append(first)
    return torch.stack(chosen)


@njit("void(float64[:, ::1], int64, int64, int64[::1])", cache=True, nogil=True)
def _by_boxes(points, start, box, chosen):
    """farthest_of_cloud into `chosen`."""
    n = points.shape[0]
    boxes = (n + box - 1) // box
    low, high = np.empty((boxes, 3)), np.empty((boxes, 3))
    for b in range(boxes):
        for axis in range(3):
            low[b, axis] = points[b * box : b * box + box, axis].min()
            high[b, axis] = points[b * box : b * box + box, axis].max()
    nearest = np.full(n, np.inf)  # squared, to the chosen points; -1 for those
    farthest, where = np.full(boxes, np.inf), np.zeros(boxes, np.int64)  # of each box
    last = start
    for i in range(chosen.size):
        chosen[i] = last
        nearest[last] = -1.0
        x, y, z = points[last, 0], points[last, 1], points[last, 2]
        best, last_box = -2.0, last // box
        for b in range(boxes):
            dx = max(low[b, 0] - x, x - high[b, 0], 0.0)
            dy = max(low[b, 1] - y, y - high[b, 1], 0.0)
            dz = max(low[b, 2] - z, z - high[b, 2], 0.0)
            # rounding is monotone, so no point of the box has a smaller rounded distance
            if dx * dx + dy * dy + dz * dz < farthest[b] or b == last_box:
                farthest[b] = -2.0
                for j in range(b * box, min(n, b * box + box)):
                    dx, dy, dz = points[j, 0] - x, points[j, 1] - y, points[j, 2] - z
                    nearest[j] = min(nearest[j], dx * dx + dy * dy + dz * dz)
                    if nearest[j] > farthest[b]:
                        farthest[b], where[b] = nearest[j], j
            if farthest[b] > best:
                best, last = farthest[b], where[b]
