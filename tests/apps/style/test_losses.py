"""Losses of unequal classes against hand computations."""

import math

import pytest
import torch

from apps.style.config import LossConfig
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
