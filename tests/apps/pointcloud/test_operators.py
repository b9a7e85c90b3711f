"""The point operators: symmetries, packed clouds, oracles in loops, gradients in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from apps.pointcloud.geometry.search import knn
from apps.pointcloud.geometry.segments import gather_sets, pack, segment_sum, unpack
from apps.pointcloud.models.layers import BatchNorm
from apps.pointcloud.models.operators import OPERATORS, create_operator
from apps.pointcloud.models.operators.pointmixer import PointMixing
from apps.pointcloud.models.operators.quadratic import quadratic_form
from apps.pointcloud.models.operators.recon_transformer import amplification
from core import InputError

C, K = 16, 6
NAMES = list(OPERATORS)
every_operator = pytest.mark.parametrize("name", NAMES)


def lived_in(module):
    """Running statistics and weights of normalisation as after some training, not 0 and 1."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d):
            for tensor in (layer.running_mean, layer.bias.data):
                tensor.normal_(0, 0.2)
            for tensor in (layer.running_var, layer.weight.data):
                tensor.uniform_(0.5, 1.5)
    return module


def operator(name, channels=C, neighbours=K, double=False):
    block = lived_in(create_operator(name, channels, neighbours)).eval()
    return block.double() if double else block


def inputs(*sizes, channels=C, dtype=torch.float32):
    points, batch = pack([torch.randn(size, 3, dtype=dtype) for size in sizes])
    return torch.randn(len(points), channels, dtype=dtype), points, batch


def lattice(side):
    return torch.cartesian_prod(*[torch.arange(float(side))] * 3)


@every_operator
def test_permuted_points_give_permuted_features(name):
    block, (features, points, batch) = operator(name), inputs(90, 60)
    order = torch.cat([torch.randperm(90), 90 + torch.randperm(60)])
    expected = block(features, points, batch)[order]
    torch.testing.assert_close(block(features[order], points[order], batch), expected)


@every_operator
def test_permuted_voxels_give_permuted_features(name):
    """On a grid many neighbours are equally far: which of them are taken is the set's affair."""
    points = lattice(5)
    features, batch = torch.randn(125, C), torch.zeros(125, dtype=torch.int64)
    block, order = operator(name, neighbours=10), torch.randperm(125)
    expected = block(features, points, batch)[order]
    torch.testing.assert_close(block(features[order], points[order], batch), expected)


@every_operator
def test_a_moved_cloud_gives_the_same(name):
    block, (features, points, batch) = operator(name, double=True), inputs(80, dtype=torch.float64)
    shift = torch.tensor([3.0, -2.0, 5.0], dtype=torch.float64)
    expected = block(features, points, batch)
    torch.testing.assert_close(block(features, points + shift, batch), expected)


@every_operator
def test_clouds_together_are_clouds_one_by_one(name):
    block, (features, points, batch) = operator(name), inputs(70, 1, 3, 130)
    together = unpack(block(features, points, batch), batch)
    for got, x, p in zip(together, unpack(features, batch), unpack(points, batch), strict=True):
        alone = block(x, p, torch.zeros(len(p), dtype=torch.int64))
        torch.testing.assert_close(got, alone)


@every_operator
def test_any_number_of_neighbours(name):
    block, (features, points, batch) = operator(name, neighbours=4), inputs(50)
    results = []
    for k in (1, 4, 13, 50):
        block.neighbours = k if block.neighbours else 0
        results.append(block(features, points, batch))
        assert results[-1].shape == features.shape
    assert torch.equal(results[0], results[2]) == (name == "pointnet")


@every_operator
def test_neighbours_that_the_caller_has(name):
    block, (features, points, batch) = operator(name), inputs(30, 20)
    index = knn(points, points, K, batch, batch)
    assert torch.equal(block(features, points, batch), block(features, points, batch, index))


@every_operator
@pytest.mark.parametrize("training", [True, False])
def test_tiny_clouds_and_identical_points(name, training):
    block = operator(name).train(training)
    one_place = (torch.randn(30, C), torch.ones(30, 3), torch.zeros(30, dtype=torch.int64))
    for features, points, batch in (inputs(1), inputs(2), inputs(1, 1, 4), one_place):
        features.requires_grad_()
        y = block(features, points, batch)
        y.sum().backward()
        assert y.shape == features.shape
        gradients = [features.grad, *(p.grad for p in block.parameters())]
        assert all(torch.isfinite(x).all() for x in (y, *gradients))


