"""The reconstruction network: voxels of points, the hourglass, losses; what a user relies on."""

import math

import pytest
import torch

from apps.pointcloud.config import LossConfig, ModelConfig
from apps.pointcloud.geometry.resample import resample
from apps.pointcloud.geometry.segments import cloud_sizes, pack, unpack
from apps.pointcloud.models.losses import chamfer_distance, occupancy_loss, recon_losses
from apps.pointcloud.models.network import ReconNet
from apps.pointcloud.models.operators import OPERATORS
from apps.pointcloud.models.sparse import Hourglass
from apps.pointcloud.models.sparse.hourglass import likely
from apps.pointcloud.models.sparse.voxelize import centres, occupied, voxelize
from core.errors import InputError

SMALL = ModelConfig(
    voxel_length=0.2, channels=16, hourglasses=2, depth=2, neighbours=4, blocks=1, points=3
)


def sphere(count, seed=0, radius=0.8):
    points = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    return radius * torch.nn.functional.normalize(points, dim=1)


def network(config=SMALL, seed=0):
    """With running statistics and logits that are not those of an untrained network."""
    torch.manual_seed(seed)
    net, clouds = ReconNet(config), pack([sphere(200), sphere(150, 1)])
    for _ in range(3):
        net(*clouds, *clouds)
    for module in net.modules():
        if hasattr(module, "logit"):
            torch.nn.init.normal_(module.logit.weight, std=0.3)
    return net.eval()


# ---- voxels of points ----------------------------------------------------------------------------


def test_voxelize_against_a_loop():
    points, batch = pack([sphere(50), sphere(40, 1, 0.5)])
    voxels = voxelize(points, batch, 0.25)
    rows = {}
    for point, cloud in zip(points.tolist(), batch.tolist(), strict=True):
        place = [math.floor(x / 0.25) for x in point]
        offset = [x / 0.25 - c - 0.5 for x, c in zip(point, place, strict=True)]
        rows.setdefault((cloud, *place), []).append(offset)
    assert [tuple(row) for row in voxels.coords.tolist()] == sorted(rows)
    for features, cell in zip(voxels.features, sorted(rows), strict=True):
        inside = torch.tensor(rows[cell])
        expected = torch.cat([torch.ones(1), inside.mean(0), torch.tensor([len(inside)]).log()])
        torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-5)


def test_order_of_points_plays_no_role():
    points, batch = pack([sphere(300), sphere(200, 1)])
    order = torch.cat([torch.randperm(300), 300 + torch.randperm(200)])
    a, b = voxelize(points, batch, 0.25), voxelize(points[order], batch, 0.25)
    assert torch.equal(a.coords, b.coords)
    assert torch.equal(a.features, b.features)
    net = network()
    assert torch.equal(net(points, batch)["points"], net(points[order], batch)["points"])


def test_centres_of_fine_and_coarse_voxels():
    sites = occupied(torch.tensor([[-0.1, 0.1, 0.6]]), torch.zeros(1, dtype=torch.int64), 0.5)
    assert centres(sites, 0.5).tolist() == [[-0.25, 0.25, 0.75]]
    assert centres(sites.coarse, 0.5).tolist() == [[-0.5, 0.5, 0.5]]


@pytest.mark.parametrize("far", [math.nan, math.inf, 1e9])
def test_points_without_a_voxel_are_said(far):
    with pytest.raises(InputError, match="points reach"):
        voxelize(torch.tensor([[0.0, far, 0.0]]), torch.zeros(1, dtype=torch.int64), 0.1)


def test_voxels_without_a_length_are_said():
    with pytest.raises(InputError, match="voxel length"):
        occupied(sphere(3), torch.zeros(3, dtype=torch.int64), 0.0)


# ---- the hourglass -------------------------------------------------------------------------------


def test_truly_occupied_voxels_are_kept_in_training():
    cloud, batch = sphere(400), torch.zeros(400, dtype=torch.int64)
    truth = occupied(cloud, batch, 0.1)
    voxels = voxelize(cloud[:60], batch[:60], 0.1)
    hourglass = Hourglass(5, 3)
    out, levels = hourglass(voxels, truth)
    assert bool((out.sites.find(truth) >= 0).all())
    assert [int(level["labels"].sum()) for level in levels] == [
        len(truth.coarse.coarse.coarse),
        len(truth.coarse.coarse),
        len(truth.coarse),
        len(truth),
    ]
    assert all(len(level["logits"]) == len(level["batch"]) for level in levels)


