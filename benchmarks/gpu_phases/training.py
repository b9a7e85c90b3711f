"""Trainings that end, schedule and all, within their share: settings, metrics, small weights."""

from __future__ import annotations

import shutil
import statistics
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from benchmarks.gpu_phases import recipes
from benchmarks.gpu_phases.planning import Plan, planned
from benchmarks.gpu_phases.task import Record, Task
from core.checkpoints import averaged_weights, latest_checkpoint
from core.pretrain import train
from core.pretraining.config import PretrainConfig
from core.profiling.timing import machine
from core.training.files.folder import read_metrics

LARGEST = 60 * 2**20  # bytes of all that the phases leave
LOGS = 2 * 2**20  # of them kept free for figures
PRETRAINING = 0.45  # share of the time for the fractals, where CIFAR-10 follows
COLUMNS = ("run", "epochs", "of planned", "steps", "images/s", "seconds", "top-1", "loss")


def photos(task: Task, record: Record) -> None:
    """One training on photographs."""
    record.machine = machine(task.device)
    trained(task, record, "run", recipes.photos(task))


def cifar10_300(task: Task, record: Record) -> None:
    """Mixer-nano on CIFAR-10 from random weights."""
    record.machine = machine(task.device)
    trained(task, record, "run", recipes.cifar10(task))


def cifar10_fractals(task: Task, record: Record) -> None:
    """Mixer-nano on fractals, and from there on CIFAR-10."""
    record.machine = machine(task.device)
    first = task.within(PRETRAINING * task.left)
    weights = trained(first, record, "pretraining", recipes.fractals(task))
    if weights is not None:
        trained(task, record, "run", recipes.cifar10(task, weights=str(weights)))


def trained(task: Task, record: Record, name: str, config: PretrainConfig) -> Path | None:
    """Plan, train, and leave a small run's folder; its checkpoint, or None for want of time.

    A run that is told to stop (SIGTERM, when its time is over) leaves what it has, and ends the
    phase as the signal wants it.
    """
    folder = task.out / task.phase / name
    config, plan = planned(task, config)
    record.add(**{f"{name}_plan": asdict(plan)})
    if plan.seconds > task.left:
        record.skip(f"{name}: one step would take {plan.seconds:.0f} s, {task.left:.0f} were left")
        return None
    config = replace(config, run=replace(config.run, folder=str(folder)))
    torch._dynamo.reset()
    try:
        train(config, keep_processes=True)
    finally:
        checkpoint = shrink(task.out, folder)
        tell(record, name, folder, config, plan)
    return checkpoint


def tell(record: Record, name: str, folder: Path, config: PretrainConfig, plan: Plan) -> None:
    """Tables `Trainings` and, of its evaluations, `Curve`."""
    rows = read_metrics(folder)
    steps = [row for row in rows if "loss" in row]
    if not steps:
        return
    scored = [row for row in rows if "eval/top1" in row]
    done, rates = [row["step"] for row in steps], [row["images_per_second"] for row in steps]
    epochs = plan.epochs * done[-1] / config.run.steps
    taken_steps = (after - before for before, after in pairwise([0, *done]))  # a save ends a row
    spent = sum(
        config.run.batch_size * n / rate for n, rate in zip(taken_steps, rates, strict=True)
    )
    top1 = scored[-1]["eval/top1"] if scored and scored[-1]["step"] == done[-1] else None
    cells = (epochs, plan.planned_epochs, done[-1], statistics.median(rates), spent, top1)
    record.row("Trainings", COLUMNS, (name, *cells, steps[-1]["loss"]))
    for row in scored:
        record.row("Curve", ("run", "step", "top-1"), (name, row["step"], row["eval/top1"]))


def shrink(out: Path, folder: Path) -> Path | None:
    """Leave of a run's checkpoints the last one's weights, in half precision, if there is room: of
    a run with a moving average the averages.

    The links go too: a copy might follow them.
    """
    checkpoint = latest_checkpoint(folder)
    for path in folder.glob("checkpoints/*"):
        if path.is_symlink():
            path.unlink()
        elif path != checkpoint:
            shutil.rmtree(path)
    if checkpoint is None:
        return None
    shutil.rmtree(checkpoint / "training_state", ignore_errors=True)
    kept = averaged_weights(checkpoint)  # what readers of a checkpoint take
    halved = {name: value.half() for name, value in load_file(kept).items()}
    for path in checkpoint.glob("*.safetensors"):
        path.unlink()
    size = sum(value.numel() * 2 for value in halved.values())
    if size + taken(out) <= LARGEST - LOGS:
        save_file(halved, kept)
    else:
        print(f"no room for the weights of {folder}: {size / 2**20:.0f} MiB", flush=True)
    return checkpoint


def taken(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
