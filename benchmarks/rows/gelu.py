"""The compiled tanh GELU beside PyTorch's tanh and exact ones, of 4.8 million values.

The first row is why the compiled pass is there: below 1 it is to go.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F

from benchmarks.rows.pairs import Row, Settings, faster, in_turn
from core.models.networks.gelu import LEAST, gelu
from core.profiling.timing import Work


def rows(settings: Settings) -> Iterator[Row]:
    """Forward, then forward and backward, in both precisions."""
    count = LEAST if settings.smallest else 4_800_000
    for dtype in (torch.float32, torch.bfloat16):
        values = torch.randn(count, dtype=dtype)
        for what, call in (("forward", torch.inference_mode()(_call)), ("with backward", _step)):
            ways = {
                "compiled": lambda x: gelu(x, "tanh"),
                "PyTorch's tanh": partial(F.gelu, approximate="tanh"),
                "PyTorch's exact": F.gelu,
            }
            works = [
                Work(name, lambda c=call, w=way, v=values: c(w, v), count / 1e6)
                for name, way in ways.items()
            ]
            in_turn(settings, works)
            title = f"tanh GELU, {str(dtype)[6:]}, {what}"
            for other, aim in zip(works[1:], (1.0, None), strict=True):
                yield faster(Row(title, other.name, aim), works[0], other, "M values/s")


def _call(way, values: torch.Tensor) -> torch.Tensor:
    return way(values)


def _step(way, values: torch.Tensor) -> None:
    values = values.detach().requires_grad_()
    way(values).sum().backward()
