"""Features of a frozen backbone: one vector for each image, exact on any number of processes."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from core.evaluation.collect import collect
from core.models.classifier import Classifier
from core.training.session import Session

Shuffle = Callable[[Tensor], Tensor]


def pooled_features(
    session: Session,
    backbone: nn.Module,
    dataset: Dataset,
    batch_size: int,
    workers: int = 0,
    shuffle: Shuffle | None = None,
    skip_bad: int = 0,
) -> tuple[Tensor, Tensor]:
    """(features (N, C) float32, labels (N,) int64) on the CPU of every process, in dataset order.

    A feature is the mean over the tokens after the last norm: for a Mixer what the official code
    calls `pre_logits`. Items of `dataset` are {"image": (3, H, W), "label": int}; `shuffle` maps
    the batch of images (B, 3, H, W) that the network is given. The precision is the session's; the
    mean is taken in float32. `batch_size` is per process. Moves the backbone to the session's
    device and into evaluation mode. Images that cannot be read, at most `skip_bad`, are left out.
    """
    backbone.to(session.device).eval()

    def predict(batch: dict) -> dict[str, Tensor]:
        images = batch["image"] if shuffle is None else shuffle(batch["image"])
        features = backbone(images).float().mean(1)  # of (B, S, C)
        return {"features": features, "label": batch["label"]}

    with session.in_precision(backbone):
        outputs = collect(session, dataset, predict, batch_size, workers, skip_bad)
    return outputs["features"], outputs["label"]


def head_features(
    session: Session,
    classifier: Classifier,
    dataset: Dataset,
    batch_size: int,
    workers: int = 0,
    skip_bad: int = 0,
    mirrored: bool = False,
) -> tuple[Tensor, Tensor]:
    """(features (N, V, C) float32, labels (N,) int64): what the head sees of each image.

    That is `pooled_features` but for backbones with a pooling of their own. V is 1, or 2 with
    `mirrored`: the image, then its mirror image. The rest is as in `pooled_features`.
    """
    classifier.to(session.device).eval()

    def predict(batch: dict) -> dict[str, Tensor]:
        images = batch["image"]  # (B, 3, H, W)
        views = [images, images.flip(-1)] if mirrored else [images]
        with session.accelerator.autocast():  # `features` is no call of a module
            features = [classifier.features(view).float() for view in views]
        features = torch.stack(features, 1)
        return {"features": features, "label": batch["label"]}

    outputs = collect(session, dataset, predict, batch_size, workers, skip_bad)
    return outputs["features"], outputs["label"]


def agreement(reference: Tensor, features: Tensor) -> Tensor:
    """(N,) cosines of features (N, C) with those of the same N images in `reference` (N, C).

    Both less the mean of `reference` over the images, which says nothing about an image and would
    bring any cosine near 1.
    """
    mean = reference.double().mean(0)  # (C,)
    return F.cosine_similarity(reference - mean, features - mean, dim=1)
