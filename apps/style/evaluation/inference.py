"""What a network says of paintings, exact on any number of processes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn
from torch.utils.data import Dataset

from apps.style.evaluation.metrics import softmax
from core.evaluation.collect import collect
from core.training.session import Session


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
    """Probabilities of every painting, the same on every process.

    Raises InputError where none can be read, or more than `skip_bad` cannot.
    """
    network.to(session.device).eval()

    def logits_of(batch: dict) -> dict[str, Tensor]:
        # half-precision logits would lose digits of the calibration error
        return {"logits": network(batch["image"]).float(), "label": batch["label"]}

    outputs = collect(session, images, logits_of, batch_size, workers, skip_bad)
    index, labels, logits = (outputs[name].numpy() for name in ("index", "label", "logits"))
    return Predictions(softmax(logits), labels, index)
