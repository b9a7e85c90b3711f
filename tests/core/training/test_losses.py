"""Losses of a classifier: against torch and timm, and by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from timm.loss import BinaryCrossEntropy, LabelSmoothingCrossEntropy, SoftTargetCrossEntropy

from core.training.losses import LOSSES, sigmoid_loss, softmax_loss

LOGITS = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)) * 3
LABELS = torch.tensor([0, 4, 2, 2, 1, 3])


def test_softmax_by_hand():
    logits = torch.tensor([[0.0, math.log(3.0)]])
    assert softmax_loss(logits, torch.tensor([1])).item() == pytest.approx(-math.log(0.75))
    soft = torch.tensor([[0.5, 0.5]])
    expected = -0.5 * math.log(0.25) - 0.5 * math.log(0.75)
    assert softmax_loss(logits, soft).item() == pytest.approx(expected)
    smooth = -0.1 * math.log(0.25) - 0.9 * math.log(0.75)  # 0.2 / 2 for each class
    assert softmax_loss(logits, torch.tensor([1]), 0.2).item() == pytest.approx(smooth)


def test_sigmoid_by_hand():
    logits = torch.tensor([[0.0, math.log(3.0), math.log(3.0)]])
    expected = -math.log(0.5) - math.log(0.75) - math.log(0.25)
    assert sigmoid_loss(logits, torch.tensor([1])).item() == pytest.approx(expected)
    soft = torch.tensor([[0.0, 0.5, 0.0]])
    expected = -math.log(0.5) - 0.5 * (math.log(0.75) + math.log(0.25)) - math.log(0.25)
    assert sigmoid_loss(logits, soft).item() == pytest.approx(expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_their_means_are_those_of_timm(smoothing):
    expected = LabelSmoothingCrossEntropy(smoothing)(LOGITS, LABELS)
    torch.testing.assert_close(softmax_loss(LOGITS, LABELS, smoothing).mean(), expected)
    expected = BinaryCrossEntropy(smoothing, sum_classes=True)(LOGITS, LABELS)
    torch.testing.assert_close(sigmoid_loss(LOGITS, LABELS, smoothing).mean(), expected)
    mixed = 0.3 * F.one_hot(LABELS, 5) + 0.7 * F.one_hot(LABELS.flip(0), 5)
    expected = SoftTargetCrossEntropy()(LOGITS, mixed)
    torch.testing.assert_close(softmax_loss(LOGITS, mixed).mean(), expected)


@pytest.mark.parametrize("loss", LOSSES.values())
def test_smoothing_commutes_with_mixing(loss):
    """A mixture's loss is the mixture of the losses: both are linear in the targets."""
    pair = [loss(LOGITS, labels, 0.1) for labels in (LABELS, LABELS.flip(0))]
    mixed = 0.3 * F.one_hot(LABELS, 5) + 0.7 * F.one_hot(LABELS.flip(0), 5)
    found = loss(LOGITS, mixed, 0.1)
    assert found.shape == (6,)
    torch.testing.assert_close(found, 0.3 * pair[0] + 0.7 * pair[1])


@pytest.mark.parametrize("loss", LOSSES.values())
def test_half_precision_logits_and_large_ones(loss):
    torch.testing.assert_close(
        loss(LOGITS.bfloat16(), LABELS), loss(LOGITS.bfloat16().float(), LABELS)
    )
    soft = F.one_hot(LABELS, 5).float()
    assert loss(LOGITS.half(), soft).dtype == torch.float32
    assert loss(LOGITS * 1e4, LABELS).isfinite().all()


def test_the_head_bias_of_the_sigmoid_loss_begins_near_one_wrong_class():
    """big_vision's -6.9 over 1,000 classes: all together cost about 1, the right one 6.9."""
    loss = sigmoid_loss(torch.full((1, 1000), -6.9), torch.tensor([3])).item()
    assert loss == pytest.approx(6.9 + 1000 * math.log1p(math.exp(-6.9)), rel=1e-4)
    assert loss < sigmoid_loss(torch.zeros(1, 1000), torch.tensor([3])).item() / 80