@every_operator
def test_every_parameter_gets_a_gradient(name):
    block = create_operator(name, C, K)
    features, points, batch = inputs(80, 50)
    (block(features, points, batch) * torch.randn(130, C)).sum().backward()
    for label, parameter in block.named_parameters():
        assert parameter.grad is not None, label
        # a bias before a normalisation or a softmax changes nothing
        assert label.endswith("bias") or parameter.grad.abs().max() > 0, label


@every_operator
@pytest.mark.parametrize("training", [True, False])
def test_gradients_in_float64(name, training):
    block = operator(name, double=True).train(training)
    features, points, batch = inputs(9, 5, dtype=torch.float64)
    points *= 0.3
    features.requires_grad_()
    weights = torch.randn(14, C, dtype=torch.float64)

    def loss(x, p):
        return (block(x, p, batch) * weights).sum()

    torch.autograd.gradcheck(lambda x: loss(x, points), features, fast_mode=True)
    torch.autograd.gradcheck(lambda p: loss(features, p), points.requires_grad_(), fast_mode=True)


@every_operator
def test_in_bfloat16(name):
    block, (features, points, batch) = create_operator(name, C, K), inputs(40)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = block(features, points, batch)
    y.float().sum().backward()
    assert torch.isfinite(y).all()
    assert all(torch.isfinite(p.grad).all() for p in block.parameters())


def test_wrong_requests():
    with pytest.raises(InputError, match=r"Did you mean pointnet\?.*pointnet2"):
        create_operator("pointnext", 16, 8)
    with pytest.raises(InputError, match="neighbours is 0"):
        create_operator("pointmixer", 16, 0)
    with pytest.raises(InputError, match="channels is 24"):
        create_operator("pointmixer", 24, 8)
    features, points, batch = inputs(10, channels=32)
    with pytest.raises(InputError, match=r"\(10, 32\); this operator takes \(10, 16\)"):
        create_operator("pointnet", 16, 8)(features, points, batch)


# each operator against its equations, point by point


def setting(name):
    """The bare operator in float64, its inputs, and its neighbours."""
    features, points, batch = inputs(20, 8, dtype=torch.float64)
    index = knn(points, points, K, batch, batch)
    return operator(name, double=True).operator, features, points, batch, index


def test_pointnet_by_its_definition():
    net, x, p, batch, _ = setting("pointnet")
    for b in (0, 1):
        own = batch == b
        hidden = net.mlp(torch.cat([p[own] - p[own].mean(0), x[own]], 1))
        cloud = net.from_cloud(hidden.amax(0))
        expected = torch.stack([net.local(h) + cloud for h in hidden])
        torch.testing.assert_close(net(x, p, batch)[own], expected)


def test_pointnet2_by_its_definition():
    net, x, p, batch, index = setting("pointnet2")
    y = net(x, p, batch, index)
    for i in range(len(p)):
        rows = [torch.cat([p[j] - p[i], x[j]]) for j in index[i]]
        hidden = net.second(F.relu(net.norm(net.first(torch.stack(rows)))))
        torch.testing.assert_close(y[i], hidden.amax(0))


@pytest.mark.parametrize("name", ["point_transformer", "recon_transformer"])
def test_transformers_by_their_equations(name):
    net, x, p, batch, index = setting(name)
    y = net(x, p, batch, index)
    lengths = (p[index] - p[:, None]).abs().sum(2)
    for i in range(len(p)):
        scale = lengths[batch == batch[i]].mean()
        scores, values = [], []
        for j in index[i]:
            delta = net.position((p[i] - p[j])[None])[0]
            if name == "recon_transformer":
                delta = delta * torch.exp(-(p[i] - p[j]).abs().sum() / scale)
            relation = net.query(x[i]) - net.key(x[j]) + delta
            scores.append(net.score(relation[None])[0])
            values.append(net.value(x[j]) + delta)
        weights = torch.stack(scores).softmax(0)
        torch.testing.assert_close(y[i], (weights * torch.stack(values)).sum(0))


