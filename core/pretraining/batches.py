"""Training batches of labelled images: read and augmented one by one, or held on the device."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch.utils.data import Dataset

from core.data.augment import train_transform
from core.data.batched.held import hold
from core.data.batched.transform import BatchTransform
from core.data.samples import with_transform
from core.data.sources import FRACTALS
from core.errors import InputError
from core.pretraining.config import PretrainConfig
from core.pretraining.sizes import check_growth, load_size, step_size
from core.training.run import Run


def training_batches(run: Run, config: PretrainConfig, images: Dataset, normalization) -> Any:
    """The loader of a run. Held images come at their step's size, others at the largest one."""
    check_growth(config.model.sizes, config.growth)
    train, size = config.train, load_size(config.model)
    if not train.on_device:
        images = with_transform(images, train_transform(config.augment, size, normalization))
        return run.loader(images, workers=train.workers, skip_bad=train.skip_bad)
    return held_batches(run, config, images, BatchTransform(config.augment, normalization))


def held_batches(run: Run, config: Any, images: Dataset, transform: BatchTransform) -> Any:
    """The loader of a run over images that are held on its device, at the size of each step.

    config: with the sections train, fractals, model, growth and run.
    """
    train = config.train
    if train.root == FRACTALS and not config.fractals.instances:
        raise InputError(
            "train.on_device holds a finite set, but fractals.instances 0 draws without an end: "
            "give a number of instances"
        )
    on_bad = run.note_bad if run.session.is_main else None  # every process decodes all of them
    held = hold(images, train.on_device, run.session.device, train.skip_bad, on_bad)
    return run.loader(with_transform(held, transform), size_of=partial(_size_of, run, config))


def _size_of(run: Run, config: Any, micro: int) -> tuple[int, int]:
    """(H, W) of a micro-batch of the run, which knows its length once one is asked for."""
    step = micro // config.run.accumulate + 1
    return step_size(config.model, config.growth, config.run.seed, step, run.total)
