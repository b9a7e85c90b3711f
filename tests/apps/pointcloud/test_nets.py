"""PointMixer's hierarchy and networks: released sizes, shared maps, symmetries, small clouds."""

import pytest
import torch
from torch import nn

from apps.pointcloud.geometry.segments import cloud_sizes, pack, segment_sum, unpack
from apps.pointcloud.models.hierarchy import HierarchicalDown, HierarchicalUp, set_map
from apps.pointcloud.models.nets import (
    PointMixerClassifier,
    PointMixerSegmenter,
    classifier_config,
    segmenter_config,
)
from core import InputError

NETS = {
    "classifier": lambda: PointMixerClassifier(classifier_config()),
    "segmenter": lambda: PointMixerSegmenter(segmenter_config()),
}
every_net = pytest.mark.parametrize("name", NETS)


def sphere(count, noise=0.02):
    points = torch.randn(count, 3)
    return points / points.norm(dim=1, keepdim=True) + noise * torch.randn(count, 3)


def lived_in(module):
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
    return module


@pytest.fixture(scope="module")
def nets():
    torch.manual_seed(0)
    return {name: lived_in(make()).eval() for name, make in NETS.items()}


def inputs(name, *sizes):
    points, batch = pack([sphere(size) for size in sizes])
    colours = torch.rand(len(points), 3)
    features = points if name == "classifier" else torch.cat([points, colours], 1)
    return features, points, batch


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def test_released_parameter_counts(nets):
    assert parameters(nets["classifier"]) == 4_146_789
    assert parameters(nets["segmenter"]) == 6_419_585


@every_net
def test_clouds_together_are_clouds_one_by_one(nets, name):
    features, points, batch = inputs(name, 300, 40, 120)
    with torch.no_grad():
        got = nets[name](features, points, batch)
        together = got if name == "classifier" else unpack(got, batch)
        for cloud, x, p in zip(
            together, unpack(features, batch), unpack(points, batch), strict=True
        ):
            alone = nets[name](x, p, torch.zeros(len(p), dtype=torch.int64))
            alone = alone[0] if name == "classifier" else alone
            torch.testing.assert_close(cloud, alone, rtol=1e-4, atol=1e-5)


@every_net
def test_the_order_of_points_plays_no_role(nets, name):
    features, points, batch = inputs(name, 200, 90)
    order = torch.cat([torch.randperm(200), 200 + torch.randperm(90)])
    with torch.no_grad():
        expected = nets[name](features, points, batch)
        got = nets[name](features[order], points[order], batch)
    expected = expected if name == "classifier" else expected[order]
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


@every_net
def test_any_number_of_neighbours(nets, name):
    features, points, batch = inputs(name, 150)
    encoder, before = nets[name].encoder, nets[name].encoder.neighbours
    with torch.no_grad():
        usual = nets[name](features, points, batch)
        encoder.neighbours = (5, 11, 3, 20, 1)
        other = nets[name](features, points, batch)
    encoder.neighbours = before
    assert other.shape == usual.shape
    assert not torch.equal(other, usual)


@every_net
def test_tiny_clouds_and_identical_points(name):
    net = NETS[name]().train()
    one_place = inputs(name, 20)
    one_place[1].fill_(1.0)
    for features, points, batch in (inputs(name, 1), inputs(name, 1, 3, 12), one_place):
        net.zero_grad()
        y = net(features, points, batch)
        y.sum().backward()
        assert torch.isfinite(y).all()
        assert all(torch.isfinite(p.grad).all() for p in net.parameters())


@every_net
def test_every_parameter_gets_a_gradient(name):
    net = NETS[name]().train()
    features, points, batch = inputs(name, 1300, 1100)  # 4 or 5 points at the deepest level
    y = net(features, points, batch)
    (y * torch.randn_like(y)).sum().backward()
    for label, parameter in net.named_parameters():
        assert parameter.grad is not None, label
        assert label.endswith("bias") or parameter.grad.abs().max() > 0, label


def test_wrong_features(nets):
    features, points, batch = inputs("classifier", 10)
    with pytest.raises(InputError, match=r"\(10, 3\); this network takes \(10, 6\)"):
        nets["segmenter"](features, points, batch)


# hierarchical-set mixing


