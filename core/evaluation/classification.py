"""Accuracy of a classifier: top-1, top-5, ReaL, and of each class; exact on any processes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from core.data.images.labelled import ImagesConfig, LabelledImages
from core.data.sources import open_images
from core.data.transforms import eval_transform
from core.errors import DIVERGED, InputError
from core.evaluation.collect import collect
from core.evaluation.common import BackboneConfig, EvalConfig
from core.evaluation.real_labels import read_real_labels, real_accuracy
from core.files import write_json
from core.models.classifier import Classifier, create_classifier, load_classifier
from core.models.timm_weights import is_timm, timm_name
from core.training.session import Session

SYNSET = re.compile(r"n\d{8}")
HARDEST = 5  # classes named in the printed table


@dataclass(frozen=True)
class Config:
    """Top-1, top-5 and ReaL accuracy of a classifier on labelled images."""

    RENAMED: ClassVar[dict[str, str]] = {"batch_size": "eval.batch_size", "workers": "data.workers"}

    model: BackboneConfig = BackboneConfig()
    data: ImagesConfig = ImagesConfig()
    eval: EvalConfig = EvalConfig()
    # squash, short-side, direct, timm or timm:<model>; see core/data/transforms.py
    protocol: str = "squash"
    # average over all pixels where an image shrinks; the official TensorFlow code does not
    antialias: bool = True
    # ReaL's real.json, or "timm" for the copy that timm ships; empty: no ReaL accuracy
    real_labels: str = ""
    # folder for classification.json
    out: str = "results"


def run(config: Config, session: Session) -> dict:
    """Print a table and write classification.json."""
    real_labels = read_real_labels(config.real_labels) if config.real_labels else None
    classifier = open_classifier(config.model)
    backbone, protocol = classifier.backbone, named_protocol(config.protocol, config.model)
    transform = eval_transform(
        protocol, backbone.image_size, backbone.normalization, config.antialias
    )
    dataset = open_images(config.data.root, config.data.split, transform, config.data.limit("data"))
    options = {"workers": config.data.workers, "skip_bad": config.data.skip_bad}
    result = evaluate_classifier(
        session, classifier, dataset, config.eval.batch_size, real_labels=real_labels, **options
    )
    record = {"config": config, "image_size": backbone.image_size, **result}
    session.print(f"{config.model.label} on {dataset.source}, {protocol}")
    session.print("\n".join(_summary(result)))
    if session.is_main:
        write_json(Path(config.out) / "classification.json", record)
    return record


def evaluate_classifier(
    session: Session,
    classifier: Classifier,
    dataset: LabelledImages,
    batch_size: int = 64,
    workers: int = 0,
    skip_bad: int = 0,
    real_labels: Sequence[Sequence[int]] | None = None,
) -> dict:
    """{"images", "unreadable", "top1", "top5", "per_class", "real"} on every process.

    Accuracies are fractions of the images that can be read (`skip_bad` allows for others);
    `per_class` maps names to them. "top5" is there for more than 5 classes, "real" with
    `real_labels`: {"top1", "scored", "empty"}. Raises InputError where the classes of classifier
    and data differ (`matched_classes`), and for logits that are not finite.
    """
    dataset = matched_classes(dataset, classifier)
    predictions = top_predictions(session, classifier, dataset, batch_size, workers, skip_bad)
    right = predictions["top"] == predictions["label"][:, None]  # (N, k)
    count = len(right)
    result = {"images": count, "unreadable": len(dataset) - count}
    result["top1"] = float(right[:, 0].double().mean())
    if classifier.num_classes > 5:
        result["top5"] = float(right.any(1).double().mean())
    result["per_class"] = _per_class(right[:, 0], predictions["label"], dataset.classes)
    if real_labels is not None:
        names = [dataset.names[i] for i in predictions["index"].tolist()]
        result["real"] = real_accuracy(predictions["top"][:, 0].tolist(), names, real_labels)
    return result


def top_predictions(
    session: Session,
    classifier: nn.Module,
    dataset: LabelledImages,
    batch_size: int,
    workers: int = 0,
    skip_bad: int = 0,
    k: int = 5,
) -> dict[str, Tensor]:
    """{"index": (N,), "label": (N,), "top": (N, k)} of the readable images, in their order.

    On the CPU of every process, the same for any number of them. `top` are the classes of the k
    largest logits (fewer where there are fewer classes), `batch_size` is per process. Moves the
    network to the session's device and into evaluation mode.
    """
    classifier.to(session.device).eval()

    def predict(batch: dict) -> dict[str, Tensor]:
        logits = classifier(batch["image"]).float()  # (B, K)
        top = logits.topk(min(k, logits.shape[1])).indices  # (B, k)
        return {"top": top, "label": batch["label"], "finite": logits.isfinite().all(1)}

    with session.in_precision(classifier):
        predictions = collect(session, dataset, predict, batch_size, workers, skip_bad)
    if not predictions.pop("finite").all():
        raise InputError(f"the classifier gives logits that are not finite, {DIVERGED}")
    return predictions


def matched_classes(dataset: LabelledImages, classifier: Classifier) -> LabelledImages:
    """The data set with the classifier's class indices.

    Classes are matched by name where the classifier has names; a head of 1,000 classes and folders
    named by synsets are ImageNet's. Else their number must be the same. One class too few would
    shift the indices of all that follow, so every difference is an InputError.
    """
    names = classifier.classes
    # Official heads carry no names, but their order is known where the folders are synsets.
    if names is None and classifier.num_classes == 1000:
        names = imagenet_synsets() if all(map(SYNSET.fullmatch, dataset.classes)) else None
    if names is None:
        _check_unnamed(dataset, classifier.num_classes)
        return dataset
    if dataset.classes == names:
        return dataset
    missing = [name for name in names if name not in set(dataset.classes)]
    unknown = [name for name in dataset.classes if name not in set(names)]
    if missing or unknown:
        raise InputError(_differing_classes(dataset, names, missing, unknown))
    return dataset.relabelled(names)


def _check_unnamed(dataset: LabelledImages, expected: int) -> None:
    names = dataset.classes
    if len(names) != expected:
        raise InputError(
            f"{dataset} has {len(names)} classes, the classifier {expected}: its classes have no "
            "names, so nothing can be matched"
        )
    if all(name.isdigit() for name in names) and names != sorted(names, key=int):
        raise InputError(
            f"{dataset}: its classes are numbers, sorted as words ({', '.join(names[:3])}, ...), "
            "and the classifier's have no names: pad them with zeros (000, 001, ...)"
        )


def _differing_classes(dataset: LabelledImages, names: list, missing: list, unknown: list) -> str:
    words = f"{dataset} has {len(names) - len(missing)} of the classifier's {len(names)} classes"
    for what, classes in (("missing", missing), ("unknown to it", unknown)):
        more = ", ..." if len(classes) > HARDEST else ""
        words += f"; {len(classes)} {what}: {', '.join(classes[:HARDEST])}{more}" if classes else ""
    return f"{words}. Their indices would shift: complete the folders, or take the fitting model"


def imagenet_synsets() -> list[str]:
    """The 1,000 synsets (n01440764, ...) in the order of ImageNet's class indices, from timm."""
    from timm.data import ImageNetInfo

    return ImageNetInfo("imagenet1k").label_names()


