"""Losses of a classifier, one number a sample: (B,), as `Run.backward` takes them.

Legend: B batch, n classes. Targets are class indices (B,) int64, or soft targets (B, n) in [0, 1],
such as mixup gives. Label smoothing s makes (1 - s) * target + s / n of either (Szegedy et al.
2016, arXiv 1512.00567, section 7), before or after mixing alike.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def softmax_loss(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Cross entropy of softmax: (B, n), targets -> (B,)."""
    options = {"label_smoothing": label_smoothing, "reduction": "none"}
    return F.cross_entropy(logits.float(), targets, **options)


def sigmoid_loss(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Binary cross entropy of each class, summed over the classes: (B, n), targets -> (B,).

    big_vision's `sigmoid_xent` (utils.py), with which it trains its Mixer on ImageNet-1k. There it
    has no smoothing; here it is that of timm's `BinaryCrossEntropy`.
    """
    classes = logits.shape[-1]
    if targets.ndim == 1:
        targets = F.one_hot(targets, classes)
    targets = targets * (1.0 - label_smoothing) + label_smoothing / classes
    return F.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none").sum(-1)


LOSSES = {"softmax": softmax_loss, "sigmoid": sigmoid_loss}  # by the names of a configuration