def test_voxels_above_one_half_stay_and_no_cloud_is_left_empty():
    logits = torch.tensor([0.1, -3.0, 2.0, -1.0, -0.5, -2.0])
    batch = torch.tensor([0, 0, 0, 2, 2, 2])  # cloud 1 has no candidates
    assert likely(logits, batch).tolist() == [True, False, True, False, True, False]


# ---- the network ---------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", list(OPERATORS))
def test_clouds_in_a_batch_are_as_one_by_one(operator):
    net = network(ModelConfig(**{**vars(SMALL), "operator": operator}))
    clouds = [sphere(200), sphere(90, 2, 0.4) + 0.3, sphere(1)]
    with torch.no_grad():
        out = net(*pack(clouds))
        for cloud, got in zip(clouds, unpack(out["points"], out["batch"], 3), strict=True):
            alone = net(*pack([cloud]))["points"]
            assert len(alone) >= SMALL.points
            torch.testing.assert_close(got, alone, atol=1e-5, rtol=1e-5)


def test_every_parameter_has_a_gradient():
    """As data parallel training needs it, of a cloud of one point too."""
    net, clouds = ReconNet(SMALL), pack([sphere(200), sphere(1, 1)])
    target = pack([sphere(500, 2), sphere(500, 3)])
    losses = recon_losses(net(*clouds, *target), *target, 2, SMALL.voxel_length, LossConfig())
    sum(loss.sum() for loss in losses.values()).backward()
    assert all(loss.shape == (2,) for loss in losses.values())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_points_stay_within_reach_of_their_voxel():
    net = network()
    torch.nn.init.normal_(net.refine.offsets.weight, std=100.0)
    out = net(*pack([sphere(200)]))
    cells = (out["points"].unflatten(0, (-1, SMALL.points)) / SMALL.voxel_length).detach()
    assert float((cells[:, :, None] - cells[:, None]).abs().max()) <= 2 + 1e-4


def test_bfloat16_trains():
    net, clouds = ReconNet(SMALL), pack([sphere(200)])
    with torch.autocast("cpu", torch.bfloat16):
        out = net(*clouds, *clouds)
        losses = recon_losses(out, *clouds, 1, SMALL.voxel_length, LossConfig())
    assert out["points"].dtype == torch.float32
    sum(loss.sum() for loss in losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())


def test_a_description_builds_the_network_again():
    net = network()
    again = ReconNet.from_description(net.describe(), "somewhere")
    again.load_state_dict(net.state_dict())
    clouds = pack([sphere(200)])
    assert torch.equal(again.eval()(*clouds)["points"], net(*clouds)["points"])
    with pytest.raises(InputError, match="somewhere"):
        ReconNet.from_description({"app": "pose"}, "somewhere")


@pytest.mark.parametrize("field", ["voxel_length", "depth", "points", "neighbours"])
def test_numbers_too_small_are_said(field):
    with pytest.raises(InputError, match=field):
        ReconNet(ModelConfig(**{field: 0}))


@pytest.mark.parametrize("count", [1, 40, 90, 200])
def test_resample_gives_that_many_of_the_points(count):
    clouds = [sphere(60), sphere(90, 1)]
    out = resample(*pack(clouds), count)
    assert out.shape == (2, count, 3)
    for chosen, cloud in zip(out, clouds, strict=True):
        rows = {tuple(row) for row in chosen.tolist()}
        assert len(rows) == min(count, len(cloud))  # none twice before all once
        assert rows <= {tuple(row) for row in cloud.tolist()}


def test_resample_says_which_cloud_is_empty():
    with pytest.raises(InputError, match="cloud 1 has no points"):
        resample(*pack([sphere(5), sphere(0), sphere(5)]), 4)


# ---- losses --------------------------------------------------------------------------------------