def test_a_map_of_several_clouds():
    points, batch = pack([sphere(size) for size in (40, 1, 3, 101)])
    sets = set_map(points, batch, 4, 6)
    assert cloud_sizes(sets.batch).tolist() == [10, 1, 1, 25]
    assert torch.equal(sets.points, points[sets.chosen])
    assert torch.equal(sets.index[:, 0], sets.chosen)
    coarse, fine = sets.pairs
    assert torch.equal(fine[: sets.index.numel()], sets.index.flatten())
    assert torch.equal(batch[fine], sets.batch[coarse])
    torch.testing.assert_close(sets.offsets, points[fine] - points[sets.chosen[coarse]])
    assert torch.equal(fine.unique(), torch.arange(len(points)))


def test_points_in_no_set_take_their_nearest_coarse_point():
    points = sphere(10_000)
    sets = set_map(points, torch.zeros(10_000, dtype=torch.int64), 4, 8)
    coarse, fine = sets.pairs[:, sets.index.numel() :]
    share = len(fine) / 10_000
    assert 0.001 < share < 0.03  # the release leaves these without a feature
    assert not torch.isin(fine, sets.index).any()
    nearest = torch.cdist(points[fine], sets.points).argmin(1)
    assert torch.equal(coarse, nearest)
    up = HierarchicalUp(4, 4).eval()
    above = torch.rand(len(sets.points), 4)
    got = up(torch.zeros(10_000, 4), above, sets) - up.skip(torch.zeros(1, 4))
    torch.testing.assert_close(got[fine], up.value(above)[coarse])


def layers_and_maps():
    points, batch = pack([sphere(30).double(), sphere(11).double()])
    sets = set_map(points, batch, 4, 5)
    down, up = lived_in(HierarchicalDown(6, 8)), lived_in(HierarchicalUp(8, 6))
    return down.double().eval(), up.double().eval(), torch.randn(41, 6).double(), points, sets


def test_down_and_up_by_loops():
    down, up, x, p, sets = layers_and_maps()
    y = down(x, p, sets)
    for i in range(len(sets.points)):
        rows = [torch.cat([p[j] - sets.points[i], x[j]]) for j in sets.index[i]]
        weights = down.score(down.first(torch.stack(rows))).softmax(0)
        torch.testing.assert_close(y[i], (weights * down.value(x)[sets.index[i]]).sum(0))
    z = up(x, y, sets)
    for j in range(len(p)):
        above = sets.pairs[0][sets.pairs[1] == j]  # the inverse of the same map
        rows = torch.stack([torch.cat([p[j] - sets.points[i], y[i]]) for i in above])
        weights = up.score(up.first(rows)).softmax(0)
        expected = up.skip(x)[j] + (weights * up.value(y)[above]).sum(0)
        torch.testing.assert_close(z[j], expected)


def test_weights_sum_to_one_over_sets_and_inverse_sets():
    down, up, x, p, sets = layers_and_maps()
    torch.testing.assert_close(
        down.weights(x, p, sets).sum(1), torch.ones(len(sets.points), 1).double()
    )
    weights = up.weights(down(x, p, sets), len(p), sets)
    torch.testing.assert_close(
        segment_sum(weights, sets.pairs[1], len(p)), torch.ones(len(p), 1).double()
    )


@pytest.mark.parametrize("training", [True, False])
def test_gradients_in_float64(training):
    down, up, x, p, sets = layers_and_maps()
    down.train(training), up.train(training)
    direction = torch.randn(41, 6).double()
    torch.autograd.gradcheck(
        lambda x: (up(x, down(x, p, sets), sets) * direction).sum(), x.requires_grad_()
    )


def test_the_networks_go_up_by_the_maps_of_the_way_down(nets, monkeypatch):
    from apps.pointcloud.models import hierarchy
    from apps.pointcloud.models import nets as module

    made, used = [], []
    monkeypatch.setattr(module, "set_map", lambda *given: made.append(set_map(*given)) or made[-1])
    up = hierarchy.HierarchicalUp.forward
    monkeypatch.setattr(
        hierarchy.HierarchicalUp,
        "forward",
        lambda self, x, above, sets: used.append(sets) or up(self, x, above, sets),
    )
    features, points, batch = inputs("segmenter", 600)
    with torch.no_grad():
        nets["segmenter"](features, points, batch)
    assert len(made) == 4
    assert [id(sets) for sets in used] == [id(sets) for sets in reversed(made)]
