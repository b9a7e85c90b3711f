"""What a person gets: closed forms before and after, noise, sparse parts, exact counts, files."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from apps.pointcloud import predict
from apps.pointcloud.config import ModelConfig
from apps.pointcloud.data.files import read_cloud, read_mesh, write_cloud
from apps.pointcloud.data.open3d_compat import has_open3d
from apps.pointcloud.evaluation.inference import reconstruct_places
from apps.pointcloud.geometry.cloud import Cloud, make_cloud
from apps.pointcloud.geometry.places import density_levels, without_lonely
from apps.pointcloud.geometry.quadrics import quadrics_of
from apps.pointcloud.geometry.roughness import roughness_of
from apps.pointcloud.geometry.spacing import spacing_of
from apps.pointcloud.prediction.checks import Coverage, rougher
from apps.pointcloud.prediction.finishing import exactly, with_normals
from apps.pointcloud.prediction.methods import mls, poisson
from core.errors import InputError
from core.training.session import Session
from tests.core.launch import launch

needs_open3d = pytest.mark.skipif(not has_open3d(), reason="Open3D cannot be imported here")
NOISE = 0.02


def sphere(count, rng):
    points = rng.standard_normal((count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def plane(count, rng):
    return np.c_[rng.uniform(-1, 1, (count, 2)), np.zeros(count)]


def cylinder(count, rng):
    angle = rng.uniform(0, 2 * np.pi, count)
    return np.c_[np.cos(angle), np.sin(angle), rng.uniform(-1, 1, count)]


AWAY = {  # distance from the true surface
    sphere: lambda p: np.abs(np.linalg.norm(p, axis=1) - 1),
    plane: lambda p: np.abs(p[:, 2]),
    cylinder: lambda p: np.abs(np.linalg.norm(p[:, :2], axis=1) - 1),
}
SHAPES = pytest.mark.parametrize("shape", AWAY, ids=lambda shape: shape.__name__)


def noisy(shape, count=2000, noise=NOISE, seed=0):
    rng = np.random.default_rng(seed)
    return shape(count, rng) + noise * rng.standard_normal((count, 3))


def made_by(method, points, count=0):
    return next(method(points, count, lambda done, of: None))[0]


# ---- closed forms ------------------------------------------------------------------------------


@SHAPES
@pytest.mark.parametrize("scale", [1.0, 1e-3, 5e4])
def test_mls_brings_points_nearer_to_a_known_surface(shape, scale):
    """At noise of a fifth of the spacing: to less than half of the distance, in any unit."""
    points = noisy(shape)
    before = AWAY[shape](points).mean()
    made = made_by(mls, points * scale) / scale
    assert len(made) == 4 * len(points)
    assert before == pytest.approx(NOISE * np.sqrt(2 / np.pi), rel=0.1)
    assert AWAY[shape](made).mean() < 0.5 * before


@SHAPES
def test_mls_leaves_a_clean_surface_where_it_is(shape):
    """Planes cut a sphere of 500 points flat by 0.01, five times its noise."""
    points = noisy(shape, 500, 0.002)
    assert AWAY[shape](made_by(mls, points)).mean() < AWAY[shape](points).mean()


@needs_open3d
def test_poisson_brings_points_nearer_to_a_sphere_and_says_where_it_cannot():
    points = noisy(sphere)
    made = made_by(poisson, points, 3000)
    assert made.shape == (3000, 3)
    assert AWAY[sphere](made).mean() < 0.6 * AWAY[sphere](points).mean()
    with pytest.raises(InputError, match="no surface in these points: take --method mls"):
        made_by(poisson, noisy(plane, 200, 0.0))


@SHAPES
@pytest.mark.parametrize("noise", [0.002, 0.01, 0.02])
def test_noise_is_told_in_numbers(shape, noise):
    found = roughness_of(noisy(shape, noise=noise))
    assert found.sigma == pytest.approx(noise, rel=0.12)
    assert found.spacing == pytest.approx(spacing_of(noisy(shape, noise=noise)))
    assert found.clean == (noise == 0.002)
    assert ("clean, it needs points alone" in str(found)) == found.clean


def test_noise_of_few_points_and_of_points_on_a_line():
    assert roughness_of(noisy(sphere, 15)).sigma == 0
    line = np.c_[np.arange(50.0), np.zeros((50, 2))]
    assert roughness_of(line).sigma == pytest.approx(0, abs=1e-6)


def test_heights_over_a_paraboloid_are_exact():
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 21)] * 2), -1).reshape(-1, 2)
    surface = np.c_[grid, 0.3 * grid[:, 0] ** 2 - 0.2 * grid.prod(1)]
    places = np.array([[0.0, 0.0, 0.1], [0.0, 0.0, -0.05]])
    fit = quadrics_of(places, surface, 16)
    upwards = np.sign(fit.normals[:, 2])
    np.testing.assert_allclose(fit.over(places) * upwards, [0.1, -0.05], atol=1e-3)
    np.testing.assert_allclose(fit.deviations, 0, atol=1e-3)


def test_what_comes_out_rougher_is_said():
    points = noisy(sphere, noise=0.002)
    before = roughness_of(points)
    assert rougher(made_by(mls, points), points, before) is None
    assert "rougher than it was" in rougher(noisy(sphere, noise=0.02, seed=1), points, before)


# ---- sparse parts ------------------------------------------------------------------------------


def dense_and_sparse():
    """A square of 2,000 points beside one of a fiftieth of the density."""
    dense, sparse = noisy(plane, 2000, 0.001), noisy(plane, 400, 0.001, 1)
    return np.concatenate([dense, sparse * np.sqrt(10) + [6, 0, 0]])


class Near(nn.Module):
    """Points that have three others within a sixth of a unit: what is sparser it drops."""

    config = ModelConfig(voxel_length=1 / 8, depth=2)

    def __init__(self):
        super().__init__()
        self.spacing = torch.tensor(0.1)

    def forward(self, points, batch):
        near = (torch.cdist(points, points) < 1 / 6) & (batch[:, None] == batch)
        kept = near.sum(1) > 3
        return {"points": points[kept], "batch": batch[kept]}


def test_each_part_has_the_scale_of_its_own_spacing():
    points = dense_and_sparse()
    levels = density_levels(points)
    assert np.mean(levels[:2000] == 0) > 0.97
    assert np.mean(levels[2000:] == 2) > 0.9  # exp(2) is about 7, as is the root of 50
    assert not density_levels(noisy(sphere)).any()
    tiles = []
    pieces = reconstruct_places(Session(), Near(), points, lambda *counts: tiles.append(counts))
    made = np.concatenate([piece for piece, _ in pieces])
    assert tiles == sorted(tiles)  # the parts are counted one after another
    assert tiles[-1][0] == tiles[-1][1]
    sparse = made[:, 0] > 2
    assert sparse.sum() > 0.85 * 400
    assert (~sparse).sum() > 0.9 * 2000
    assert len(np.unique(made.round(6), axis=0)) == len(made)  # no place comes twice


def test_copies_have_no_density_of_their_own():
    copies = np.repeat(noisy(plane, 20), 5, 0)  # each with four others at its place
    for points in (np.concatenate([noisy(sphere), copies]), copies):
        assert not density_levels(points).any()


def test_lonely_points_are_outliers_and_sparse_parts_are_not():
    outliers = np.random.default_rng(5).uniform(-1, 1, (5, 3)) + np.array([0, 0, 2])
    left = without_lonely(np.concatenate([dense_and_sparse(), outliers]))
    assert not (left[:, 2] > 0.5).any()
    assert (left[:, 0] > 2).sum() > 0.95 * 400


def test_input_points_without_output_are_counted():
    points = dense_and_sparse()
    coverage = Coverage(points, spacing_of(points))
    assert coverage.uncovered() == len(points)
    coverage.add(points[:2000], np.arange(2000))
    assert coverage.uncovered() == 400
    assert coverage.line(False).startswith("400 of 2,400 points have nothing reconstructed near")
    coverage.add(points[2000:], np.arange(len(points)))
    assert coverage.line(False) is None


# ---- exact counts, normals, files --------------------------------------------------------------


def test_points_beyond_those_made_are_new_and_kept_ones_stay():
    cloud = make_cloud(noisy(sphere, 300), None, np.abs(noisy(sphere, 300)).clip(0, 1))
    for count in (100, 300, 2000):
        made = exactly(cloud, count)
        assert len(made) == len(np.unique(made.points, axis=0)) == count == len(made.colours)
        assert np.abs(np.linalg.norm(made.points, axis=1) - 1).mean() < NOISE
        kept = exactly(cloud, count, kept=50)
        assert np.array_equal(kept.points[:50], cloud.points[:50])
    with pytest.raises(InputError, match="3 points come out, too few to make 10 of them"):
        exactly(cloud.at(slice(3)), 10)


def test_normals_are_of_length_1_and_turned_alike():
    cloud = make_cloud(noisy(sphere, 800, 0.01))
    truth = cloud.points / np.linalg.norm(cloud.points, axis=1, keepdims=True)
    for source in (cloud, Cloud(cloud.points, truth), Cloud(cloud.points, -truth)):
        side = -1 if source.normals is not None and source.normals[0] @ truth[0] < 0 else 1
        normals = with_normals(cloud, source).normals
        assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
        assert (side * (normals * truth).sum(1) > 0.9).mean() > 0.99


@pytest.fixture
def command():
    return lambda *words: launch(predict.main, *words)


def test_a_surveyed_scan_by_mls_without_a_run(command, tmp_path):
    """Doubles in, doubles out; the input's points stay, exactly so many come out; noise is told."""
    utm = np.array([694385.5, 5155486.25, 381.0])
    np.savez(tmp_path / "hall.npz", points=noisy(sphere, 600) + utm)
    (tmp_path / "bad.obj").write_bytes(bytes(range(256)))
    words = [tmp_path / "bad.obj", tmp_path / "hall.npz", "--method", "mls", "--no-page"]
    done = command(*words, "--keep", "--points", 1500, "--normals", "--output", tmp_path / "out")
    assert done.returncode == 2
    assert "left out: " in done.output
    assert "of the spacing" in done.output
    made = read_cloud(tmp_path / "out/hall.ply")
    assert len(made) == 1500
    np.testing.assert_allclose(made.places()[:600], noisy(sphere, 600) + utm, atol=1e-4)
    assert AWAY[sphere](made.places()[600:] - utm).mean() < 0.6 * NOISE
    assert made.normals is not None
    (record,) = json.loads((tmp_path / "out/predictions.json").read_text())
    assert (record["method"], record["uncovered"]) == ("mls", 0)
    assert record["noise"] == pytest.approx(NOISE, rel=0.2)
    few = command(*words[1:], "--keep", "--points", 100, "--output", tmp_path / "few")
    assert "600 points to --keep are more than --points 100" in few.output
    assert "is missing" in command("nowhere.ply", "--method", "mls").output


@needs_open3d
def test_a_mesh_on_request(command, tmp_path):
    colours = np.tile([1.0, 0.0, 0.0], (600, 1))
    write_cloud(tmp_path / "ball.ply", make_cloud(noisy(sphere, 600) + 3, None, colours))
    words = [tmp_path / "ball.ply", "--method", "poisson", "--mesh", "--no-page"]
    done = command(*words, "--output", tmp_path / "out")
    assert done.returncode == 0, done.output
    vertices, faces = read_mesh(tmp_path / "out/ball-mesh.ply")
    assert np.abs(np.linalg.norm(vertices - 3, axis=1) - 1).mean() < NOISE
    assert len(faces) > 500
