"""What a network says of paintings, exact on any number of processes; and where it looked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from apps.style.evaluation.metrics import softmax
from core.evaluation.collect import collect
from core.training.session import Session

WINDOWS = 8  # that an occlusion slides over a side


@dataclass(frozen=True)
class Predictions:
    """Of the readable paintings, in the data set's order."""

    probabilities: np.ndarray  # (N, K) float64
    labels: np.ndarray  # (N,)
    index: np.ndarray  # (N,) in the data set


def predict_all(
    session: Session,
    network: nn.Module,
    images: Dataset,
    batch_size: int,
    workers: int = 0,
    skip_bad: int = 0,
) -> Predictions:
    """Probabilities of every painting, the same on every process. InputError without one."""
    network.to(session.device).eval()

    def measure(batch: dict) -> dict[str, Tensor]:
        return {"logits": network(batch["image"]).float(), "label": batch["label"]}

    found = collect(session, images, measure, batch_size, workers, skip_bad)
    index, labels, logits = (found[name].numpy() for name in ("index", "label", "logits"))
    return Predictions(softmax(logits), labels, index)


@torch.inference_mode()
def occlusion_map(network: nn.Module, image: Tensor, label: int, batch_size: int = 64) -> Tensor:
    """How much the probability of class `label` falls where a part of the image is hidden.

    image (3, H, W) as the network takes it -> (H, W), drops of the probability, averaged over the
    windows that cover a pixel. A window is a quarter of a side, moves by an eighth, and is filled
    with the image's mean colour (Zeiler and Fergus 2014, arXiv 1311.2901, section 4.2, have grey).
    """
    height, width = image.shape[1:]
    boxes = [
        (
            slice(top * height // WINDOWS, (top + 2) * height // WINDOWS),
            slice(left * width // WINDOWS, (left + 2) * width // WINDOWS),
        )
        for top in range(WINDOWS - 1)
        for left in range(WINDOWS - 1)
    ]
    hidden = image.repeat(len(boxes), 1, 1, 1)
    for picture, box in zip(hidden, boxes, strict=True):
        picture[(slice(None), *box)] = image.mean((1, 2), keepdim=True)
    whole = _probability(network, image[None], label)
    drops = [whole - _probability(network, part, label) for part in hidden.split(batch_size)]
    return _averaged(torch.cat(drops).cpu(), boxes, (height, width))


def _probability(network: nn.Module, images: Tensor, label: int) -> Tensor:
    return F.softmax(network(images).float(), -1)[:, label]


def _averaged(drops: Tensor, boxes: list, size: tuple[int, int]) -> Tensor:
    total, count = torch.zeros(size), torch.zeros(size)
    for drop, box in zip(drops, boxes, strict=True):
        total[box] += drop
        count[box] += 1
    return total / count
