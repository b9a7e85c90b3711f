"""Sums, means, maxima and softmaxes over groups of rows, and clouds packed one after another.

Legend: N points of all clouds, B clouds, M rows, G groups, k members of a set, C channels.

Clouds of different sizes lie behind one another: points (N, 3) and batch (N,), the number of the
cloud of each point, sorted. A group is named by `index` (M,), sorted or not: the cloud of a point,
or the point that a row belongs to. All is plain torch (`index_add_`, `scatter_reduce`), which has
gradients on every device; on CUDA their sums come in no fixed order.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from core.errors import InputError


def segment_sum(values: Tensor, index: Tensor, count: int) -> Tensor:
    """Rows (M, ...) summed by group: (G, ...). A group without rows is 0."""
    return values.new_zeros(count, *values.shape[1:]).index_add_(0, index, values)


def segment_count(index: Tensor, count: int) -> Tensor:
    """Rows of each group: (G,) int64."""
    return torch.bincount(index, minlength=count)


def segment_mean(values: Tensor, index: Tensor, count: int) -> Tensor:
    """The mean row of each group: (M, ...) -> (G, ...). A group without rows is 0."""
    rows = segment_count(index, count).clamp_min(1).to(values.dtype)
    return segment_sum(values, index, count) / _beside(rows, values)


def segment_max(values: Tensor, index: Tensor, count: int) -> Tensor:
    """The largest value of each group and channel: (M, ...) -> (G, ...). Without rows it is 0.

    Equal largest values share the gradient.
    """
    # scatter_reduce takes an index for every number, index_add_ one for every row
    index = _beside(index, values).expand_as(values)
    start = values.new_zeros(count, *values.shape[1:])
    return start.scatter_reduce(0, index, values, "amax", include_self=False)


def segment_softmax(scores: Tensor, index: Tensor, count: int) -> Tensor:
    """exp(s) over its sum in the row's group, channel by channel: (M, ...) -> (M, ...)."""
    largest = segment_max(scores.detach(), index, count)  # any shift gives the same gradient
    powers = (scores - largest.index_select(0, index)).exp()
    return powers / segment_sum(powers, index, count).index_select(0, index)


def gather_sets(values: Tensor, index: Tensor) -> Tensor:
    """The members of sets: values (N, ...), index (M, k) -> (M, k, ...)."""
    # index_select, whose backward is one index_add_ of rows
    return values.index_select(0, index.flatten()).unflatten(0, index.shape)


def cloud_count(batch: Tensor) -> int:
    """B, one more than the last cloud's number; 0 without points."""
    return int(batch[-1]) + 1 if len(batch) else 0


def cloud_sizes(batch: Tensor, count: int | None = None) -> Tensor:
    """Points of each cloud: (B,) int64."""
    return segment_count(batch, cloud_count(batch) if count is None else count)


def cloud_starts(sizes: Tensor) -> Tensor:
    """Where each cloud begins: sizes (B,) -> (B,) int64."""
    return sizes.cumsum(0) - sizes


def pack(clouds: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Clouds (N_b, ...) behind one another: (N, ...) and batch (N,) int64. Empty ones may be."""
    if not clouds:
        raise InputError("there is no cloud to pack; give at least one")
    rows = torch.cat(list(clouds))
    sizes = torch.tensor([len(cloud) for cloud in clouds], device=rows.device)
    return rows, torch.arange(len(clouds), device=rows.device).repeat_interleave(sizes)


def unpack(rows: Tensor, batch: Tensor, count: int | None = None) -> list[Tensor]:
    """The clouds of packed rows (N, ...): B tensors (N_b, ...)."""
    return list(rows.split(cloud_sizes(batch, count).tolist()))


def check_batch(batch: Tensor, rows: int, name: str = "batch") -> None:
    """InputError unless batch is (rows,) int64, sorted, from 0 on."""
    if batch.shape != (rows,) or batch.dtype != torch.int64:
        raise InputError(
            f"{name} is {tuple(batch.shape)} {batch.dtype}; give the number of each point's cloud, "
            f"({rows},) torch.int64"
        )
    if rows and (int(batch[0]) < 0 or bool((batch[1:] < batch[:-1]).any())):
        raise InputError(f"{name} is not sorted from 0 on; put the clouds one after another")


def _beside(index: Tensor, values: Tensor) -> Tensor:
    """(M,) as (M, 1, ...), which broadcasts over values (M, ...)."""
    return index.view(-1, *[1] * (values.ndim - 1))