def test_amplification_falls_with_the_distance_and_not_with_the_scale():
    offsets, batch = torch.randn(10, 5, 3), torch.tensor([0] * 6 + [1] * 4)
    factors = amplification(offsets, batch)
    assert (factors > 0).all()
    assert (factors <= 1).all()
    assert torch.equal(factors[0].argsort(), offsets[0].abs().sum(1).argsort(descending=True))
    torch.testing.assert_close(amplification(offsets * 100, batch), factors)
    assert torch.equal(amplification(offsets * 0, batch), torch.ones(10, 5))


# PointMixer


def by_loops(net, x, p, index, form):
    """Both mixings in plain loops, nothing folded: y_ij (N, k, C) and z (N, C)."""
    intra, inter = net.intra, net.inter
    n, k = index.shape
    terms = torch.empty(n, k, x.shape[1], dtype=x.dtype)
    for i in range(n):
        scores, values = [], []
        for j in index[i]:
            r = p[j] - p[i]
            g1 = F.relu(intra.first(torch.cat([r, x[j]])))
            g1 = intra.bilinear(g1, g1)
            delta = intra.delta.linear(intra.delta.hidden(r[None]))[0]
            summed = delta.view(-1, intra.width).sum(0)
            scores.append(intra.score(torch.cat([g1, summed])[None])[0])
            values.append(intra.value(x[j]) + delta)
        weights = torch.stack(scores).softmax(0).repeat(1, intra.share)
        terms[i] = weights * torch.stack(values)
    z = terms.sum(1)
    for member in range(n):
        scores, values = [], []
        for i, place in (index == member).nonzero():
            y = terms[i, place]
            delta = inter.delta.linear(inter.delta.hidden((p[member] - p[i])[None]))[0]
            if form == "concatenate":
                scores.append(F.relu(inter.score(torch.cat([delta, y]))))
                values.append(F.relu(inter.value(y)))
            else:
                scores.append(inter.score(y + delta))
                values.append(inter.value(y))
        mixed = (torch.stack(scores).softmax(0) * torch.stack(values)).sum(0)
        z[member] = z[member] + mixed.repeat(inter.share)
    return terms, z


@pytest.mark.parametrize("form", ["concatenate", "add"])
@pytest.mark.parametrize("width", [8, 16])
def test_pointmixer_by_loops(form, width):
    net = lived_in(PointMixing(16, width, 8, form)).double().eval()
    x, p, batch = inputs(15, 10, dtype=torch.float64)
    index = knn(p, p, K, batch, batch)
    terms, z = by_loops(net, x, p, index, form)
    offsets = gather_sets(p, index) - p[:, None]
    torch.testing.assert_close(net.intra(x, offsets, index), terms)
    torch.testing.assert_close(net(x, p, batch, index), z)


def test_weights_sum_to_one_over_sets_and_inverse_sets():
    net, x, p, _, index = setting("pointmixer")
    offsets = gather_sets(p, index) - p[:, None]
    hidden = net.intra.delta.hidden(offsets)
    intra = net.intra.weights(x, offsets, hidden, index)
    torch.testing.assert_close(intra.sum(1), torch.ones(len(p), 2).double())
    inter = net.inter.weights(net.intra(x, offsets, index), offsets, index)
    total = segment_sum(inter, index.flatten(), len(p))
    torch.testing.assert_close(total, torch.ones(len(p), 2).double())
    assert (index == 0).sum() != K  # inverse sets come in other sizes than sets


def test_the_quadratic_form_is_torchs_bilinear(monkeypatch):
    layer = nn.Bilinear(5, 5, 3).double()
    rows = torch.randn(4, 9, 5, dtype=torch.float64, requires_grad=True)
    monkeypatch.setattr("apps.pointcloud.models.operators.quadratic.CHUNK", {"cpu": 7})
    y, expected = quadratic_form(rows, layer.weight, layer.bias), layer(rows, rows)
    torch.testing.assert_close(y, expected)
    sought = (rows, layer.weight, layer.bias)
    direction = torch.randn_like(y)
    ours, theirs = (torch.autograd.grad(r, sought, direction) for r in (y, expected))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)
    torch.autograd.gradcheck(quadratic_form, sought)


def test_a_batch_of_one_point_leaves_the_statistics_alone():
    norm = lived_in(BatchNorm(4)).train()
    before, x = norm.running_mean.clone(), torch.randn(1, 4)
    y = norm(x)
    assert torch.equal(norm.running_mean, before)
    torch.testing.assert_close(y, norm.eval()(x))
