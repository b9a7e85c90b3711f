"""Pretraining without labels: the loop, and what it needs around it.

The step is that of the whole batch, whatever it is shared out to: the characteristic functions of
all processes and micro-batches are added up before the gradients are taken (lejepa.py). With
several micro-batches their embeddings are therefore computed twice: first all of them without
gradients, then each with (as in GradCache, Gao et al. 2021, arXiv 2101.06983).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from core.app.starting import check_start
from core.data.loading import seed_everything
from core.data.samples import with_transform
from core.data.sources import open_unlabelled
from core.data.transforms import check_protocol
from core.data.views import BatchViews, PictureViews, Views, local_size
from core.errors import InputError
from core.pretraining.batches import held_batches
from core.pretraining.sizes import check_growth, load_size, shrunk, step_size
from core.pretraining.unlabelled.collapse import Monitor
from core.pretraining.unlabelled.config import UnlabelledConfig
from core.pretraining.unlabelled.lejepa import Sketch, prediction_losses
from core.pretraining.unlabelled.network import build_network
from core.pretraining.unlabelled.probe import METRICS, Probe
from core.training.optim import create_optimizer
from core.training.run import Run


def train(config: UnlabelledConfig, keep_processes: bool = False) -> Run:
    """Run the whole training that ``config`` describes; keep_processes: more runs follow."""
    check(config)
    run = Run(config.run, config)
    check_sharding(config, run.session.sharding)
    plain, weights = replace(config.model, weights=""), config.model.weights
    projector = config.lejepa.projector
    check_start(lambda: build_network(plain, projector), config.optim, weights=weights)
    check_protocol(config.protocol)
    if config.val.root:
        run.check_best(METRICS)
    pictures = open_unlabelled(config.train, config.fractals)
    network = build_network(config.model, projector)
    probe = Probe(config) if config.val.root else None
    run.session.print(f"{len(pictures):,} pictures: {pictures}")
    loader = view_batches(run, config, pictures, network.backbone)
    sizes = partial(step_size, config.model, config.growth, config.run.seed)
    local = partial(_local_size, config, network.backbone)
    model, optimizer = run.prepare(model=network, optimizer=create_optimizer(config.optim, network))
    monitor = Monitor(run, config.lejepa.projector[-1])

    views = []  # of the micro-batches of an optimizer step
    for batch in run.steps(loader):
        size = sizes(run.step_number, run.total)
        views.append(at_size(batch["image"], {"global": size, "local": local(size)}))
        if len(views) < config.run.accumulate:
            continue
        monitor.begin()
        learn(run, config, model, views, monitor)
        run.step(optimizer)
        monitor.end()
        views = []
        if run.due("eval") and probe:
            with run.evaluating() as network:
                run.log(probe(run.session, network.backbone))
        if run.due("save"):
            run.save()

    run.finish(keep_processes)
    return run


def learn(
    run: Run, config: UnlabelledConfig, model: nn.Module, views: list[Views], monitor: Monitor
) -> None:
    """The gradients of one optimizer step, from all its micro-batches of this process."""
    weight, device = config.lejepa.weight, run.session.device
    sketch = Sketch(config.lejepa, config.run.seed, run.step_number, device)
    known = None
    if len(views) > 1:
        with torch.no_grad():
            waves = (sketch.waves(embed(run, model, views, i)).sum(0) for i in range(len(views)))
            known = mean_waves(run, sum(waves))
    for micro in range(len(views)):
        embeddings = embed(run, model, views, micro)  # (B, V, D)
        waves = sketch.waves(embeddings)
        mean = mean_waves(run, waves.detach().sum(0)) if known is None else known
        sigreg = sketch.sigreg_losses(waves, mean, config.run.batch_size)
        prediction = prediction_losses(embeddings, config.views.global_views)
        run.backward({"prediction": (1 - weight) * prediction, "sigreg": weight * sigreg})
        monitor.add(embeddings[:, : config.views.global_views])


def embed(run: Run, model: nn.Module, views: list[Views], micro: int) -> Tensor:
    """(B, V, D) float32 of one micro-batch, with the same dropout whenever it is asked for."""
    seed_everything(run.config.seed, run.done, micro, run.session.rank)
    return model(views[micro]).float()


def mean_waves(run: Run, sums: Tensor) -> Tensor:
    """The characteristic functions of the whole batch (V, M, 2, K) from this process's sums."""
    return run.session.sum(sums) / run.config.batch_size


def view_batches(run: Run, config: UnlabelledConfig, pictures: Dataset, backbone: Any) -> Any:
    """The loader of a run. Held pictures come at their step's size, others at the largest one."""
    train, size = config.train, load_size(config.model)
    local = partial(_local_size, config, backbone)
    parts = config.views, config.augment
    if not train.on_device:
        sizes = {"global": size, "local": local(size)}
        pictures = with_transform(pictures, PictureViews(*parts, sizes, backbone.normalization))
        return run.loader(pictures, workers=train.workers, skip_bad=train.skip_bad)
    return held_batches(run, config, pictures, BatchViews(*parts, local, backbone.normalization))


def at_size(views: Views, sizes: dict[str, tuple[int, int]]) -> Views:
    """Views shrunk to the sizes of their step; of that size already: unchanged."""
    return {
        name: shrunk(images.flatten(0, 1), sizes[name]).unflatten(0, images.shape[:2])
        for name, images in views.items()
    }


def check(config: UnlabelledConfig) -> None:
    """Raise InputError before anything is opened for settings that cannot be."""
    check_growth(config.model.sizes, config.growth)
    if config.run.batch_size < 2:
        raise InputError("run.batch_size is 1: the pictures of a batch are told apart, take many")
    if config.augment.mixup or config.augment.cutmix:
        raise InputError("augment.mixup and augment.cutmix mix labels: leave them 0 without labels")
    if config.augment.shuffle != "none":
        raise InputError("augment.shuffle is for training with labels: leave it none")


def check_sharding(config: UnlabelledConfig, sharding: str) -> None:
    """Raise InputError for what this loop cannot do with a sharded network."""
    if sharding == "DeepSpeed" and config.run.accumulate > 1:
        raise InputError(
            "DeepSpeed steps inside its backward pass, and this loop takes all of them at the end "
            "of a step: set --run.accumulate 1"
        )
    if sharding and config.val.root:
        raise InputError(f"no probe of a network under {sharding}: leave val.root empty")


def _local_size(config: UnlabelledConfig, backbone: Any, size: tuple[int, int]) -> tuple[int, int]:
    return local_size(config.views, size, backbone.stride, bool(config.model.sizes))
