"""Losses of style recognition, one number a painting: (B,), as `Run.backward` takes them.

Legend: B batch, K classes, n_c training paintings of class c, n of all.

Targets t are class indices (B,) int64, or soft targets (B, K) such as mixup gives. Label smoothing
s makes (1 - s) t + s / K of either, as in core.training.losses. A loss is the sum over the classes
of t_c times

    plain           -log p_c
    weighted        -log p_c x n / (K n_c)
    logit_adjusted  -log p_c of softmax(logits + tau log(n_c / n))
    focal           -(1 - p_c)^gamma log p_c

weighted: King and Zeng 2001 ("Logistic Regression in Rare Events Data", section 4.2), with the
weights that scikit-learn calls balanced. The mean weight of a training painting is 1; the mean over
a batch is divided by B, where torch's own divides by the batch's sum of weights.
logit_adjusted: Menon et al. 2021 (arXiv 2007.07314), equation 10. Predictions are made from the
logits as they are.
focal: Lin et al. 2017 (arXiv 1708.02002), equation 4, of a softmax instead of sigmoids, and without
their alpha. For soft targets the sum over the classes is our extension.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from apps.style.config import LossConfig
from core.ranges import check_ranges
from core.training.losses import softmax_loss


def style_losses(
    logits: Tensor,
    targets: Tensor,
    counts: Tensor | None,
    config: LossConfig,
    label_smoothing: float = 0.0,
) -> dict[str, Tensor]:
    """{"class": (B,)} of logits (B, K), targets (B,) or (B, K), and counts n_c (K,), all above 0.

    plain and focal need no counts. Raises InputError for a tau or gamma out of its range.
    """
    check_ranges(config, "loss.")
    logits = logits.float()
    if config.name == "weighted":
        loss = _weighted(logits, targets, class_weights(counts), label_smoothing)
    elif config.name == "logit_adjusted":
        # in training alone, so that the logits themselves need not favour frequent classes
        adjusted = logits + config.tau * (counts / counts.sum()).log()  # (B, K)
        loss = softmax_loss(adjusted, targets, label_smoothing)
    elif config.name == "focal":
        loss = _focal(logits, targets, config.gamma, label_smoothing)
    else:
        loss = softmax_loss(logits, targets, label_smoothing)
    return {"class": loss}


def class_weights(counts: Tensor) -> Tensor:
    """n / (K n_c): (K,) -> (K,)."""
    return counts.sum() / (len(counts) * counts)


def _weighted(logits: Tensor, targets: Tensor, weights: Tensor, smoothing: float) -> Tensor:
    options = {"weight": weights.float(), "label_smoothing": smoothing, "reduction": "none"}
    return F.cross_entropy(logits, targets, **options)


def _focal(logits: Tensor, targets: Tensor, gamma: float, smoothing: float) -> Tensor:
    log_p = logits.log_softmax(-1)  # (B, K)
    if targets.ndim == 1:
        targets = F.one_hot(targets, logits.shape[-1])  # (B,) -> (B, K)
    targets = targets * (1.0 - smoothing) + smoothing / logits.shape[-1]
    smallest = torch.finfo(log_p.dtype).tiny  # a gamma below 1 has no derivative at p = 1
    return -(targets * (-log_p.expm1()).clamp_min(smallest) ** gamma * log_p).sum(-1)