def test_chamfer_against_all_distances():
    ours, true = [sphere(50), sphere(70, 1)], [sphere(60, 2), sphere(30, 3)]
    expected = []
    for a, b in zip(ours, true, strict=True):
        apart = (a[:, None] - b).norm(dim=2)
        expected.append(apart.min(1).values.mean() + apart.min(0).values.mean())
    got = chamfer_distance(*pack(ours), *pack(true), 2)
    torch.testing.assert_close(got, torch.stack(expected), atol=1e-5, rtol=1e-5)


def test_chamfer_of_no_points_is_that_of_the_origin():
    target = sphere(60, radius=0.5)
    none, batch = torch.zeros(0, 3, requires_grad=True), torch.zeros(0, dtype=torch.int64)
    loss = chamfer_distance(none, batch, *pack([target, target]), 2)
    torch.testing.assert_close(loss, torch.tensor([1.0, 1.0]))
    loss.sum().backward()
    between = chamfer_distance(*pack([target, sphere(0), target]), *pack([target] * 3), 3)
    torch.testing.assert_close(between, torch.tensor([0.0, 1.0, 0.0]))


def test_chamfer_has_a_finite_gradient_where_clouds_meet():
    points = sphere(20).requires_grad_()
    batch = torch.zeros(20, dtype=torch.int64)
    chamfer_distance(points, batch, points.detach(), batch, 1).sum().backward()
    assert not points.grad.any()


def test_chamfer_gradient():
    """One point between two: the nearer one draws it in one direction, both in the other."""
    point = torch.tensor([[0.4, 0.0, 0.0]], requires_grad=True)
    target = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    batches = torch.zeros(1, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
    chamfer_distance(point, batches[0], target, batches[1], 1).sum().backward()
    torch.testing.assert_close(point.grad, torch.tensor([[1.0, 0.0, 0.0]]))


@pytest.mark.parametrize("length", [0.1, 0.25])
def test_the_chamfer_loss_is_in_voxel_lengths(length):
    """So that the two losses keep their proportion where voxels are chosen shorter."""
    cloud, target = pack([sphere(30), sphere(40, 1)]), pack([sphere(50, 2), sphere(20, 3)])
    level = {
        "logits": torch.zeros(2),
        "labels": torch.tensor([True, False]),
        "batch": torch.arange(2),
    }
    output = {"points": cloud[0], "batch": cloud[1], "levels": [level]}
    losses = recon_losses(output, *target, 2, length, LossConfig(occupancy=3.0, chamfer=0.5))
    distance = chamfer_distance(*cloud, *target, 2)
    torch.testing.assert_close(losses["chamfer"], 0.5 * distance / length)
    torch.testing.assert_close(losses["occupancy"], torch.full((2,), 3 * math.log(2)))


def test_occupancy_loss_by_hand():
    levels = [
        {
            "logits": torch.tensor([0.0, 1.0, 2.0]),
            "labels": torch.tensor([True, False, True]),
            "batch": torch.tensor([0, 0, 1]),
        },
        {
            "logits": torch.tensor([-1.0]),
            "labels": torch.tensor([True]),
            "batch": torch.tensor([0]),
        },
    ]
    log = lambda x: math.log1p(math.exp(x))  # noqa: E731
    first = [(math.log(2) + log(1)) / 2, log(-2)]
    expected = [(first[0] + log(1)) / 2, first[1] / 2]
    torch.testing.assert_close(occupancy_loss(levels, 2), torch.tensor(expected))


def test_a_few_steps_bring_both_losses_down():
    torch.manual_seed(0)
    net = ReconNet(ModelConfig(**{**vars(SMALL), "hourglasses": 1}))
    clouds, target = (
        pack([sphere(150), sphere(150, 1, 0.5)]),
        pack([sphere(400, 2), sphere(400, 3, 0.5)]),
    )
    optimizer, seen = torch.optim.AdamW(net.parameters(), 5e-3), []
    for _ in range(10):
        losses = recon_losses(net(*clouds, *target), *target, 2, SMALL.voxel_length, LossConfig())
        seen.append({name: float(loss.detach().mean()) for name, loss in losses.items()})
        optimizer.zero_grad()
        sum(loss.mean() for loss in losses.values()).backward()
        optimizer.step()
    assert all(seen[-1][name] < 0.7 * seen[0][name] for name in seen[0])
    assert cloud_sizes(net(*clouds)["batch"], 2).min() > 0
