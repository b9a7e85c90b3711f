"""The other view over a flat ground: by hand, there and back, and on a town's own pixels."""

import math

import pytest
import torch

from apps.crossview.config import DataConfig
from apps.crossview.data.pairs import Pairs
from apps.crossview.evaluation.baselines import fit_baselines
from apps.crossview.evaluation.warping import CAMERAS, Camera, fit_camera, warp

PHOTOGRAPH, PANORAMA = Camera(0.5, 0.1, 1.6), Camera(0.5, 0.1)


def pixel_of(camera, across, ahead, size):
    """(row, column) that sees a place of the ground, by trigonometry."""
    height, width = size
    if camera.field:
        focal = width / camera.field
        return camera.horizon * height + focal * camera.height / ahead, (
            width / 2 + focal * across / ahead
        )
    fall = math.atan2(camera.height, math.hypot(across, ahead))
    turn = math.atan2(across, ahead)
    return (camera.horizon + fall / (math.pi / 2)) * height, (0.5 + turn / (2 * math.pi)) * width


@pytest.mark.parametrize("camera", [PHOTOGRAPH, PANORAMA])
@pytest.mark.parametrize(("across", "ahead"), [(0.0, 0.5), (0.2, 0.4), (-0.3, 0.6)])
def test_a_spot_on_the_ground_is_seen_where_it_lies(camera, across, ahead):
    size = (256, 256)
    above = torch.zeros(1, 3, *size)
    row, column = (1 - ahead) * 128, (1 + across) * 128
    above[:, :, int(row) - 2 : int(row) + 3, int(column) - 2 : int(column) + 3] = 1
    street = warp(above, camera, "a2g", torch.zeros(3, *size))[0, 0]
    weights = street / street.sum()
    places = torch.arange(256) + 0.5
    seen = float((weights.sum(1) * places).sum()), float((weights.sum(0) * places).sum())
    assert seen == pytest.approx(pixel_of(camera, across, ahead, size), abs=2)


@pytest.mark.parametrize("camera", [PHOTOGRAPH, PANORAMA])
def test_both_ways_are_each_others_inverse(camera):
    size = (40, 60)
    across, ahead = camera.ground(size)
    inside = (across.abs() < 1) & (ahead.abs() < 1)  # the pixels that see the square
    assert inside.sum() > 200
    rows, columns = torch.where(inside)
    for row, column in zip(rows[::37], columns[::37], strict=True):
        there = pixel_of(camera, float(across[row, column]), float(ahead[row, column]), size)
        assert there == pytest.approx((float(row) + 0.5, float(column) + 0.5), abs=1e-3)
    size = (50, 50)
    columns, rows = camera.street(size)
    place = 10, 30  # 0.58 ahead, 0.22 to the right
    there = pixel_of(camera, 2 * 30.5 / 50 - 1, 1 - 2 * 10.5 / 50, size)
    assert (50 * rows[place], 50 * columns[place]) == pytest.approx(there, abs=1e-3)


def test_what_has_no_place_there_is_the_mean():
    above, mean = torch.ones(1, 3, 64, 64), torch.full((3, 64, 64), 0.25)
    street = warp(above, PHOTOGRAPH, "a2g", mean)[0, 0]
    assert (street[:33] == 0.25).all(), "above the horizon, and beyond the square"
    torch.testing.assert_close(street[50:], torch.ones(14, 64))
    back = warp(torch.ones(1, 3, 64, 64), PHOTOGRAPH, "g2a", mean)[0, 0]
    assert (back[32:] == 0.25).all(), "behind the camera"
    assert back[20, 32] == pytest.approx(1)


@pytest.mark.parametrize("direction", ["a2g", "g2a"])
@pytest.mark.parametrize("camera", [CAMERAS[40], CAMERAS[-10]])
def test_the_camera_is_found_again(camera, direction):
    torch.manual_seed(0)
    views = torch.nn.functional.interpolate(torch.rand(4, 3, 8, 8), (48, 48), mode="bilinear")
    mean = torch.full((3, 48, 48), 0.5)
    assert fit_camera(views, warp(views, camera, direction, mean), direction, mean) == camera


def test_the_camera_of_towns_is_found(tmp_path):
    from apps.crossview.towns import write_towns

    root = write_towns(tmp_path, 12, 8, size=64, workers=1)
    config = DataConfig(root=str(root), size=(64, 64), enlarge=1.0)
    fitted = fit_baselines(Pairs(config, "train"), "a2g")
    # the towns' own: 80 degrees wide, horizon 0.58, 1.8 to 2.4 metres over 56 x 56
    assert fitted.camera.field == 1.7
    assert fitted.camera.horizon in (0.55, 0.6)
    assert fitted.camera.height in (0.06, 0.09)
