"""The head whose places vote: a density, its axes, its loss, and what it learns."""

from __future__ import annotations

import math

import pytest
import torch
from torch import distributions as D

from apps.pose.config import ModelConfig
from apps.pose.models.decoding import create_decoder
from apps.pose.models.losses import pose_losses
from apps.pose.models.network import PoseNet
from apps.pose.models.places import PlacesHead, surprise
from tests.apps.pose.toys import COCO

GRID, BINS, SIGMA = (3, 2), (32, 48), 2.0
MODEL = ModelConfig("mixer_c16_l1_p16", (48, 32), simcc_split=1.0, sigma=SIGMA, simcc_places=True)


def made(keypoints=4, sigma=SIGMA, strength=10.0):
    """A head and the features (2, 16, 3, 2) of something."""
    torch.manual_seed(0)
    head = PlacesHead(16, GRID, keypoints, BINS, sigma)
    return head, strength * torch.randn(2, 16, *GRID)


def by_torch(mixture):
    """torch's distribution over (x, y) of each keypoint."""
    chance, means, widths = mixture[:, :, 0], mixture[:, :, 1:3], mixture[:, :, 3:]
    places = D.Independent(D.Normal(means.transpose(2, 3), widths.transpose(2, 3)), 1)
    return D.MixtureSameFamily(D.Categorical(logits=chance), places)


def test_the_loss_is_the_density_of_the_labelled_place():
    head, features = made()
    mixture, points = head(features)["mixture"], 48 * torch.rand(2, 4, 2)
    torch.testing.assert_close(surprise(mixture, points), -by_torch(mixture).log_prob(points))


def test_the_axes_are_the_sums_of_the_blurred_density():
    head, features = made()
    mixture = head(features)["mixture"]
    axes = head.eval()(features)
    wider = torch.cat([mixture[:, :, :3], (mixture[:, :, 3:] ** 2 + SIGMA**2).sqrt()], 2)
    around = torch.arange(-80.0, 140.0)
    x, y = torch.meshgrid(around, around, indexing="xy")
    points = torch.stack([x, y], -1).view(-1, 1, 1, 2)
    density = by_torch(wider).log_prob(points).exp().view(220, 220, 2, 4)
    for axis, total, n in (("x", density.sum(0), 32), ("y", density.sum(1), 48)):
        logits = axes[axis] - math.log(2 * math.pi) / 2  # the constant of a Gaussian is left out
        torch.testing.assert_close(logits.exp(), total[80 : 80 + n].permute(1, 2, 0))


def test_one_sure_place_scores_one_where_it_says():
    head, _ = made(1)
    with torch.no_grad():
        head.to_places.weight.zero_()
        head.to_places.weight[0, 0] = 50.0  # sure where the first channel is
        head.to_places.bias[1:] = torch.tensor([0.25, -0.125, -50.0, -50.0])  # and narrow
    features = torch.zeros(1, 16, *GRID)
    features[0, 0, 1, 1] = 1.0
    points, scores = create_decoder(MODEL)(head.eval()(features))
    assert points[0, 0].tolist() == [24 + 4, 24 - 2]
    assert scores.item() == pytest.approx(math.hypot(1, 1 / SIGMA) ** -1, abs=0.01)


def test_what_is_not_labelled_changes_nothing():
    network = PoseNet(MODEL, COCO)
    images = torch.randint(0, 256, (2, 3, 48, 32), dtype=torch.uint8)
    outputs = network(images)
    weight = torch.zeros(2, 17)
    weight[0, 3] = 1
    targets = {f"target_{axis}": torch.rand(2, 17, n) for axis, n in (("x", 32), ("y", 48))}
    loss = pose_losses(outputs, {**targets, "weight": weight})["place"]
    others = {name: target.clone() for name, target in targets.items()}
    for name in others:
        others[name][weight == 0] = torch.rand(33, others[name].shape[-1])
    again = pose_losses(outputs, {**others, "weight": weight})["place"]
    assert torch.equal(loss, again)
    assert loss[0] != 0 == loss[1]
    loss.sum().backward()
    rows = network.head.to_places.weight.grad.view(17, 5, -1).abs().sum((1, 2))
    assert rows[3] > 0
    assert rows.sum() == rows[3]


def test_places_are_learnt_within_a_pixel():
    """A dot lies somewhere: a place's features are where in it, or that it is elsewhere."""
    torch.manual_seed(0)
    head = PlacesHead(3, GRID, 1, BINS, SIGMA)
    points = torch.rand(256, 2) * torch.tensor(BINS)
    column, row = (points // 16).long().T
    features = torch.zeros(256, 3, *GRID)
    features[torch.arange(256), :, row, column] = torch.cat(
        [torch.ones(256, 1), points % 16 / 16], 1
    )
    optimizer = torch.optim.Adam(head.parameters(), 0.1)
    for _ in range(150):
        loss = surprise(head(features)["mixture"], points[:, None]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found, _ = create_decoder(MODEL)(head.eval()(features))
    assert (found[:, 0] - points).abs().mean() < 1
