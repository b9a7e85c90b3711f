"""What a run measures of itself between two log lines, with one collective call a line."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from core.training.gradients import Losses
from core.training.session import Session


class NotFinite(ArithmeticError):
    """A loss was infinite or not a number, first at optimizer step ``step``."""

    def __init__(self, step: int):
        super().__init__(f"the loss is not finite at step {step}")
        self.step = step


class Meter:
    """Mean losses, gradient norm and samples/s over the optimizer steps since the last line.

    ``waiting`` is the share of training time that a process stands in `fetch`, the mean over the
    processes: time on the host's clock. A GPU may still be working through what it was given, so
    there it bounds the time that a faster loader could save from above.
    """

    def __init__(self, session: Session):
        self.session = session
        self.restart()

    def restart(self) -> None:
        """Forget what was measured; training time begins now."""
        self.sums: dict[str, torch.Tensor] = {}  # (), by loss, of this process
        self.counts: dict[str, torch.Tensor | float] = {}  # samples or valid elements, by loss
        self.totals: dict[int, torch.Tensor] = {}  # sum of all losses, by optimizer step
        self.norms: list[torch.Tensor] = []
        self.seen: dict[str, int] = {}  # samples of this process, by loss
        self.paused, self.waited = 0.0, 0.0
        self.started = time.perf_counter()

    @torch.no_grad()
    def add(self, step: int, losses: Losses, valid: torch.Tensor | None) -> None:
        """Account for one backward pass of optimizer step ``step`` (1-based). No device sync."""
        for name, loss in losses.items():
            count = len(loss) if valid is None else valid.detach().sum().float()
            self.sums[name] = self.sums.get(name, 0) + loss.detach().sum().float()
            self.counts[name] = self.counts.get(name, 0.0) + count
            self.seen[name] = self.seen.get(name, 0) + len(loss)
            self.totals[step] = self.totals.get(step, 0) + loss.detach().sum().float()

    def fetch(self, batches: Iterator[Any]) -> Any:
        """The next of ``batches``; the time until it comes counts as waiting."""
        begun = time.perf_counter()
        batch = next(batches)
        self.waited += time.perf_counter() - begun
        return batch

    @contextmanager
    def pause(self):
        """Evaluation and saving do not count as training time."""
        begun = time.perf_counter()
        yield
        self.paused += time.perf_counter() - begun

    def read(self) -> dict[str, float]:
        """Means over all processes since the last call. Raises NotFinite. Empty if nothing came."""
        if not self.totals:
            return {}
        norms = [float(norm) for norm in self.norms]
        means = [*self.sums.values(), *self.counts.values()]
        # one vector, so that a line costs one collective call and one wait for the device:
        # totals of each step, sums of each loss, counts of each loss, seconds waited
        values = [*self.totals.values(), *means, self.waited]
        values = torch.stack([torch.as_tensor(v, device=self.session.device) for v in values])
        values = self.session.sum(values.double()).tolist()
        seconds = time.perf_counter() - self.started - self.paused
        for step, total in zip(self.totals, values, strict=False):  # the totals come first
            if not math.isfinite(total):
                raise NotFinite(step)
        row = self._means(values[len(self.totals) :], norms, seconds)
        self.restart()
        return row

    def _means(self, values: list[float], norms: list[float], seconds: float) -> dict[str, float]:
        *means, waited = values
        sums, counts = means[: len(self.sums)], means[len(self.sums) :]
        # no valid element at all gives a mean of 0, as the gradient is
        row = {n: s / max(c, 1.0) for n, s, c in zip(self.sums, sums, counts, strict=True)}
        row["loss"] = sum(row.values())
        if norms:
            row["grad_norm"] = sum(norms) / len(norms)
        seconds = max(seconds, 1e-9)
        row["images_per_second"] = max(self.seen.values()) * self.session.world / seconds
        row["waiting"] = waited / self.session.world / seconds
        return row
