"""Trainings on images of noise, by which what a run did in two ways is compared."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from core.models.classifier import Classifier
from core.training.optim import OptimConfig, create_optimizer
from core.training.run import Run

SAMPLES, CLASSES = 44, 10


class Noise(Dataset):
    """Images of noise with random shifts, whose order and randomness a resumed run must repeat."""

    def __init__(self, size: int):
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randn(SAMPLES, 3, size, size, generator=generator)

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> dict[str, Tensor | int]:
        return {"image": self.images[index] + 0.1 * torch.randn(1), "label": index % CLASSES}


def train_on_noise(
    run: Run,
    network: Classifier,
    optim: OptimConfig,
    workers: int = 0,
    after_step: Callable[[int], None] = lambda done: None,
) -> None:
    """The whole run, at the network's own size; after_step(steps done) comes after saving."""
    loader = run.loader(Noise(network.backbone.image_size[0]), workers=workers)
    optimizer = create_optimizer(optim, network)
    model, optimizer = run.prepare(model=network, optimizer=optimizer)
    for batch in run.steps(loader):
        loss = F.cross_entropy(model(batch["image"]).float(), batch["label"], reduction="none")
        run.backward({"class": loss})
        run.step(optimizer)
        if run.due("save"):
            run.save()
        after_step(run.done)
    run.finish()
