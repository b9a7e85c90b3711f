"""SurfaceNet: moving least squares before training, what it does not depend on, and its losses."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from apps.pointcloud.config import LossConfig, ModelConfig
from apps.pointcloud.evaluation import inference
from apps.pointcloud.evaluation.inference import (
    normalization_of,
    reconstruct_cloud,
    reconstruct_places,
)
from apps.pointcloud.geometry.patches import patches_of
from apps.pointcloud.geometry.segments import pack, unpack
from apps.pointcloud.geometry.spacing import spacing_of
from apps.pointcloud.models.losses import recon_losses
from apps.pointcloud.models.network import ReconNet, create_network
from apps.pointcloud.models.operators import OPERATORS
from apps.pointcloud.models.surface import REACH, SECOND, SLIDE, SurfaceNet, bounded, smoothed
from core.config import build
from core.data.randomness import direction, stream
from core.errors import InputError
from core.training.session import Session

SMALL = ModelConfig(start="surface", channels=16, blocks=1, neighbours=8, points=4)
TWICE = replace(SMALL, smoothing=16)  # with the second pass


def sphere(count=300, noise=0.02, seed=0):
    rng = stream(seed)
    points = np.stack([direction(rng) for _ in range(count)])
    return (points * (1 + noise * rng.standard_normal((count, 1)))).astype(np.float32)


def made_of(network, points):
    cloud = torch.from_numpy(np.float32(points))
    return network(cloud, torch.zeros(len(cloud), dtype=torch.int64))["points"].detach().numpy()


def trained(config=TWICE):
    """A network whose last layer is no longer 0, as after training."""
    network = create_network(config)
    torch.nn.init.normal_(network.refine.last.weight, std=0.3)
    return network.eval()


def apart(a, b):
    """The largest distance of a point of one cloud to the other cloud."""
    return max(cKDTree(a).query(b)[0].max(), cKDTree(b).query(a)[0].max())


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("train", [True, False])
def test_before_training_it_is_moving_least_squares_to_the_last_bit(operator, train):
    network = create_network(ModelConfig(**{**vars(SMALL), "operator": operator})).train(train)
    clouds = [sphere(), sphere(120, seed=1)]
    points, batch = pack([torch.from_numpy(cloud) for cloud in clouds])
    output = network(points, batch)
    for cloud, made in zip(clouds, unpack(output["points"], output["batch"]), strict=True):
        surface = patches_of(cloud).spread(SMALL.points).reshape(-1, 3).astype(np.float32)
        np.testing.assert_array_equal(made.detach().numpy(), surface)


def test_moving_least_squares_takes_noise_away():
    noisy = sphere(600, 0.03)
    made = patches_of(noisy).spread(8).reshape(-1, 3)
    before = np.abs(np.linalg.norm(noisy, axis=1) - 1).mean()
    assert np.abs(np.linalg.norm(made, axis=1) - 1).mean() < 0.6 * before


def test_patches_turn_with_the_cloud():
    points = sphere().astype(np.float64) * [1, 0.7, 0.5]
    turn = np.linalg.qr(stream(5).standard_normal((3, 3)))[0]  # a mirror too, or not
    turned = patches_of(points @ turn).spread(6).reshape(-1, 3)
    assert apart(turned, patches_of(points).spread(6).reshape(-1, 3) @ turn) < 1e-6


@pytest.mark.parametrize(("scale", "shift"), [(4.0, 0.0), (1.0, 8.0), (2.0**-10, 0.0)])
def test_unit_and_place_play_no_role(scale, shift):
    network, points = trained(), sphere()
    points = np.round(points * 2**12) / 2**12  # moved without rounding
    made = made_of(network, points * scale + shift)
    assert apart((made - shift) / scale, made_of(network, points)) < 1e-4


def test_the_order_of_points_plays_no_role():
    network, points = trained(), sphere()
    shuffled = points[np.argsort(stream(3).random(len(points)))]
    assert apart(made_of(network, shuffled), made_of(network, points)) < 1e-4


def test_clouds_of_a_batch_do_not_see_each_other():
    network, clouds = trained(), [sphere(), 100 * sphere(90, seed=2)]
    output = network(*pack([torch.from_numpy(cloud) for cloud in clouds]))
    each = unpack(output["points"], output["batch"])
    for cloud, made in zip(clouds, each, strict=True):
        assert (
            apart(made.detach().numpy() / np.ptp(cloud), made_of(network, cloud) / np.ptp(cloud))
            < 1e-5
        )


def test_surveyed_coordinates_keep_their_detail():
    network, utm = trained(), np.array([463_120.25, 5_428_911.5, 212.125])
    network.spacing.fill_(0.2)
    points = sphere(200).astype(np.float64)
    here, there = (
        np.concatenate([made for made, _ in reconstruct_places(Session(), network, cloud)])
        for cloud in (points, points + utm)
    )
    assert apart(here, there - utm) < 1e-4


def test_a_large_cloud_goes_in_few_tiles_and_none_is_seen(monkeypatch):
    """A ball in one piece, and in tiles of at most 500 points and their margins."""
    network, points = trained(), sphere(4000, 0.01).astype(np.float64)
    network.spacing.fill_(0.2)
    normalization = normalization_of(points, network)
    whole = [piece for piece, _ in reconstruct_cloud(Session(), network, points, normalization)]
    assert len(whole) == 1, "a surface is cut for its number of points alone"
    monkeypatch.setattr(inference, "ON_SURFACE", 500)
    pieces = [piece for piece, _ in reconstruct_cloud(Session(), network, points, normalization)]
    assert sum(len(piece) > 0 for piece in pieces) > 8
    made, spacing = np.concatenate(pieces), spacing_of(points)
    assert len(made) == pytest.approx(len(whole[0]), rel=0.01)
    distance = cKDTree(made).query(whole[0])[0]
    assert np.quantile(distance, 0.99) < 0.1 * spacing


def test_sparse_parts_are_kept_and_have_a_unit_of_their_own():
    grid = np.stack(np.meshgrid(*[np.arange(20)] * 2, indexing="ij"), -1).reshape(-1, 2)
    plane = np.c_[grid, np.zeros(len(grid))] + 0.05 * stream(1).standard_normal((400, 3))
    both = np.concatenate([0.02 * plane, 0.2 * plane + [2, 0, 0]]).astype(np.float32)
    network = trained().train()
    output = network(torch.from_numpy(both), torch.zeros(800, dtype=torch.int64))
    sparse = output["points"][:, 0] > 1.5
    assert sparse.sum() >= 0.95 * 400 * SMALL.points
    ratio = output["spacing"][sparse].median() / output["spacing"][~sparse].median()
    assert ratio == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_a_few_points_give_points(count):
    made = made_of(trained(), sphere(count))
    assert np.isfinite(made).all()
    assert len(made)


def test_copies_of_one_point_stay_where_they_are():
    np.testing.assert_allclose(made_of(create_network(SMALL), np.ones((40, 3))), 1.0)


def test_displacements_are_bounded_whatever_the_normals_sign():
    raw, normal = 50 * torch.randn(200, 1, 3), torch.randn(200, 1, 3)
    normal = normal / normal.norm(dim=2, keepdim=True)
    moved = bounded(raw, normal)
    along = (moved * normal).sum(2, keepdim=True)
    assert along.abs().max() <= REACH + 1e-5
    assert (moved - along * normal).norm(dim=2).max() <= SLIDE + 1e-5
    torch.testing.assert_close(moved, bounded(raw, -normal))


def test_points_that_are_not_valid_are_left_out_in_evaluation_alone():
    network, points = create_network(SMALL), torch.from_numpy(sphere())
    batch = torch.zeros(len(points), dtype=torch.int64)
    every = len(network(points, batch)["points"])
    torch.nn.init.normal_(network.refine.last.weight, std=5.0)
    assert len(network(points, batch)["points"]) == every
    output = network.eval()(points, batch)
    assert 0 < len(output["points"]) < every
    assert (output["validity"] >= 0).all()
    torch.nn.init.zeros_(network.refine.last.weight)
    torch.nn.init.constant_(network.refine.last.bias, -9.0)
    assert len(network(points, batch)["points"]) == every  # rather all than none


def test_the_second_pass_goes_half_way_to_a_surface_and_leaves_others_alone():
    """On a bent surface with points on both sides of it, each new point of an input one's set."""
    rng = stream(3)
    flat = rng.uniform(-1, 1, (400, 4, 2))
    bend = np.concatenate([flat, 0.2 * (flat**2).sum(-1, keepdims=True)], 2)
    beside = bend + [0, 0, 0.01] * rng.choice([-1, 1], (400, 4, 1))
    made, valid = torch.from_numpy(np.float32(beside)), torch.ones(400, 4, dtype=torch.bool)
    parts = SimpleNamespace(clouds=torch.arange(400) // 390, units=torch.full((400,), 0.1))
    moved = smoothed(made, valid, parts, 64)  # the second cloud has too few for a surface
    assert torch.equal(moved[390:], made[390:])
    height = (moved[:390, 0].numpy() - bend[:390, 0])[:, 2]  # of those that the surface is nearest
    assert np.sqrt(np.mean(height**2)) == pytest.approx((1 - SECOND) * 0.01, rel=0.2)
    # what is not valid plays no part in where the surface is
    made[:50, 1:], valid[:50, 1:] = 99.0, False
    again = smoothed(made, valid, parts, 64)
    assert (again[:50, 0] - moved[:50, 0]).abs().max() < 0.01
    # and nothing goes further than half of a spacing, wherever a surface may run
    assert (again - made).norm(dim=2).max() < SECOND * 0.1 * REACH + 1e-4


@pytest.mark.parametrize("neighbours", [1, 15])
def test_a_second_pass_through_a_few_points_is_refused(neighbours):
    with pytest.raises(InputError, match=f"model.smoothing is {neighbours}: choose 0"):
        create_network(replace(SMALL, smoothing=neighbours))


def test_an_evaluation_can_change_the_second_pass():
    network, points = trained(SMALL), sphere()
    first = made_of(network, points)
    network.smooth_over(64)
    assert network.describe()["model"]["smoothing"] == 64
    assert not np.array_equal(made_of(network, points), first)
    with pytest.raises(InputError, match="smoothing is 3"):
        network.smooth_over(3)
    network.smooth_over(0)
    assert np.array_equal(made_of(network, points), first)


def test_the_second_pass_is_of_evaluation_alone():
    network, points = trained(), torch.from_numpy(sphere())
    batch = torch.zeros(len(points), dtype=torch.int64)
    with torch.no_grad():
        twice = network(points, batch)["points"]
        once = trained_as(network, smoothing=0)(points, batch)["points"]
        assert 0 < (twice - once).abs().max() < 0.2
        made = (trained_as(network, smoothing=n).train()(points, batch)["points"] for n in (0, 16))
        torch.testing.assert_close(*made, rtol=0, atol=0)


def trained_as(network, **changes):
    """The same weights in a network with other settings."""
    other = create_network(replace(network.config, **changes)).eval()
    other.load_state_dict(network.state_dict())
    return other


def test_losses_are_in_spacings_and_tell_outliers():
    points = torch.tensor([[0.0, 0, 0], [0, 0, 2], [0, 0, 90]])
    made = {
        "points": points,
        "batch": torch.zeros(3, dtype=torch.int64),
        "spacing": torch.full((3,), 4.0),
        "validity": torch.tensor([9.0, 9.0, -9.0]),
    }
    target = torch.tensor([[0.0, 0, 0]]), torch.zeros(1, dtype=torch.int64)
    losses = recon_losses(made, *target, 1, 1.0, LossConfig())
    # 0, half a spacing, and what is too far to count for more than two
    assert losses["chamfer"].item() == pytest.approx((0 + 0.5 + 2) / 3)
    weighed = recon_losses(made, *target, 1, 1.0, LossConfig(accuracy=3.0))
    assert weighed["chamfer"].item() == pytest.approx(3 * (0 + 0.5 + 2) / 3)
    assert losses["validity"].item() < 1e-3
    made["validity"] = -made["validity"]
    assert recon_losses(made, *target, 1, 1.0, LossConfig())["validity"].item() > 2


def test_a_step_lowers_the_loss():
    network, clean = create_network(SMALL), torch.from_numpy(sphere(1200, 0.0))
    points, zeros = torch.from_numpy(sphere(300, 0.06)), torch.zeros(1200, dtype=torch.int64)
    optimizer, losses = torch.optim.Adam(network.parameters(), 3e-3), []
    for _ in range(12):
        each = recon_losses(network(points, zeros[:300]), clean, zeros, 1, 1.0, LossConfig())
        losses.append(each["chamfer"].item())
        optimizer.zero_grad()
        sum(loss.sum() for loss in each.values()).backward()
        optimizer.step()
    assert losses[-1] < 0.97 * losses[0]


def test_checkpoints_say_which_network_they_are_and_old_ones_hold_voxels():
    info = trained().describe()
    assert isinstance(ReconNet.from_description(info, "a run"), SurfaceNet)
    old = {name: value for name, value in info["model"].items() if name != "start"}
    assert isinstance(ReconNet.from_description({**info, "model": old}, "a run"), ReconNet)
    assert build(ModelConfig, old, "an old file").start == "voxels"
