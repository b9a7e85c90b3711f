"""Timing side by side: the works take turns, A B C A B C ..., and ratios are taken round by round.

Other jobs of a machine, its clock and its temperature change over seconds. What takes turns suffers
alike, so the ratio of two rates of one round says more than that of two means.
"""

from __future__ import annotations

import gc
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from core.errors import first_line

Clock = Callable[[], float]  # seconds; all that was begun before is finished when it returns

# (M, K) x (K, N): what a processor is taken to be able to do is the best of these. First squares,
# then channel mixing and token mixing of Mixer-B/16 at 224 pixels for B images: (B S, C) x (C, D_C)
# and, with the channels of all images side by side, (D_S, S) x (S, B C).
SQUARES = {"cuda": (4096, 8192), "cpu": (1024, 2048)}
MIXER_IMAGES = {"cuda": 64, "cpu": 8}


@dataclass
class Work:
    """Something that is called again and again; `rates` get `amount` per second, one a round.

    With `single`, every call is timed by itself, and a round gives `calls` rates: for latencies.
    """

    name: str
    call: Callable[[], object] | None
    amount: float  # of images, MACs, ... in one call
    single: bool = False
    calls: int = 1  # in one round
    first_seconds: float = 0.0  # the first call, with compilation and every other preparation
    rates: list[float] = field(default_factory=list)
    error: str = ""  # why there are no rates

    @property
    def rate(self) -> Spread:
        """Samples a second, over the rounds."""
        return spread(self.rates)


@dataclass(frozen=True)
class Spread:
    """What several rounds gave."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Median, least and greatest."""
    return Spread(statistics.median(values), min(values), max(values))


def percentile(values: Sequence[float], share: float) -> float:
    """The least of the values that is not below `share` of them (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def ratios(work: Work, reference: Work) -> Spread | None:
    """Rate over the reference's rate, round by round; None where one of them failed."""
    if work.error or reference.error:
        return None
    return spread([a / b for a, b in zip(work.rates, reference.rates, strict=True)])


def interleave(works: Sequence[Work], repeats: int, seconds: float, clock: Clock) -> None:
    """Warm every work up, then `repeats` rounds in which each is called for about `seconds`.

    A work that raises keeps the reason in `error`, loses its rates and is not called again; the
    others go on.
    """
    for work in works:
        _guarded(work, lambda work=work: _warm_up(work, seconds, clock))
    with no_collection():
        for _ in range(repeats):
            for work in works:
                _guarded(work, lambda work=work: _round(work, clock))


def _guarded(work: Work, step: Callable[[], None]) -> None:
    if work.error:
        return
    try:
        step()
    except Exception as error:  # out of memory, a compiler's refusal, ...
        work.error, work.call, work.rates = first_line(error), None, []
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _warm_up(work: Work, seconds: float, clock: Clock) -> None:
    """The first call may compile; the second and third say how many calls fill a round."""
    begun = clock()
    work.call()
    work.first_seconds = clock() - begun
    begun = clock()
    work.call()
    work.call()
    each = (clock() - begun) / 2
    work.calls = max(1, round(seconds / each)) if each > 0 else 1


def _round(work: Work, clock: Clock) -> None:
    stretches, calls = (work.calls, 1) if work.single else (1, work.calls)
    for _ in range(stretches):
        begun = clock()
        for _ in range(calls):
            work.call()
        work.rates.append(work.amount * calls / (clock() - begun))


@contextmanager
def no_collection():
    """Python's garbage collector waits outside: it would strike single rounds."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def device_clock(device: torch.device) -> Clock:
    """Seconds on the clock, once the device has done what it was given."""
    if device.type != "cuda":
        return time.perf_counter

    def clock() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return clock


def products(device: torch.device, dtype: torch.dtype) -> list[Work]:
    """Matrix products whose best rate, in MAC/s, stands for the peak of this machine."""
    kind = "cuda" if device.type == "cuda" else "cpu"
    images = MIXER_IMAGES[kind]
    shapes = [(side, side, side) for side in SQUARES[kind]]
    shapes += [(images * 196, 768, 3072), (384, 196, images * 768)]
    return [_product(shape, device, dtype) for shape in shapes]


def _product(shape: tuple[int, int, int], device: torch.device, dtype: torch.dtype) -> Work:
    m, k, n = shape
    left = torch.randn(m, k, device=device, dtype=dtype)
    right: Tensor = torch.randn(k, n, device=device, dtype=dtype)
    result = torch.empty(m, n, device=device, dtype=dtype)

    @torch.inference_mode()
    def call() -> None:
        torch.mm(left, right, out=result)

    return Work(f"({m}, {k}) x ({k}, {n})", call, float(m * k * n))


def machine(device: torch.device) -> dict:
    """What the figures were measured on; JSON can hold it."""
    cuda = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if cuda else _processor(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if cuda else None,
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if line[:10] == "model name"]
    except OSError:  # not Linux
        names = []
    return names[0] if names else platform.processor() or platform.machine()
