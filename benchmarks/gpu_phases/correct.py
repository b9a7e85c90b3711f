"""Whether the library is right on this device; each part in a process of its own."""

from __future__ import annotations

from benchmarks.gpu_phases import compiling, numerics, resume
from benchmarks.gpu_phases.apart import apart
from benchmarks.gpu_phases.task import Record, Task
from core.errors import InputError

PARTS = {"logits": numerics.run, "export": compiling.export, "compile": compiling.run}
MARGIN = 3.0  # seconds before the phase's end at which a part is stopped, so that it is said


def run(task: Task, record: Record) -> None:
    """All parts; raises InputError with what failed or does not hold when the last is done."""
    failures = []
    for name, work in PARTS.items():
        if name == "compile":  # before it: compiling may take all the time that there is
            failures += resume.run(task)
        reason = apart(work, task, seconds=task.left - MARGIN, group=False)
        if reason.startswith("stopped"):
            Record.of(task.out, task.phase).skip(f"the rest of {name}")
        elif reason:
            failures.append(f"{name}: {reason}")
    failures += not_holding(Record.of(task.out, task.phase))
    if failures:
        raise InputError("; ".join(failures))


def not_holding(record: Record) -> list[str]:
    """The rows whose last column, `holds`, says no."""
    return [
        f"{table['title']}: {', '.join(map(str, row[:-1]))}"
        for table in record.tables
        for row in table["rows"]
        if table["columns"][-1] == "holds" and row[-1] is False
    ]
