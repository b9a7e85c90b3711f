"""Training inputs as a depth camera sees them: rendering, noise, occlusion, density, outliers."""

from dataclasses import replace

import numpy as np
import pytest

from apps.pointcloud.config import CorruptionConfig, ScanConfig
from apps.pointcloud.data.cloud_set import CloudSet
from apps.pointcloud.data.dataset import Reconstruction
from apps.pointcloud.data.rgbd import KINECT, back_project, noisy_depth
from apps.pointcloud.data.scanning import CAMERA, HEIGHT, WIDTH, check_scan, render, scanned
from apps.pointcloud.geometry.cloud import make_cloud
from core.data.randomness import direction, stream
from core.errors import InputError

SCAN = ScanConfig(share=1.0)
FEW = CorruptionConfig(points=400, outliers=0.0)


def wall(depth, slope=0.0, side=7.0, each=90):
    """A plane in front of a camera at the origin, as points and normals."""
    x, y = np.meshgrid(*[np.linspace(-side / 2, side / 2, each)] * 2)
    points = np.stack([x, y, depth + slope * x], 2).reshape(-1, 3)
    normal = np.array([slope, 0, -1]) / np.hypot(slope, 1)
    return points, np.tile(normal, (len(points), 1))


def ball(count=4000):
    rng = stream(0)
    return np.stack([direction(rng) for _ in range(count)])


@pytest.mark.parametrize("slope", [0.0, 0.5])
def test_a_plane_is_rendered_exactly_and_without_gaps(slope):
    depth = render(*wall(3.0, slope), np.eye(4))
    assert depth.shape == (HEIGHT, WIDTH)
    assert (depth > 0).all()
    points = back_project(depth, CAMERA, np.eye(4))
    np.testing.assert_allclose(points[:, 2], 3.0 + slope * points[:, 0], atol=1e-9)


def test_what_is_behind_is_hidden():
    near, far = wall(2.0), wall(4.0)
    depth = render(*(np.concatenate(rows) for rows in zip(near, far, strict=True)), np.eye(4))
    np.testing.assert_allclose(depth, 2.0)


def test_steps_and_noise_of_a_depth_camera_grow_with_the_square_of_the_distance():
    steps, spreads = [], []
    for z in (1.5, 3.0):
        depth = noisy_depth(render(*wall(z), np.eye(4)), stream(1))
        steps.append(np.diff(np.unique(depth)).min())
        spreads.append(depth.std())
        # an eighth of a pixel of disparity: z^2 / (8 f b)
        assert steps[-1] == pytest.approx(z**2 / (8 * KINECT), rel=0.1)
    assert steps[1] / steps[0] == pytest.approx(4, rel=0.1)
    assert spreads[1] > 2.5 * spreads[0]


def test_the_far_side_is_a_hole_and_the_input_is_of_the_cloud():
    points = ball()
    one = replace(SCAN, views=1, pose=0.0)
    seen = scanned(points, points, one, FEW, stream(4)).astype(np.float64)
    assert seen.shape == (400, 3)
    assert np.median(np.abs(np.linalg.norm(seen, axis=1) - 1)) < 0.05
    towards = seen.mean(0) / np.linalg.norm(seen.mean(0))
    # from 1.4 to 3 radii no more than 71 degrees around the camera are seen
    assert (np.sort(seen @ towards)[20:] > 0.1).all()


def test_a_wall_is_denser_where_it_is_near():
    depth = render(*wall(2.5, 0.4), np.eye(4))
    points = back_project(depth, CAMERA, np.eye(4))
    near, far = ((abs(points[:, 0] - x) < 0.3) & (abs(points[:, 1]) < 0.5) for x in (-1.0, 1.0))
    # pixels go with the square of the depth, and with the slant to the ray
    assert near.sum() > 1.3 * far.sum()


def test_outliers_are_as_many_as_said_and_half_in_clusters():
    points, some = ball(), replace(FEW, outliers=0.2)
    seen = scanned(points, points, replace(SCAN, smallest=0.5, largest=0.6), some, stream(4))
    away = np.abs(np.linalg.norm(seen, axis=1) - 1) > 0.15
    assert 40 < away.sum() <= 100
    nearest = np.linalg.norm(seen[away][:, None] - seen[away], axis=2)
    assert (np.sort(nearest, 1)[:, 3] < 0.15).sum() > 15


def test_a_share_of_the_training_inputs_is_scanned_and_seeds_decide():
    clouds = CloudSet("a ball", ("ball",), lambda _: make_cloud(ball(), ball()))
    inputs = [
        Reconstruction(clouds, FEW, 100, seed=0, scan=scan)[0]["input"].numpy()
        for scan in (ScanConfig(), SCAN, SCAN)
    ]
    np.testing.assert_array_equal(inputs[1], inputs[2])
    assert len(inputs[0]) == len(inputs[1]) == 400
    assert (inputs[0] != inputs[1]).any()


@pytest.mark.parametrize(
    ("field", "value"),
    [("share", 1.5), ("views", 0), ("clusters", -1), ("smallest", 0.0), ("smallest", 99.0)],
)
def test_settings_without_a_meaning_are_refused(field, value):
    with pytest.raises(InputError, match=field):
        check_scan(replace(SCAN, **{field: value}))
