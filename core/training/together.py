"""Batches that all processes of a job get, or none: the others would wait for one for ever.

Flags are compared for every batch, on the CPU, so that a GPU's queue is not waited for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist

from core.errors import InputError


class EndedEverywhere(InputError):
    """What one of the processes could not read: raised in all of them, at the same batch."""


def together(batches: Iterator[Any], world: int) -> Iterator[Any]:
    """The same batches; InputError in any process is EndedEverywhere in each."""
    group = dist.new_group(backend="gloo") if world > 1 else None
    try:
        while True:
            batch, failure = _next(batches)
            if failures := _failures(failure, group):
                raise EndedEverywhere(failures[0])
            if batch is None:
                return
            yield batch
    finally:
        batches.close()
        if group is not None:
            dist.destroy_process_group(group)


def _next(batches: Iterator[Any]) -> tuple[Any, str]:
    """A batch, or None at the end or with what went wrong."""
    try:
        return next(batches, None), ""
    except InputError as error:
        return None, str(error)
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        reason = str(error).split("\n")[0]  # killed: for want of memory, mostly
        return None, f"{reason}: fewer workers need less memory"


def _failures(failure: str, group: Any) -> list[str]:
    """What went wrong in any of the processes; the messages are exchanged if there are some."""
    if group is None:
        return [failure] if failure else []
    flag = torch.tensor([bool(failure)], dtype=torch.int32)
    dist.all_reduce(flag, group=group)
    if not flag:
        return []
    words: list[str] = [""] * group.size()
    dist.all_gather_object(words, failure, group=group)
    return [word for word in words if word]
