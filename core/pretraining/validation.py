"""Validation images, and top-1 while a classifier trains, prepared as training sees its sizes."""

from __future__ import annotations

from torch.utils.data import Dataset

from core.data.images.labelled import LabelledImages
from core.data.samples import tuning_split, with_transform
from core.data.shuffle import ShuffledTransform, training_shuffle
from core.data.sources import held_apart, open_training, open_unlabelled, open_validation
from core.data.transforms import Shrunk, eval_transform
from core.errors import InputError
from core.evaluation.classification import evaluate_classifier
from core.models.classifier import Classifier
from core.pretraining.config import PretrainConfig
from core.pretraining.sizes import load_size
from core.training.session import Session


def open_trained(config: PretrainConfig) -> Dataset:
    """The images that it trains on; where a teacher alone is learnt from, without labels."""
    opened = open_unlabelled if config.distill.alone else open_training
    return opened(config.train, config.fractals)


def open_sides(config: PretrainConfig, images: Dataset) -> tuple[Dataset, Dataset]:
    """The training and the validation images, without one in common, of opened training images.

    Whose settings name one split for both means one. With `tune_share` both are of those that
    were opened. Raises InputError where these have no index then.
    """
    if config.tune_share:
        if not isinstance(images, LabelledImages):
            raise InputError(f"tune_share is of images by index, and {images} has none")
        return tuple(map(images.at, tuning_split(images.labels, config.tune_share)))
    validation = open_validation(config.val, config.fractals, config.held_out)
    if config.train.split == config.val.split:
        return images, validation
    return held_apart(images, validation, config.val_share)


def evaluate(
    session: Session, network: Classifier, config: PretrainConfig, images: Dataset
) -> dict[str, float]:
    """top-1 (and top-5) on the validation images; at each of `model.sizes`, if there are any.

    top1 is then the mean over the sizes. All processes call it.
    """
    if not config.model.sizes:
        size = network.backbone.image_size
        return _accuracy(session, network, config, at_size(images, config, size, network))
    top1 = {}
    for side in config.model.sizes:
        resized = at_size(images, config, (side, side), network)
        top1[side] = _accuracy(session, network, config, resized)["top1"]
    return {"top1": sum(top1.values()) / len(top1), **{f"top1@{s}": v for s, v in top1.items()}}


def metric_names(config: PretrainConfig) -> list[str]:
    """What `evaluate` has; top5 where there are more classes than that."""
    sides = [f"top1@{side}" for side in config.model.sizes]
    return ["top1", *(sides or ["top5"])]


def _accuracy(
    session: Session, network: Classifier, config: PretrainConfig, images: Dataset
) -> dict[str, float]:
    options = {"workers": config.val.workers, "skip_bad": config.val.skip_bad}
    result = evaluate_classifier(session, network, images, config.eval.batch_size, **options)
    return {name: result[name] for name in ("top1", "top5") if name in result}


def at_size(
    images: Dataset, config: PretrainConfig, size: tuple[int, int], network: Classifier
) -> Dataset:
    """The same validation images for a network at (height, width).

    With several sizes they are loaded at the largest and shrunk, as in training: pictures sharper
    than those that it saw cost a network 8 points (RESULTS.md, 32 pixels). Where training holds its
    images on the device it meets each at the step's own size, and so does validation.
    """
    several = config.model.sizes and not config.train.on_device
    loaded = load_size(config.model) if several else size
    transform = eval_transform(config.protocol, loaded, network.backbone.normalization)
    transform = transform if loaded == size else Shrunk(transform, size)
    if config.augment.shuffle != "none":
        shuffle = training_shuffle(config.augment, network.backbone.stride, [size])
        transform = ShuffledTransform(transform, shuffle)
    return with_transform(images, transform)
