"""A small app for the tests of the training loop: noisy data, dropout, a masked loss, one script.

python tests/core/toy.py --run.folder F [--run.… ] [--samples N]
"""

import os
import sys
from dataclasses import dataclass, field, replace

import torch
from torch import nn
from torch.utils.data import Dataset

from core.config import cli, entry_point
from core.data.loading import BadSample
from core.training.optim import OptimConfig, create_optimizer
from core.training.run import Run, RunConfig


@dataclass(frozen=True)
class ToyConfig:
    run: RunConfig = field(
        default_factory=lambda: RunConfig(
            steps=20, batch_size=8, log_every=1, eval_every=0, save_every=5, trackers=()
        )
    )
    optim: OptimConfig = OptimConfig(lr=1e-2)
    samples: int = 44
    workers: int = 0
    masked: bool = True
    bad: tuple[int, ...] = ()
    skip_bad: int = 0
    nan_at: int = -1  # the sample whose target is not a number
    kill_at: int = -1  # kill -9 this process after this step
    term_at: int = -1  # send SIGTERM to this process after this step
    width: int = 16
    dropout: float = 0.1
    frozen: bool = False  # freeze the first layer
    pair: bool = False  # prepare a second trained network


class ToyData(Dataset):
    """Samples with random augmentation from all three global generators."""

    def __init__(self, config: ToyConfig):
        self.config = config

    def __len__(self):
        return self.config.samples

    def __getitem__(self, i):
        import random

        import numpy as np

        if i in self.config.bad:
            raise BadSample(f"sample-{i}.jpg", "truncated")
        x = torch.sin(torch.arange(6.0) * (i + 1)) + torch.randn(6) * 0.1
        x = x + random.random() * 0.1 + np.random.rand() * 0.1  # noqa: NPY002 - what mmpose does
        y = x.cumsum(0) * (float("nan") if i == self.config.nan_at else 1.0)
        return {"x": x, "y": y, "valid": (torch.arange(6) <= i % 6).float(), "index": i}


class ToyNet(nn.Module):
    def __init__(self, width=16, dropout=0.1):
        super().__init__()
        self.first = nn.Linear(6, width)
        self.norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)
        self.last = nn.Linear(width, 6)

    def forward(self, x):
        return self.last(self.drop(torch.tanh(self.norm(self.first(x)))))

    def describe(self):
        return {"backbone": {"name": "toy"}}


def toy_losses(output, batch, masked):
    error = (output - batch["y"]) ** 2
    if masked:
        return {"error": (error * batch["valid"]).sum(1)}, batch["valid"].sum(1)
    return {"error": error.mean(1)}, None


def train(config: ToyConfig):
    run = Run(config.run, config)
    loader = run.loader(ToyData(config), workers=config.workers, skip_bad=config.skip_bad)
    net = ToyNet(config.width, config.dropout)
    net.first.requires_grad_(not config.frozen)
    parts = {"model": net, "optimizer": create_optimizer(config.optim, net)}
    if config.pair:
        parts["critic"] = ToyNet()
    model, optimizer, *_ = run.prepare(**parts)
    for batch in run.steps(loader):
        losses, valid = toy_losses(model(batch["x"]), batch, config.masked)
        run.backward(losses, valid)
        run.step(optimizer)
        if run.due("eval"):
            with run.evaluating() as network:
                run.log({"weight": float(network.last.weight.abs().mean())})
        if run.due("save"):
            run.save()
        if run.done == config.kill_at:
            os.kill(os.getpid(), 9)
        if run.done == config.term_at:
            os.kill(os.getpid(), 15)
    run.finish()
    return run


@entry_point
def main():
    train(cli({"toy": ToyConfig}))


if __name__ == "__main__":
    sys.exit(main())


def toy_config(folder, **changes):
    """A ToyConfig; names of RunConfig's fields go there."""
    fields = RunConfig.__dataclass_fields__
    run = {k: v for k, v in changes.items() if k in fields}
    rest = {k: v for k, v in changes.items() if k not in fields}
    base = ToyConfig()
    return replace(base, run=replace(base.run, folder=str(folder), **run), **rest)
