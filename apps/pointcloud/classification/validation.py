"""How many clouds are named rightly."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from apps.pointcloud.classification.data import LabelledClouds
from core.evaluation.collect import collect
from core.evaluation.confusion import balanced_accuracy, confusion_matrix
from core.training.session import Session


def predict_labels(
    session: Session, network: nn.Module, clouds: LabelledClouds, batch_size: int, **options: int
) -> tuple[Tensor, Tensor]:
    """Scores (N, classes) and labels (N,) of all clouds; all processes call it."""

    def predict(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"scores": network(batch["points"]).float(), "label": batch["label"]}

    found = collect(session, clouds, predict, batch_size, **options)
    return found["scores"], found["label"]


def class_metrics(scores: Tensor, labels: Tensor) -> dict[str, float]:
    """{"top1", "balanced_accuracy"}, fractions: of all clouds, and the mean over the classes."""
    confusion = confusion_matrix(scores.numpy(), labels.numpy())
    return {
        "top1": float(confusion.trace() / confusion.sum()),
        "balanced_accuracy": balanced_accuracy(confusion),
    }


def metric_names() -> list[str]:
    """What `class_metrics` has."""
    return list(class_metrics(torch.eye(2), torch.arange(2)))
