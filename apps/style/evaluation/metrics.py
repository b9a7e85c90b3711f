"""What a classifier of unequal classes is measured by, in float64.

Legend: N paintings, K classes. probabilities (N, K), rows that sum to 1; labels (N,) class indices.
"""

from __future__ import annotations

import numpy as np

from core.errors import InputError
from core.evaluation.confusion import balanced_accuracy, checked, confusion_matrix, macro_f1

BINS = 15  # of the calibration error, as Guo et al. have it
TOP = 5


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits (N, K). Raises InputError for logits that are not finite."""
    logits = np.asarray(logits, np.float64)
    if bad := int((~np.isfinite(logits)).any(1).sum()):
        raise InputError(f"{bad} of {len(logits)} paintings have logits that are not finite")
    exponents = np.exp(logits - logits.max(1, keepdims=True))
    return exponents / exponents.sum(1, keepdims=True)


def style_metrics(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """{"top1", "top5", "balanced_accuracy", "macro_f1", "calibration_error"}, fractions.

    top5 is left out for 5 classes or fewer. Among equal probabilities the lower class comes first.
    Raises InputError without paintings.
    """
    probabilities, labels = checked(probabilities, labels)
    rank = _rank(probabilities, labels)
    confusion = confusion_matrix(probabilities, labels)
    values = {"top1": float((rank == 0).mean())}
    if probabilities.shape[1] > TOP:
        values["top5"] = float((rank < TOP).mean())
    return values | {
        "balanced_accuracy": balanced_accuracy(confusion),
        "macro_f1": macro_f1(confusion),
        "calibration_error": calibration_error(probabilities, labels),
    }


def metric_names() -> list[str]:
    """What `style_metrics` has of more than TOP classes."""
    return list(style_metrics(np.eye(TOP + 1), np.arange(TOP + 1)))


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error (Guo et al. 2017, arXiv 1706.04599, equations 2 to 5).

    The largest probabilities are sorted into `bins` of equal width, ((m - 1) / M, m / M]; the error
    is the mean over the paintings of |accuracy - mean confidence| of their bin.
    """
    probabilities, labels = checked(probabilities, labels)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    bin_of = np.digitize(confidence, np.arange(1, bins) / bins, right=True)
    gaps = np.bincount(bin_of, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def _rank(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes come before the true one: (N,)."""
    own = np.take_along_axis(probabilities, labels[:, None], 1)  # (N, 1)
    earlier = np.arange(probabilities.shape[1]) < labels[:, None]
    return ((probabilities > own) | ((probabilities == own) & earlier)).sum(1)
