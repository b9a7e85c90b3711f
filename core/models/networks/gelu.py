"""GELU, `x Phi(x)`: exact, or the tanh form 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).

PyTorch's function is the reference. On a processor it calls a library's tanh for the official form,
several times slower than oneDNN's exact one, so large tensors take one compiled pass
(`gelu_kernels.py`) where numba is installed. In float32 both are within 2e-6 of what float64 gives,
in bfloat16 they differ by the last bit at most. What torch.compile makes takes the same function as
x sigmoid(2 u), u the argument of tanh: inductor's exp is far faster than its tanh. The way follows
from the tensor alone, never from a clock: a run that is resumed computes as it did.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad

TWICE = 2 * math.sqrt(2 / math.pi)
LEAST = 2**20  # values; below it an import of numba would take longer than it could save
BITS = {torch.float32: torch.float32, torch.bfloat16: torch.uint16}  # what NumPy knows


def gelu(x: Tensor, approximate: str, fresh: bool = False) -> Tensor:
    """GELU of every value; approximate: "none" or "tanh", as PyTorch calls them.

    fresh: nobody else holds x, so that what comes out may lie in its memory.
    """
    if not torch.jit.is_scripting():  # by itself: what is within is not scripted
        if approximate == "tanh" and _is_compiled_for_a_cpu(x):
            return _by_sigmoid(x.float()).to(x.dtype)
        if _is_long_and_plain(x):
            return _of_plain(x, approximate, fresh and not x.requires_grad)
    return F.gelu(x, approximate=approximate)


def _of_plain(x: Tensor, approximate: str, over: bool) -> Tensor:
    """over: into its own memory, for new memory is most of the time that it takes."""
    if approximate == "tanh" and _kernels() is not None:
        return _pass_over(x) if over else _TanhGelu.apply(x)
    if over:
        return torch.ops.aten.gelu_(x, approximate=approximate)
    return F.gelu(x, approximate=approximate)


def _by_sigmoid(x: Tensor) -> Tensor:
    return x * torch.sigmoid(TWICE * (x + 0.044715 * x * x * x))


def _is_compiled_for_a_cpu(x: Tensor) -> bool:
    """Whether this goes into inductor's code; a graph that is exported keeps its GELU."""
    compiling = torch.compiler.is_dynamo_compiling() and not torch.compiler.is_exporting()
    return compiling and x.device.type == "cpu"


def _is_long_and_plain(x: Tensor) -> bool:
    """Whether x is a plain tensor of a processor, long enough, and nobody records or transforms."""
    if type(x) is not Tensor or torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    if x.device.type != "cpu" or x.dtype not in BITS or x.numel() < LEAST or not x.is_contiguous():
        return False
    # vmap, torch.func.grad, dual numbers
    return not torch._C._are_functorch_transforms_active() and forward_ad._current_level < 0


@cache
def _kernels() -> Any:
    """The compiled loops; None where numba is not installed."""
    try:
        from core.models.networks import gelu_kernels
    except ImportError:
        return None
    return gelu_kernels


class _TanhGelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return _pass("gelu", x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        if torch.is_grad_enabled() or gradient.dtype != x.dtype:  # to be differentiated once more
            return torch.ops.aten.gelu_backward(gradient, x, approximate="tanh")
        return _pass("slope", x, gradient.contiguous())


def _pass(name: str, *tensors: Tensor) -> Tensor:
    """One of the loops over contiguous tensors, a stretch for each of torch's threads."""
    out = torch.empty_like(tensors[0])
    loop = getattr(_kernels(), f"{name}_{str(out.dtype).removeprefix('torch.')}")
    arrays = [t.detach().flatten().view(BITS[t.dtype]).numpy() for t in (*tensors, out)]
    _in_stretches(loop, arrays, torch.get_num_threads())
    return out


def _pass_over(x: Tensor) -> Tensor:
    """The values of a contiguous tensor replaced by their GELU, by as many threads."""
    loop = getattr(_kernels(), f"over_{str(x.dtype).removeprefix('torch.')}")
    _in_stretches(loop, [x.flatten().view(BITS[x.dtype]).numpy()], torch.get_num_threads())
    return x


def _in_stretches(loop: Callable, arrays: list, threads: int) -> None:
    length = -(-arrays[0].size // threads)
    first, *others = [
        [array[i : i + length] for array in arrays] for i in range(0, arrays[0].size, length)
    ]
    waiting = [_pool(os.getpid(), threads).submit(loop, *stretch) for stretch in others]
    loop(*first)  # without Python's lock, as the others
    for done in waiting:
        done.result()


@lru_cache(1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Of this process: one that was forked has none of its parent's threads."""
    return ThreadPoolExecutor(max(1, threads - 1), "gelu")
