"""Metrics against loops and hand computations."""

import math

import numpy as np
import pytest

from apps.style.evaluation.metrics import calibration_error, softmax, style_metrics
from core import InputError
from core.evaluation.confusion import balanced_accuracy, class_scores, classes_table, macro_f1


def random_case(seed, count=200, classes=7):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, classes)) * 2
    labels = rng.integers(0, classes - 1, count)  # the last class does not occur
    logits[:, classes - 2] -= 20  # and the one before is never predicted
    return softmax(logits), labels


def loops(probabilities, labels):
    """The metrics again, from their definitions, one painting at a time."""
    n, classes = probabilities.shape
    orders = [sorted(range(classes), key=lambda c, p=p: (-p[c], c)) for p in probabilities]
    predicted = [order[0] for order in orders]
    recalls, scores = [], []
    for c in range(classes):
        tp = sum(p == c == t for p, t in zip(predicted, labels, strict=True))
        fn = sum(t == c != p for p, t in zip(predicted, labels, strict=True))
        fp = sum(p == c != t for p, t in zip(predicted, labels, strict=True))
        if tp + fn:
            recalls.append(tp / (tp + fn))
        if tp + fn + fp:
            scores.append(2 * tp / (2 * tp + fp + fn))
    error = 0.0
    for m in range(15):
        inside = [i for i in range(n) if m / 15 < probabilities[i].max() <= (m + 1) / 15]
        if inside:
            accuracy = sum(predicted[i] == labels[i] for i in inside) / len(inside)
            confidence = sum(probabilities[i].max() for i in inside) / len(inside)
            error += len(inside) / n * abs(accuracy - confidence)
    return {
        "top1": sum(p == t for p, t in zip(predicted, labels, strict=True)) / n,
        "top5": sum(t in order[:5] for order, t in zip(orders, labels, strict=True)) / n,
        "balanced_accuracy": sum(recalls) / len(recalls),
        "macro_f1": sum(scores) / len(scores),
        "calibration_error": error,
    }


@pytest.mark.parametrize("seed", range(3))
def test_metrics_are_those_of_the_loops(seed):
    probabilities, labels = random_case(seed)
    assert style_metrics(probabilities, labels) == pytest.approx(loops(probabilities, labels))


def test_metrics_of_a_small_case_by_hand():
    confusion = np.array([[3, 1, 0, 0], [0, 2, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0]])
    assert balanced_accuracy(confusion) == pytest.approx((0.75 + 1 + 0) / 3)
    assert macro_f1(confusion) == pytest.approx((6 / 9 + 4 / 5 + 0) / 3)
    scores = class_scores(confusion, ["a", "b", "c", "d"])
    assert [score.count for score in scores] == [4, 2, 2, 0]
    assert [score.recall for score in scores[:3]] == [0.75, 1, 0]
    assert [score.precision for score in scores[:2]] == pytest.approx([3 / 5, 2 / 3])
    assert scores[2].f1 == 0
    assert all(math.isnan(value) for value in (scores[2].precision, scores[3].f1, scores[3].recall))
    lines = str(classes_table(scores)).splitlines()
    assert lines[1].split() == ["a", "4", "75.0", "60.0", "66.7"]
    assert lines[4].split() == ["d", "0", "-", "-", "-"]


def test_always_the_majority():
    labels = np.repeat([0, 1, 2], [70, 20, 10])
    values = style_metrics(np.tile([0.7, 0.2, 0.1], (100, 1)), labels)
    assert values["top1"] == pytest.approx(0.7)
    assert values["balanced_accuracy"] == pytest.approx(1 / 3)
    assert values["calibration_error"] == pytest.approx(0)  # 70 % sure, and right in 70 %
    assert "top5" not in values


def test_edges_of_the_calibration_bins_belong_to_the_lower_bin():
    """Two bins: 0.5 is in the first with 0.4, not in the second with 0.9."""
    probabilities = np.array([[0.5, 0.3, 0.2], [0.4, 0.3, 0.3], [0.9, 0.1, 0]])
    error = calibration_error(probabilities, np.array([0, 1, 0]), bins=2)
    assert error == pytest.approx((2 * abs(0.5 - 0.45) + abs(1 - 0.9)) / 3)


def test_equal_probabilities_are_no_free_lunch():
    labels = np.arange(10)
    values = style_metrics(np.full((10, 10), 0.1), labels)
    assert values["top1"] == pytest.approx(0.1)
    assert values["top5"] == pytest.approx(0.5)


def test_softmax_of_large_logits_and_of_none():
    assert softmax(np.array([[1000.0, 1000.0, -1000.0]])).tolist() == [[0.5, 0.5, 0.0]]
    with pytest.raises(InputError, match="1 of 2 paintings"):
        softmax(np.array([[0.0, 1.0], [np.nan, 0.0]]))
    with pytest.raises(InputError, match="no samples"):
        style_metrics(np.zeros((0, 3)), np.zeros(0))
