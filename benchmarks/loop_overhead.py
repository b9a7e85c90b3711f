"""What the training loop costs over the same model in a bare PyTorch loop, in one run.

python benchmarks/loop_overhead.py [--steps 30] [--repeats 7] [--ema 0.999]

Both loops take the same batches from memory (32 images of 128x128, Mixer with C 128, 6 blocks), the
same loss, optimizer, clipping and learning rate. They alternate; the ratio is taken pair by pair.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time

import core  # noqa: F401 - before torch, so that OpenMP's threads sleep while they wait

# isort: split
import torch
from torch import nn
from torch.nn import functional as F

from core import create_backbone
from core.training.optim import OptimConfig, create_optimizer, lr_factor, move_average
from core.training.run import Run, RunConfig


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = create_backbone("mixer_c128_l6_p16", (128, 128))
        self.head = nn.Linear(128, 10)

    def forward(self, images):
        return self.head(self.backbone(images).mean(1))


class Memory:
    """A loader whose batches cost nothing: both loops pay for the network alone."""

    def __init__(self, device):
        images = torch.randn(4, 32, 3, 128, 128, device=device)
        labels = torch.randint(0, 10, (4, 32), device=device)
        self.content = list(zip(images, labels, strict=True))

    def batches(self, start=0):
        return (batch for batch in itertools.islice(itertools.cycle(self.content), start, None))


def bare(network, optimizer, average, steps, config, data):
    batches = data.batches()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * lr_factor(config.schedule, step, steps)
        images, labels = next(batches)
        loss = F.cross_entropy(network(images), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), config.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if average is not None:
            move_average(average, network, config.ema, step)


def ours(run, model, optimizer, data):
    for images, labels in run.steps(data):
        run.backward({"loss": F.cross_entropy(model(images), labels, reduction="none")})
        run.step(optimizer)


def timed(work) -> tuple[float, float]:
    """Seconds on the clock, and of processor time, which other jobs of the machine disturb less."""
    begun, used = time.perf_counter(), time.process_time()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begun, time.process_time() - used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--ema", type=float, default=0.0)
    options = parser.parse_args()
    folder = tempfile.mkdtemp()
    config = RunConfig(folder, steps=options.steps, batch_size=32, ema=options.ema, trackers=())
    run = Run(config)
    data = Memory(run.session.device)
    torch.manual_seed(0)
    network = Classifier()
    model, optimizer = run.prepare(
        model=network, optimizer=create_optimizer(OptimConfig(), network)
    )
    plain = Classifier().to(run.session.device)
    plain_optimizer = create_optimizer(OptimConfig(), plain)
    average = Classifier().to(run.session.device).requires_grad_(False) if options.ema else None
    ratios = []
    for repeat in range(options.repeats + 1):
        run.done = 0
        a = timed(lambda: ours(run, model, optimizer, data))
        b = timed(lambda: bare(plain, plain_optimizer, average, options.steps, config, data))
        if repeat:  # the first pair warms up
            ratios.append([x / y for x, y in zip(a, b, strict=True)])
    for name, values in zip(("clock", "processor"), zip(*ratios, strict=True), strict=True):
        middle, low, high = statistics.median(values), min(values), max(values)
        print(f"ours / bare, {name} time: median {middle:.4f}  ({low:.4f} to {high:.4f})")


if __name__ == "__main__":
    main()
