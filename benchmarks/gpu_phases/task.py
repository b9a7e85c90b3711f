"""What a phase is given, and where it leaves its figures."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from core.errors import InputError
from core.files import write_json, write_text
from core.tables import Table


@dataclass(frozen=True)
class Task:
    """One phase's settings: all sizes follow from `smallest`, all lengths from `deadline`."""

    phase: str
    out: Path  # of all phases
    deadline: float  # of time.monotonic(); processes that are forked share its clock
    kind: str = "cuda"
    smallest: bool = False
    photos: str = ""
    cifar: str = ""
    fixtures: str = ""
    peak: float = 989.0  # TFLOP/s

    @property
    def device(self) -> torch.device:
        """Raises InputError where there is no such device. Only in a process of its own: a process
        that has met the GPU cannot fork others that use it."""
        if self.kind == "cuda" and not torch.cuda.is_available():
            raise InputError("torch sees no GPU: try the script with --device cpu --smallest")
        return torch.device(self.kind)

    @property
    def backend(self) -> str:
        """Of torch.compile: the smallest form needs no compiler."""
        return "aot_eager" if self.smallest else "inductor"

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    def within(self, seconds: float) -> Task:
        """The same with no more than so much time."""
        return replace(self, deadline=min(self.deadline, time.monotonic() + seconds))


@dataclass
class Record:
    """A phase's figures: <out>/<phase>.json, and its part of <out>/gpu.md, after every change."""

    out: Path
    phase: str
    state: str = "running"
    reason: str = ""  # why it failed or was stopped
    share_seconds: float = 0.0
    seconds: float = 0.0
    machine: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    tables: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)  # what there was no time for

    @classmethod
    def of(cls, out: Path, phase: str) -> Record:
        """What the phase has left so far."""
        path = out / f"{phase}.json"
        values = json.loads(path.read_text()) if path.is_file() else {"phase": phase}
        return cls(out, **values)

    def add(self, **figures: Any) -> None:
        """Figures by name."""
        self.figures |= figures
        self.write()

    def row(self, title: str, columns: Sequence[str], cells: Sequence[Any], note="") -> None:
        """One row more of the table with that title."""
        tables = {table["title"]: table for table in self.tables}
        if title not in tables:
            self.tables.append(tables.setdefault(title, Table(title, columns, [], note).plain()))
        tables[title]["rows"] += Table(title, columns, [cells]).plain()["rows"]
        print(f"  {title}: " + ", ".join(map(str, cells)), flush=True)
        self.write()

    def skip(self, what: str) -> None:
        """Say what there was no time for."""
        self.left_out.append(what)
        self.write()

    def write(self) -> None:
        """The phase's file, and gpu.md of all phases."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "out"}
        write_json(self.out / f"{self.phase}.json", values)
        write_text(self.out / "gpu.md", summary(self.out))


def summary(out: Path) -> str:
    """What all phases have left, as Markdown; in the order in which they began."""
    files = sorted(out.glob("*.json"), key=lambda path: _begun(out, path.stem))
    return "# One GPU\n\n" + "\n".join(_chapter(Record.of(out, file.stem)) for file in files)


def _begun(out: Path, phase: str) -> int:
    order = (out / "phases.txt").read_text().split() if (out / "phases.txt").is_file() else []
    return order.index(phase) if phase in order else len(order)


def _chapter(record: Record) -> str:
    head = (
        f"## {record.phase}: {record.state}, {record.seconds:.0f} of {record.share_seconds:.0f} s"
    )
    lines = [head, record.reason, *(f"No time for: {what}" for what in record.left_out)]
    if record.machine:
        lines.insert(1, f"{record.machine['device']}, torch {record.machine['torch']}")
    lines += [f"{name}: {_words(value)}" for name, value in record.figures.items()]
    tables = [
        Table(**{**table, "title": f"### {table['title']}"}, form="{:.4g}").markdown()
        for table in record.tables
    ]
    return "\n\n".join(part for part in [*lines, *tables] if part) + "\n"


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(item)}" for name, item in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
