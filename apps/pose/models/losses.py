"""Per-person losses, summed over the labelled keypoints; the run divides by their number.

B people, K keypoints; ``weight`` (B, K) is 1 for a labelled keypoint, 0 otherwise.
"""

from __future__ import annotations

import torch
from torch import Tensor

from apps.pose.models.places import surprise


def pose_losses(outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """{"x": (B,), "y": (B,)} for SimCC, {"place": (B,)} for a `PlacesHead`, {"heatmap": (B,)} for
    heatmaps, as the outputs are."""
    weight = batch["weight"]
    if "heatmap" in outputs:
        return {"heatmap": _squared_error(outputs["heatmap"], batch["heatmap"], weight)}
    if "mixture" in outputs:
        return {"place": _surprise(outputs["mixture"], batch, weight)}
    return {
        axis: _divergence(outputs[axis], batch[f"target_{axis}"], weight) for axis in ("x", "y")
    }


def _divergence(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Kullback-Leibler divergence of each axis (SimCC, section 3.2), nats: (B, K, bins) -> (B,).

    mmpose's KLDiscretLoss takes the mean over the bins and divides by all keypoints of the batch,
    labelled or not: another scale, the same minimum.
    """
    log_probability = logits.float().log_softmax(-1)
    divergence = (torch.xlogy(target, target) - target * log_probability).sum(-1)
    return (divergence * weight).sum(1)


def _surprise(mixture: Tensor, batch: dict[str, Tensor], weight: Tensor) -> Tensor:
    """Of the mixture of `PlacesHead` at the largest bins of the targets, nats: -> (B,)."""
    places = torch.stack([batch[f"target_{axis}"].argmax(-1) for axis in ("x", "y")], -1)
    return (surprise(mixture, places) * weight).sum(1)


def _squared_error(heatmap: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean squared error of each keypoint's map, summed over the labelled ones: -> (B,)."""
    error = (heatmap.float() - target).square().mean((2, 3))
    return (error * weight).sum(1)
