"""Train a classifier: accelerate launch core/pretrain.py [PRESET] [--section.field value].

No words at all: the `demo` preset, a small Mixer on images drawn from formulas. Fine-tuning is the
same with --model.weights: a grid that grows by an integer starts by the paper's exact rule, any
other by interpolation. With --transfer.root a report on real images follows
(core/pretraining/transfer.py).
"""

from __future__ import annotations

from copy import copy
from functools import partial

import core  # noqa: F401 - before torch, so that OpenMP's threads sleep while they wait

# isort: split
import numpy as np
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from core.config import cli, entry_point
from core.data.augment import mix, train_transform
from core.data.sources import open_training, open_validation
from core.data.transforms import Shrunk, eval_transform
from core.evaluation.classification import evaluate_classifier, matched_classes
from core.models.classifier import Classifier
from core.models.network import ClassifierConfig, build_classifier
from core.models.shapes import as_pair
from core.pretraining import transfer
from core.pretraining.config import PretrainConfig
from core.pretraining.presets import PRESETS
from core.training.curves import report_curves
from core.training.losses import LOSSES
from core.training.optim import create_optimizer
from core.training.run import Run
from core.training.session import Session, end_processes


def train(config: PretrainConfig, keep_processes: bool = False) -> Run:
    """Run the whole training that ``config`` describes; keep_processes: more runs follow."""
    run = Run(config.run, config)
    images = open_training(config.train, config.fractals)
    network = build_classifier(config.model, images.classes)
    validation = open_validation(config.val, config.fractals, config.held_out)
    matched_classes(validation, network)  # differences are said before training
    images.transform = train_transform(
        config.augment, load_size(config.model), network.backbone.normalization
    )
    loader = run.loader(images, workers=config.workers, skip_bad=config.train.skip_bad)
    model, optimizer = run.prepare(model=network, optimizer=create_optimizer(config.optim, network))
    sizes = config.model.sizes

    for batch in run.steps(loader):
        pixels = at_random_size(batch["image"], sizes, (config.run.seed, run.done))
        pixels, targets = mix(pixels, batch["label"], len(images.classes), config.augment)
        loss = LOSSES[config.loss](model(pixels), targets, config.augment.label_smoothing)
        run.backward({"class": loss})
        run.step(optimizer)
        if run.due("eval"):
            with run.evaluating() as network:
                run.log(evaluate(run.session, network, config, validation))
        if run.due("save"):
            run.save()

    run.finish(keep_processes)
    return run


def load_size(config: ClassifierConfig) -> tuple[int, int]:
    """(height, width) that images are loaded at: the largest, since steps shrink them."""
    return (
        as_pair("model.sizes", max(config.sizes))
        if config.sizes
        else as_pair("model.image_size", config.image_size)
    )


def at_random_size(images: Tensor, sizes: tuple[int, ...], key: tuple[int, ...]) -> Tensor:
    """(B, 3, H, W) -> (B, 3, s, s), s one of `sizes` by a hash of `key`; no sizes: unchanged."""
    if not sizes:
        return images
    size = sizes[np.random.default_rng(key).integers(len(sizes))]
    return F.interpolate(images, (size, size), mode="bilinear", antialias=True)


def evaluate(
    session: Session, network: Classifier, config: PretrainConfig, images: Dataset
) -> dict[str, float]:
    """top-1 (and top-5) on the validation images; at each of `model.sizes`, if there are any."""
    if not config.model.sizes:
        size = network.backbone.image_size
        return _accuracy(session, network, config, with_transform(images, config, size, network))
    found = {}
    for side in config.model.sizes:
        resized = with_transform(images, config, (side, side), network)
        found[side] = _accuracy(session, network, config, resized)["top1"]
    return {"top1": sum(found.values()) / len(found), **{f"top1@{s}": v for s, v in found.items()}}


def _accuracy(
    session: Session, network: Classifier, config: PretrainConfig, images: Dataset
) -> dict[str, float]:
    options = {"workers": config.workers, "skip_bad": config.val.skip_bad}
    result = evaluate_classifier(session, network, images, config.eval_batch, **options)
    return {name: result[name] for name in ("top1", "top5") if name in result}


def with_transform(
    images: Dataset, config: PretrainConfig, size: tuple[int, int], network: Classifier
) -> Dataset:
    """The same validation images for a network at (height, width).

    With several sizes they are loaded at the largest and shrunk, as in training: pictures sharper
    than those that it saw cost a network 8 points (RESULTS.md, 32 pixels).
    """
    loaded = load_size(config.model) if config.model.sizes else size
    transform = eval_transform(config.protocol, loaded, network.backbone.normalization)
    images = copy(images)
    images.transform = transform if loaded == size else Shrunk(transform, size)
    return images


@entry_point
def main() -> None:
    config = cli(PRESETS)
    transfer.check(config, PRESETS)
    run = train(config, keep_processes=True)
    report_curves(run.session, [run.folder])
    if config.transfer.root:
        recipe = PRESETS[config.transfer.recipe]()
        transfer.report(config, recipe, partial(train, keep_processes=True))
    end_processes()


if __name__ == "__main__":
    main()
