"""A training that is killed and resumed, beside two that were not: are their losses the same?"""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

from safetensors.torch import load_file

from benchmarks.gpu_phases.apart import apart
from benchmarks.gpu_phases.noise import CLASSES, train_on_noise
from benchmarks.gpu_phases.task import Record, Task
from core.models.classifier import create_classifier
from core.training.files.folder import read_metrics
from core.training.optim import OptimConfig
from core.training.run import Run, RunConfig

BATCH, STEPS, SAVED, KILLED = 8, 20, 10, 13  # both in the middle of an epoch of SAMPLES
COLUMNS = ("precision", "compared with one more run", "losses", "weights", "averages", "holds")
NOTE = (
    "Largest differences. It holds where resuming adds nothing to what two runs differ by anyway."
)
SLACK = 1e-6  # what the tests of the CPU allow


def run(task: Task) -> list[str]:
    """Table `Killed and resumed`; what went wrong. Forks, so it must not have used the device."""
    record, failures = Record.of(task.out, task.phase), []
    for precision in ("bf16",) if task.smallest else ("no", "bf16"):
        if task.left < 20 and not task.smallest:
            record.skip(f"kill and resume, precision {precision}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            reason = trainings(task, Path(folder), precision)
            if reason:
                failures.append(f"kill and resume: {reason}")
                continue
            anyway = differences(Path(folder, "whole"), Path(folder, "again"))
            resumed = differences(Path(folder, "whole"), Path(folder, "cut"))
        holds = all(r <= 10 * a + SLACK for r, a in zip(resumed, anyway, strict=True))
        for what, values, verdict in (("not killed", anyway, None), ("resumed", resumed, holds)):
            record.row("Killed and resumed", COLUMNS, (precision, what, *values, verdict), NOTE)
    return failures


def trainings(task: Task, folder: Path, precision: str) -> str:
    """Two whole ones, one killed, and its rest, a process each; why one did not end as it must."""
    plan = {"whole": ("whole", 0, False), "again": ("again", 0, False)}
    plan |= {"killed": ("cut", KILLED, False), "resumed": ("cut", 0, True)}
    for what, (name, kill_at, go_on) in plan.items():
        given = (task, str(folder / name), precision, kill_at, go_on)
        reason = apart(train, *given, seconds=task.left, group=False)
        if reason != (f"ended by {signal.SIGKILL.name}" if kill_at else ""):
            return f"the {what} training: {reason or 'was to be killed'}"
    return ""


def train(task: Task, folder: str, precision: str, kill_at: int, go_on: bool) -> None:
    """A small Mixer with stochastic depth and a moving average."""
    length = {"steps": STEPS, "batch_size": BATCH, "save_every": SAVED, "log_every": 1}
    config = RunConfig(folder, go_on, ema=0.9, precision=precision, trackers=(), **length)
    name, size = ("mixer_c16_l2_p8", 16) if task.smallest else ("mixer_c128_l4_p8", 64)
    run, workers = Run(config), 0 if task.smallest else 1
    network = create_classifier(name, size, CLASSES, stochastic_depth=0.3)

    def kill(done: int) -> None:
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    train_on_noise(run, network, OptimConfig(), workers, after_step=kill)


def differences(one: Path, other: Path) -> tuple[float, float, float]:
    """Largest ones of the losses of all steps, of the last weights and of their averages."""
    losses = [{row["step"]: row["loss"] for row in read_metrics(f)} for f in (one, other)]
    if list(losses[0]) != list(losses[1]):
        raise AssertionError(f"steps {list(losses[0])} and {list(losses[1])} were recorded")
    found = [max(abs(losses[0][step] - losses[1][step]) for step in losses[0])]
    for name in ("model.safetensors", "ema.safetensors"):
        a, b = (load_file(f / "checkpoints/last" / name) for f in (one, other))
        found.append(max(float((a[key] - b[key]).abs().max()) for key in a))
    return tuple(found)
