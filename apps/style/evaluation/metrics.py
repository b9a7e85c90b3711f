"""What a classifier of unequal classes is measured by, in float64.

Legend: N paintings, K classes. probabilities (N, K), rows that sum to 1; labels (N,) class indices;
confusion (K, K) int64, a row for each true class and a column for each predicted one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import InputError
from core.tables import Table, scaled

BINS = 15  # of the calibration error, as Guo et al. have it
TOP = 5


@dataclass(frozen=True)
class ClassScore:
    """One row of the table of classes, as fractions; not a number where it is not defined."""

    name: str
    count: int  # paintings
    recall: float  # right of those of the class; undefined without any
    precision: float  # right of those said to be of it; undefined where nothing was
    f1: float  # undefined where neither was there


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
    probabilities, labels = _checked(probabilities, labels)
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


def confusion_matrix(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(K, K) int64: how often true class i was taken for class j."""
    probabilities, labels = _checked(probabilities, labels)
    classes = probabilities.shape[1]
    pairs = labels * classes + probabilities.argmax(1)  # (N,) one number for each cell
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def balanced_accuracy(confusion: np.ndarray) -> float:
    """The mean recall of the classes that occur: scikit-learn's balanced_accuracy_score."""
    present = confusion.sum(1) > 0
    return float((confusion.diagonal()[present] / confusion.sum(1)[present]).mean())


def macro_f1(confusion: np.ndarray) -> float:
    """The mean F1 of the classes that occur or are predicted; F1 is 2 TP / (2 TP + FP + FN).

    scikit-learn's f1_score(average="macro"): a class that is only predicted, or only missed, counts
    as 0, and one that is neither there nor predicted does not count. With its `labels` set to all
    classes scikit-learn counts that one as 0 too.
    """
    total = confusion.sum(0) + confusion.sum(1)
    return float((2 * confusion.diagonal()[total > 0] / total[total > 0]).mean())


def class_scores(confusion: np.ndarray, classes: Sequence[str]) -> list[ClassScore]:
    """Count, recall, precision and F1 of each class, in the order of the classes."""
    count, predicted, right = confusion.sum(1), confusion.sum(0), confusion.diagonal()
    columns = [right / _or_nan(count), right / _or_nan(predicted)]
    columns.append(2 * right / _or_nan(count + predicted))  # 2 TP / (2 TP + FN + FP)
    return [
        ClassScore(name, int(n), *(float(column[i]) for column in columns))
        for i, (name, n) in enumerate(zip(classes, count, strict=True))
    ]


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error (Guo et al. 2017, arXiv 1706.04599, equations 2 to 5).

    The largest probabilities are sorted into `bins` of equal width, ((m - 1) / M, m / M]; the error
    is the mean over the paintings of |accuracy - mean confidence| of their bin.
    """
    probabilities, labels = _checked(probabilities, labels)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    bin_of = np.digitize(confidence, np.arange(1, bins) / bins, right=True)
    gaps = np.bincount(bin_of, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def classes_table(scores: Sequence[ClassScore]) -> Table:
    """The scores for people: percent, `-` where undefined."""
    rows = [(s.name, s.count, s.recall, s.precision, s.f1) for s in scores]
    return Table("", ("class", "n", "recall", "precision", "F1"), rows, form=scaled(100, 1))


def _or_nan(counts: np.ndarray) -> np.ndarray:
    return np.where(counts > 0, counts, np.nan)


def _rank(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes come before the true one: (N,)."""
    own = np.take_along_axis(probabilities, labels[:, None], 1)  # (N, 1)
    earlier = np.arange(probabilities.shape[1]) < labels[:, None]
    return ((probabilities > own) | ((probabilities == own) & earlier)).sum(1)


def _checked(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(labels) == 0:
        raise InputError("there are no paintings to measure")
    return np.asarray(probabilities, np.float64), np.asarray(labels, np.int64)
