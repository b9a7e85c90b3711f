"""Two ways of one work in turn, and a row of the table: the ratio, its median and quartiles.

A round gives a ratio, of what ran within seconds of each other: `core.profiling.timing` says why.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from core.profiling.timing import Work, interleave

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Settings:
    """How long, how large, and beside which earlier checkout."""

    rounds: int = 9
    seconds: float = 1.0  # of one turn
    smallest: bool = False  # tiny sizes: does everything run?
    before: str = ""  # a checkout of an earlier commit; "present" in the table
    out: str = "results/speed"  # where pictures go


@dataclass
class Row:
    """One line of the table. `figure`, `low`, `high`: median and quartiles over the rounds."""

    what: str
    against: str
    aim: float | None = None  # None: nothing to reach, a figure to know
    at_least: bool = True  # else the figure is a cost, to be no more than the aim
    figure: float | None = None
    low: float | None = None
    high: float | None = None
    sides: dict[str, tuple[float, float, float]] = field(default_factory=dict)  # by what ran
    unit: str = ""  # of the sides
    error: str = ""  # why there is no figure

    @property
    def met(self) -> bool | None:
        """Whether the aim is; None where there is no aim or no figure."""
        if self.aim is None or self.figure is None:
            return None
        return self.figure >= self.aim if self.at_least else self.figure <= self.aim


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """(median, lower, upper)."""
    if len(values) == 1:
        return (values[0],) * 3
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, low, high


def in_turn(settings: Settings, works: Sequence[Work]) -> Sequence[Work]:
    """The works with their rates, a round each for all of them and then the next."""
    interleave(works, settings.rounds, settings.seconds, time.perf_counter)
    return works


def processes_in_turn(settings: Settings, works: Sequence[Work]) -> Sequence[Work]:
    """The same of commands: one unmeasured start of each, then a start a round."""
    for number in range(1 + (1 if settings.smallest else settings.rounds)):
        for work in works:
            if work.error:
                continue
            begun = time.perf_counter()
            try:
                work.call()
            except RuntimeError as error:
                work.error, work.rates = str(error), []
                continue
            if number:
                work.rates.append(work.amount / (time.perf_counter() - begun))
    return works


def alone(row: Row, work: Work, unit: str = "1/s") -> Row:
    """The row of what there is nothing beside: no ratio, its rate."""
    row.unit, row.error = unit, work.error
    row.sides = {work.name: quartiles(work.rates)} if work.rates else {}
    return row


def faster(row: Row, ours: Work, theirs: Work, unit: str = "1/s") -> Row:
    """The row with ours over theirs, by rates."""
    return _ratio(row, ours, theirs, unit, lambda a, b: a / b)


def costs(row: Row, ours: Work, theirs: Work, unit: str = "1/s") -> Row:
    """The row with the time of ours over that of theirs."""
    row.at_least = False
    return _ratio(row, ours, theirs, unit, lambda a, b: b / a)


def _ratio(row: Row, ours: Work, theirs: Work, unit: str, ratio: Callable) -> Row:
    row.unit, row.error = unit, ours.error or theirs.error
    row.sides = {work.name: quartiles(work.rates) for work in (ours, theirs) if work.rates}
    if not row.error:
        values = [ratio(a, b) for a, b in zip(ours.rates, theirs.rates, strict=True)]
        row.figure, row.low, row.high = quartiles(values)
    return row


def process(
    name: str, words: Sequence, amount: float = 1, folder: Path | None = None, checkout: str = ""
) -> Work:
    """A command of Python's as a work: from its start to its end. An exit status is an error."""
    return Work(name, partial(run, words, folder, checkout), amount)


def run(words: Sequence, folder: Path | None = None, checkout: str = "") -> None:
    """A command of Python's, with the packages of this checkout or of another."""
    root = Path(checkout or ROOT)
    environment = {**os.environ, "PYTHONPATH": str(root), "ACCELERATE_USE_CPU": "1"}
    command = [sys.executable, *map(str, words)]
    options = {"cwd": folder or root, "env": environment, "capture_output": True, "text": True}
    done = subprocess.run(command, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:3])}: {(done.stderr or done.stdout)[-300:]}")
