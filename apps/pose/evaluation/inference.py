"""People of a data set through a network: keypoints in the image, from all processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from apps.pose.config import EvalConfig, ModelConfig
from apps.pose.data.codec import Decoder
from apps.pose.data.dataset import PoseDataset
from apps.pose.data.keypoints import KeypointSet
from core.evaluation.collect import collect
from core.training.session import Session


@dataclass(frozen=True)
class People:
    """N predicted people, in the order of the data set; points in pixels of their image."""

    keypoints: np.ndarray  # (N, K, 2)
    scores: np.ndarray  # (N, K)
    image_id: np.ndarray  # (N,)
    annotation: np.ndarray  # (N,) id of the annotated person, -1 for a detection box
    box_score: np.ndarray  # (N,)
    center: np.ndarray  # (N, 2) of the crop
    scale: np.ndarray  # (N, 2) width and height of the crop


def predictor(
    network: nn.Module, model: ModelConfig, keypoints: KeypointSet, flip_test: bool
) -> Callable[[dict], tuple[np.ndarray, np.ndarray]]:
    """batch with image, center, scale -> keypoints (B, K, 2) in image pixels, scores (B, K)."""
    decoder = Decoder(model, keypoints.swap)

    @torch.no_grad()
    def predict(batch: dict) -> tuple[np.ndarray, np.ndarray]:
        outputs = network(batch["image"])
        if flip_test:
            outputs = decoder.average(outputs, network(batch["image"].flip(3)))
        return decoder(outputs, batch["center"], batch["scale"])

    return predict


def predict_people(
    session: Session,
    network: nn.Module,
    dataset: PoseDataset,
    config: EvalConfig,
    workers: int = 0,
    skip_bad: int = 0,
) -> People:
    """Every person of the data set once, on every process. Bad images are left out and named."""
    predict = predictor(network, dataset.model, dataset.keypoints, config.flip_test)

    def measure(batch: dict) -> dict[str, torch.Tensor]:
        points, scores = (torch.as_tensor(v, device=session.device).float() for v in predict(batch))
        return {
            "keypoints": points,
            "scores": scores,
            **{name: batch[name] for name in _FROM_BATCH},
        }

    found = collect(session, dataset, measure, config.batch_size, workers, skip_bad)
    found.pop("index")
    return People(**{name: values.numpy() for name, values in found.items()})


_FROM_BATCH = ("image_id", "annotation", "box_score", "center", "scale")
