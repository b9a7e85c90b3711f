"""Whether drawing images keeps up with training on them: core/pretrain.py's loop on fractals.

python benchmarks/pretrain_step.py [--model mixer_c128_l4_p4] [--size 32] [--points 2000] ...

In turns, in one run: the loader alone (one process), training alone (batches from memory), and both
with `--workers` loader processes. A training process needs training rate / loader rate cores for
its images, so that it never waits; `waiting` is what the run itself records of the third. The
search for the classes' systems, once a run, is left out.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Iterator

import core  # noqa: F401 - before torch, so that OpenMP's threads sleep while they wait

# isort: split
import torch

from core.data.augment import AugmentConfig, train_transform
from core.data.fractals import FractalImages, FractalsConfig
from core.data.loading import TrainLoader
from core.models.classifier import create_classifier
from core.training.files.folder import read_metrics
from core.training.losses import softmax_loss
from core.training.optim import OptimConfig, create_optimizer
from core.training.run import Run, RunConfig

PREFETCH = 2  # batches that each loader process of PyTorch prepares in advance


class Running:
    """A loader whose processes stay between rounds, or the same batches from memory."""

    def __init__(self, batches: Iterator[dict], spare: int):
        self.source, self.spare = batches, spare

    def batches(self, start: int = 0) -> Iterator[dict]:
        for _ in range(self.spare):  # prepared while others were measured
            next(self.source)
        while True:  # `yield from` would end the source with the round
            yield next(self.source)


class Training:
    """The loop of core/pretrain.py, for some steps at a time."""

    def __init__(self, options: argparse.Namespace, images: FractalImages):
        folder = tempfile.mkdtemp()
        steps, batch = options.steps, options.batch
        length = {"steps": steps, "log_every": steps, "batch_size": batch}
        self.config = RunConfig(folder, precision=options.precision, trackers=(), **length)
        self.run = Run(self.config)
        network = create_classifier(options.model, options.size, len(images.classes))
        images.transform = train_transform(
            AugmentConfig(vertical_flip=0.5), (options.size,) * 2, network.backbone.normalization
        )
        optimizer = create_optimizer(OptimConfig(), network)
        self.model, self.optimizer = self.run.prepare(model=network, optimizer=optimizer)

    def measure(self, loader: Running) -> tuple[float, float]:
        """Images a second, and the share of the time that it waited for them."""
        self.run.done = 0
        for batch in self.run.steps(loader):
            loss = softmax_loss(self.model(batch["image"]), batch["label"])
            self.run.backward({"class": loss})
            self.run.step(self.optimizer)
        row = read_metrics(self.run.folder)[-1]
        return row["images_per_second"], row["waiting"]


def loader_rate(loader: Running, steps: int, batch: int) -> float:
    """Images a second of a loader that nobody waits beside."""
    batches = loader.batches()
    next(batches)
    begun = time.perf_counter()
    for _ in range(steps):
        next(batches)
    return steps * batch / (time.perf_counter() - begun)


def rounds(options: argparse.Namespace) -> dict[str, list[float]]:
    """All figures of all rounds but the first, which warms up."""
    config = FractalsConfig(
        options.rule,
        classes=options.classes,
        instances=0,
        size=options.fractal_size,
        points=options.points,
        stamp=options.stamp,
    )
    images = FractalImages(config)
    for label in range(options.classes):  # once a run, not once an image
        images.system(label)
    training = Training(options, images)
    one, many = (running(images, options.batch, workers) for workers in (1, options.workers))
    batches = list(itertools.islice(one.batches(), 4))
    memory = Running(itertools.cycle([training.run.session.to_device(b) for b in batches]), 0)
    rates: dict[str, list[float]] = {"loader": [], "training": [], "both": [], "waiting": []}
    for repeat in range(options.repeats + 1):
        loader = loader_rate(one, options.steps, options.batch)
        alone, _ = training.measure(memory)
        both, waiting = training.measure(many)
        if repeat:
            for values, value in zip(rates.values(), (loader, alone, both, waiting), strict=True):
                values.append(value)
    return rates


def running(images: FractalImages, batch: int, workers: int) -> Running:
    loader = TrainLoader(images, batch, workers=workers)
    return Running(loader.batches(), PREFETCH * workers)


def report(rates: dict[str, list[float]], options: argparse.Namespace) -> None:
    needed = [a / b for a, b in zip(rates["training"], rates["loader"], strict=True)]
    slower = [1 - b / t for b, t in zip(rates["both"], rates["training"], strict=True)]
    size = f"{options.size} pixels, {options.points} points at {options.fractal_size} pixels"
    print(f"{options.model} at {size}; batch {options.batch}, {device()}")
    print("median (range) of the rounds")
    line("images/s of one loader process", rates["loader"], "{:.0f}")
    line("images/s of training from memory", rates["training"], "{:.0f}")
    line(f"images/s of both, {options.workers} loader process(es)", rates["both"], "{:.0f}")
    line("share of the step that waits for data", rates["waiting"], "{:.1%}")
    line("share of training's speed that is lost", slower, "{:.1%}")
    line("cores for data that each training process needs", needed, "{:.2f}")


def device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"{os.cpu_count()} cores"


def line(name: str, values: list[float], form: str) -> None:
    middle, low, high = (form.format(f(values)) for f in (statistics.median, min, max))
    print(f"  {name:50}{middle:>8}  ({low} to {high})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="mixer_c128_l4_p4")
    parser.add_argument("--size", type=int, default=32, help="pixels of training")
    parser.add_argument("--rule", default="sigma")
    parser.add_argument("--stamp", default="point")
    parser.add_argument("--classes", type=int, default=200)
    parser.add_argument("--fractal-size", type=int, default=40, help="pixels that are drawn")
    parser.add_argument("--points", type=int, default=2_000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--precision", default="no", help="no, bf16 or fp16")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--steps", type=int, default=10, help="of a round")
    parser.add_argument("--repeats", type=int, default=5, help="rounds")
    options = parser.parse_args()
    report(rounds(options), options)


if __name__ == "__main__":
    main()
