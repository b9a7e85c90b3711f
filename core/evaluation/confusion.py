"""Who is taken for whom: the confusion matrix of a classifier, and what it says of each class.

Legend: N samples, K classes. scores (N, K), of which the largest decides; labels (N,) class
indices; confusion (K, K) int64, a row for each true class and a column for each predicted one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import InputError
from core.tables import Table, scaled


@dataclass(frozen=True)
class ClassScore:
    """One row of the table of classes, as fractions; not a number where it is not defined."""

    name: str
    count: int  # samples
    recall: float  # right of those of the class; undefined without any
    precision: float  # right of those said to be of it; undefined where nothing was
    f1: float  # undefined where neither was there


def confusion_matrix(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(K, K) int64: how often true class i was taken for class j."""
    scores, labels = checked(scores, labels)
    classes = scores.shape[1]
    pairs = labels * classes + scores.argmax(1)  # (N,) one number for each cell
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


def classes_table(scores: Sequence[ClassScore]) -> Table:
    """The scores for people: percent, `-` where undefined."""
    rows = [(s.name, s.count, s.recall, s.precision, s.f1) for s in scores]
    return Table("", ("class", "n", "recall", "precision", "F1"), rows, form=scaled(100, 1))


def _or_nan(counts: np.ndarray) -> np.ndarray:
    return np.where(counts > 0, counts, np.nan)


def checked(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As float64 and int64. Raises InputError where there is nothing."""
    if len(labels) == 0:
        raise InputError("there are no samples to measure")
    return np.asarray(scores, np.float64), np.asarray(labels, np.int64)
