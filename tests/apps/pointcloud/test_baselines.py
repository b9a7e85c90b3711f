"""What reconstructs without learning: counts, determinism, and that it does what it says."""

import numpy as np
import pytest

from apps.pointcloud.data.corruption import CorruptionConfig, corrupt
from apps.pointcloud.data.open3d_compat import has_open3d
from apps.pointcloud.evaluation.baselines import (
    BASELINES,
    moving_least_squares,
    poisson,
    project,
    unchanged,
    voxel_average,
    without_outliers,
)
from apps.pointcloud.evaluation.metrics import cloud_metrics
from core.data.randomness import stream

needs_open3d = pytest.mark.skipif(not has_open3d(), reason="Open3D cannot be imported here")
METHODS = [
    pytest.param(method, id=name, marks=needs_open3d if name == "Poisson" else ())
    for name, method in BASELINES.items()
]


def sphere(count, seed):
    points = np.random.default_rng(seed).standard_normal((count, 3))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def noisy():
    config = CorruptionConfig(points=512, noise=0.03, outliers=0.03)
    return corrupt(sphere(4096, 0), config, stream(0))


@pytest.mark.parametrize("method", METHODS)
def test_counts_and_determinism(method, noisy):
    for count in (2048, 100):
        found = method(noisy, count)
        assert found.shape == (count, 3)
        assert found.dtype == np.float32
        assert np.isfinite(found).all()
        assert np.array_equal(found, method(noisy, count))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [1, 2, 3, 20])
def test_few_points_and_points_at_one_place(method, size):
    for points in (sphere(size, 1), np.ones((size, 3), np.float32)):
        found = method(points, 64)
        assert found.shape == (64, 3)
        assert np.isfinite(found).all()


@pytest.mark.parametrize("method", METHODS[1:])
def test_each_is_nearer_to_a_sphere_than_its_input(method, noisy):
    true = sphere(4096, 2)
    before = cloud_metrics(unchanged(noisy, 2048), true, (0.02,))
    after = cloud_metrics(method(noisy, 2048), true, (0.02,))
    assert after["hausdorff"] < before["hausdorff"]
    if method is not voxel_average:  # which adds no points
        assert after["chamfer_l2"] < 0.7 * before["chamfer_l2"]


def test_the_input_keeps_its_metrics(noisy):
    true = sphere(1000, 2)
    repeated = cloud_metrics(unchanged(noisy, 4 * len(noisy)), true, (0.02,))
    assert repeated == pytest.approx(cloud_metrics(noisy, true, (0.02,)))


def test_outliers_are_what_is_alone():
    cloud = sphere(500, 3)
    far = np.array([[3, 0, 0], [0, -4, 0]], np.float32)
    kept = without_outliers(np.concatenate([far, cloud]))
    assert len(kept) >= 480
    assert np.linalg.norm(kept, axis=1).max() < 1.1


def test_projection_finds_a_plane():
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(0)
    flat = np.c_[rng.random((400, 2)), np.zeros(400)] @ np.linalg.qr(rng.random((3, 3)))[0]
    moved = flat + 0.05 * rng.standard_normal(flat.shape)
    normal = np.linalg.svd(flat - flat.mean(0))[2][2]
    found = project(moved, flat, cKDTree(flat), 8)
    assert np.abs((found - flat.mean(0)) @ normal).max() < 1e-9
    shift = found - moved  # along the normal only
    assert np.allclose(shift, (shift @ normal)[:, None] * normal, atol=1e-9)


def test_moving_least_squares_denoises_and_fills(noisy):
    found = moving_least_squares(noisy, 2048)
    assert len(np.unique(found, axis=0)) == 2048
    height = np.abs(np.linalg.norm(found, axis=1) - 1)
    clean = without_outliers(noisy)
    assert height.mean() < 0.75 * np.abs(np.linalg.norm(clean, axis=1) - 1).mean()


def test_voxels_by_hand():
    points = np.array([[0.1, 0, 0], [0.3, 0, 0], [0.9, 0, 0], [1.1, 0, 0]], np.float32)
    # nearest neighbours are 0.2 apart: voxels [0, 0.2), [0.2, 0.4), ...
    found = np.unique(voxel_average(points, 8).round(5), axis=0)
    assert found[:, 0].tolist() == pytest.approx([0.1, 0.3, 0.9, 1.1])
    near = np.array([[0.05, 0, 0], [0.1, 0, 0], [0.9, 0, 0], [0.98, 0, 0]], np.float32)
    assert len(np.unique(voxel_average(near, 8).round(5), axis=0)) <= 4


@needs_open3d
def test_poisson_closes_a_sphere():
    found = poisson(sphere(1500, 4), 1000)
    radius = np.linalg.norm(found, axis=1)
    assert np.abs(radius - 1).mean() < 0.01
