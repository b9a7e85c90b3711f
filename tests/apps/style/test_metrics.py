"""Losses and metrics of style recognition against hand computations and loops; their pictures."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from apps.style.config import LossConfig
from apps.style.evaluation.metrics import (
    balanced_accuracy,
    calibration_error,
    class_scores,
    classes_table,
    confusion_matrix,
    macro_f1,
    softmax,
    style_metrics,
)
from apps.style.evaluation.pictures import confident_mistakes, confusion_picture, mistakes_sheet
from apps.style.losses import class_weights, style_losses
from core import InputError

COUNTS = torch.tensor([60, 30, 10])
NAMES = ("plain", "weighted", "logit_adjusted", "focal")


def loss(logits, targets, name, smoothing=0.0, counts=COUNTS, **fields):
    return style_losses(logits, targets, counts, LossConfig(name, **fields), smoothing)["class"]


def by_hand(logits, target, name, tau=1.0, gamma=2.0):
    """One sample's loss in plain Python; target is a list of class shares."""
    counts = COUNTS.tolist()
    n, classes = sum(counts), len(counts)
    if name == "logit_adjusted":
        logits = [x + tau * math.log(c / n) for x, c in zip(logits, counts, strict=True)]
    total = sum(math.exp(x) for x in logits)
    value = 0.0
    for x, t, count in zip(logits, target, counts, strict=True):
        p = math.exp(x) / total
        factor = {"weighted": n / (classes * count), "focal": (1 - p) ** gamma}.get(name, 1.0)
        value -= t * factor * math.log(p)
    return value


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_by_hand(name, smoothing):
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(1)) * 2
    fields = {"tau": 0.7, "gamma": 1.5}
    targets = torch.tensor([0, 2, 1, 2])
    soft = torch.tensor([[0.7, 0, 0.3], [0, 0, 1], [0, 1, 0], [0.2, 0.5, 0.3]])
    for given, shares in ((targets, torch.eye(3)[targets]), (soft, soft)):
        smoothed = shares * (1 - smoothing) + smoothing / 3
        pairs = zip(logits.tolist(), smoothed.tolist(), strict=True)
        expected = [by_hand(x, t, name, **fields) for x, t in pairs]
        assert loss(logits, given, name, smoothing, **fields).tolist() == pytest.approx(expected)


def test_a_known_value_of_each_loss():
    logits, target = torch.tensor([[math.log(6.0), math.log(3.0), 0.0]]), torch.tensor([2])
    # p = (0.6, 0.3, 0.1), which is how often the classes occur
    assert loss(logits, target, "plain").item() == pytest.approx(math.log(10))
    assert loss(logits, target, "weighted").item() == pytest.approx(10 / 3 * math.log(10))
    assert loss(logits, target, "logit_adjusted").item() == pytest.approx(math.log(46))
    assert loss(logits, target, "focal").item() == pytest.approx(0.81 * math.log(10))


def test_class_weights_average_to_one_over_the_training_paintings():
    weights = class_weights(COUNTS)
    assert weights.tolist() == pytest.approx([100 / 180, 100 / 90, 100 / 30])
    assert float((weights * COUNTS).sum() / COUNTS.sum()) == pytest.approx(1)


def test_without_their_parameter_losses_are_plain():
    logits, targets = torch.randn(5, 3), torch.tensor([0, 1, 2, 2, 0])
    plain = loss(logits, targets, "plain", counts=None)
    assert torch.equal(loss(logits, targets, "logit_adjusted", tau=0.0), plain)
    assert torch.allclose(loss(logits, targets, "focal", gamma=0.0, counts=None), plain)
    equal = torch.tensor([7, 7, 7])
    assert torch.allclose(loss(logits, targets, "weighted", counts=equal), plain)
    assert torch.allclose(loss(logits, targets, "logit_adjusted", counts=equal), plain)


def test_the_minimum_of_the_adjusted_loss_balances_the_classes():
    """Logits that are all equal are the best for labels that nothing tells apart (Menon et al.)."""
    logits = torch.zeros(1, 3, requires_grad=True)
    targets = torch.arange(3).repeat_interleave(COUNTS)
    loss(logits.expand(len(targets), 3), targets, "logit_adjusted").mean().backward()
    assert logits.grad.abs().max() < 1e-7
    plain = torch.zeros(1, 3, requires_grad=True)
    loss(plain.expand(len(targets), 3), targets, "plain").mean().backward()
    assert plain.grad.abs().max() > 0.1


@pytest.mark.parametrize("name", NAMES)
def test_losses_stay_finite_where_the_network_is_certain(name):
    logits = torch.tensor([[200.0, 0, 0], [0, 200.0, 0]], requires_grad=True)
    values = loss(logits, torch.tensor([0, 0]), name, gamma=0.5)
    values.sum().backward()
    assert torch.isfinite(values).all()
    assert torch.isfinite(logits.grad).all()
    assert loss(logits.bfloat16(), torch.tensor([0, 0]), name).dtype == torch.float32


def test_negative_parameters():
    for fields in ({"tau": -1.0}, {"gamma": -0.5}):
        with pytest.raises(InputError, match="0 or more"):
            loss(torch.zeros(1, 3), torch.tensor([0]), "plain", **fields)


# metrics


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
    with pytest.raises(InputError, match="no paintings"):
        style_metrics(np.zeros((0, 3)), np.zeros(0))


# pictures


def test_confusion_pictures(tmp_path):
    probabilities, labels = random_case(0)
    confusion = confusion_matrix(probabilities, labels)
    assert confusion.sum() == 200
    names = [f"Style_{i}" for i in range(7)]
    path = confusion_picture(tmp_path / "new/confusion.png", confusion, names)
    picture = np.asarray(Image.open(path).convert("RGB"))
    right = confusion_picture(tmp_path / "right.png", np.eye(7, dtype=int), names)
    dark = [(np.asarray(Image.open(p).convert("L")) < 70).mean() for p in (path, right)]
    assert dark[1] > dark[0]  # a full diagonal is darker
    assert picture.shape[0] > 300
    assert [p.name for p in tmp_path.rglob("*.png")].count("confusion.png") == 1
    assert not list(tmp_path.rglob("*.partial"))


def test_the_sheet_shows_the_surest_mistakes(tmp_path):
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7], [0.95, 0.05]])
    labels = np.array([0, 0, 0, 0, 1])
    assert confident_mistakes(probabilities, labels).tolist() == [4, 2, 3, 1]
    asked = []

    def picture(i):
        asked.append(i)
        return Image.new("RGB", (300, 40 * i + 40), (200, 10 * i, 0))

    names = ["Mannerism_Late_Renaissance", "Rococo"]
    options = {"count": 3, "columns": 2}
    path = mistakes_sheet(tmp_path / "m.png", picture, probabilities, labels, names, **options)
    assert asked == [4, 2, 3]
    sheet = np.asarray(Image.open(path).convert("RGB"))
    assert [bool((sheet == (200, 10 * i, 0)).all(-1).any()) for i in range(5)] == [
        False,
        False,
        True,
        True,
        True,
    ]
    assert (
        Image.open(mistakes_sheet(tmp_path / "m.jpg", picture, probabilities, labels, names)).format
        == "JPEG"
    )
    nothing = mistakes_sheet(tmp_path / "x.png", picture, probabilities[:1], labels[:1], names)
    assert nothing is None
    assert not (tmp_path / "x.png").exists()