def open_classifier(config: BackboneConfig) -> Classifier:
    """The classifier of a configuration, with the head that its weights hold."""
    if not config.weights:
        raise InputError("no weights given: accuracy needs a trained head, set --model.weights")
    if not config.backbone:
        return load_classifier(config.weights, config.image_size or None)
    return create_classifier(config.backbone, config.image_size or 224, weights=config.weights)


def named_protocol(protocol: str, model: BackboneConfig) -> str:
    """The protocol for `eval_transform`: "timm" becomes the one of the model that is evaluated."""
    if protocol != "timm":
        return protocol
    if not model.backbone:
        raise InputError("protocol timm needs a model's name: set --protocol timm:<model>")
    return timm_name(model.backbone, model.weights if is_timm(model.weights) else "timm")


def _per_class(right: Tensor, labels: Tensor, classes: Sequence[str]) -> dict[str, float]:
    """Accuracy of each class that has images."""
    counts = torch.bincount(labels, minlength=len(classes)).tolist()
    hits = torch.bincount(labels[right], minlength=len(classes)).tolist()
    return {name: h / n for name, h, n in zip(classes, hits, counts, strict=True) if n}


def _summary(result: dict) -> list[str]:
    left_out = f", {result['unreadable']} unreadable" if result["unreadable"] else ""
    rows = [f"  images  {result['images']}{left_out}", f"  top-1   {100 * result['top1']:.2f}%"]
    if "top5" in result:
        rows.append(f"  top-5   {100 * result['top5']:.2f}%")
    if real := result.get("real"):
        rows.append(
            f"  ReaL    {100 * real['top1']:.2f}%  ({real['scored']} scored, {real['empty']} have "
            "no label)"
        )
    hardest = sorted(result["per_class"].items(), key=lambda item: item[1])[:HARDEST]
    rows.append("  lowest  " + ", ".join(f"{name} {100 * value:.1f}%" for name, value in hardest))
    return rows
