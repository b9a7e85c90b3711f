"""How many epochs fit into the time: a training of a few steps says how long each takes."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.gpu_phases.recipes import few_fractals
from benchmarks.gpu_phases.task import Task
from core.data.batched.held import hold
from core.data.images.packed import PACKED
from core.data.sources import FRACTALS, open_training
from core.errors import InputError, first_line
from core.pretrain import train
from core.pretraining.config import PretrainConfig
from core.training.files.folder import read_metrics

STEPS, WINDOW = 40, 10  # of the trial, and over which images/s are taken
IMAGES = 2_000  # that it trains on
SPARE = 0.1  # of the time: no two stretches of a training are equally fast
EVALUATIONS = 2  # in a run, the last included


@dataclass(frozen=True)
class Plan:
    """What was planned, measured and made of it."""

    planned_epochs: float
    epochs: float
    steps: int
    compiled: bool
    note: str  # why it is not, if it was to be
    seconds: float  # that the run should take
    fixed_seconds: float  # of them for the network, its compilation and the evaluations
    holding_seconds: float  # for the images
    images_per_second: float


def planned(task: Task, config: PretrainConfig) -> tuple[PretrainConfig, Plan]:
    """The configuration with as many of its epochs as the time that is left has room for."""
    images = len(open_training(config.train, config.fractals))
    with tempfile.TemporaryDirectory() as folder:
        trial = few_images(task, config, Path(folder))
        compiled, note, (rate, fixed) = tried(trial)
        holding = holding_seconds(trial) * images
    room = max(0.0, task.left * (1 - SPARE) - fixed - holding)
    wanted, batch = config.run.epochs, config.run.batch_size
    epochs = min(wanted, room * rate / images)
    steps = max(1, round(epochs * images / batch))
    seconds = fixed + holding + steps * batch / rate
    length = {"epochs": 0.0, "steps": steps, "eval_every": -(-steps // EVALUATIONS)}
    made = Plan(wanted, epochs, steps, compiled, note, seconds, fixed, holding, rate)
    return replace(config, run=replace(config.run, compile=compiled, **length)), made


def tried(trial: PretrainConfig) -> tuple[bool, str, tuple[float, float]]:
    """Whether it is compiled, why not where it was to be, and what was `measured`."""
    try:
        return trial.run.compile, "", measured(trial)
    except Exception as error:  # where no compiler is installed, for example
        if isinstance(error, InputError) or not trial.run.compile:
            raise
        note = first_line(error)
    return False, note, measured(replace(trial, run=replace(trial.run, compile=False)))


def measured(trial: PretrainConfig) -> tuple[float, float]:
    """Images/s, and the seconds that a run needs for all but steps: evaluations, what it builds.

    A network that is compiled is so once before: the run will find it in the compiler's cache, too.
    """
    if trial.run.compile:
        _train(replace(trial, run=replace(trial.run, steps=EVALUATIONS, eval_every=1)))
    seconds, rows = _train(trial)
    windows = rows[1:] or rows  # the first is slower
    rate = len(windows) / sum(1 / row["images_per_second"] for row in windows)
    return rate, max(0.0, seconds - trial.run.steps * trial.run.batch_size / rate)


def _train(config: PretrainConfig) -> tuple[float, list[dict]]:
    """Seconds of a training whose folder is not kept, and its losses and rates."""
    torch._dynamo.reset()  # what other networks of this process had compiled
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        train(replace(config, run=replace(config.run, folder=f"{folder}/run")), keep_processes=True)
        rows = [row for row in read_metrics(Path(folder, "run")) if "loss" in row]
        return time.monotonic() - begun, rows


def few_images(task: Task, config: PretrainConfig, folder: Path) -> PretrainConfig:
    """A trial of STEPS steps on the first IMAGES, packed into `folder`; it evaluates as often as
    the run will."""
    steps = 2 if task.smallest else STEPS
    run = replace(config.run, epochs=0.0, steps=steps, log_every=1 if task.smallest else WINDOW)
    trial = replace(config, run=replace(run, eval_every=-(-steps // EVALUATIONS)))
    if config.train.root == FRACTALS:
        return few_fractals(trial, max(1, IMAGES // config.fractals.classes))
    path = folder / "trial.npz"
    pack_first(Path(config.train.root, "train.npz"), path, IMAGES)
    return replace(trial, train=replace(trial.train, root=str(path)))


def pack_first(source: Path, path: Path, count: int) -> None:
    """The first images of a packed file as a packed file."""
    with np.load(source, allow_pickle=False) as file:
        blob, offsets, labels, names = (file[name] for name in PACKED)
    labels = labels[:count]
    offsets = offsets[: len(labels) + 1]
    np.savez(path, blob=blob[: offsets[-1]], offsets=offsets, labels=labels, names=names)


def holding_seconds(trial: PretrainConfig) -> float:
    """To decode or draw one image, by as many threads as there are cores."""
    images = open_training(trial.train, trial.fractals)
    begun = time.monotonic()
    hold(images, trial.train.on_device, "cpu")
    return (time.monotonic() - begun) / len(images)
