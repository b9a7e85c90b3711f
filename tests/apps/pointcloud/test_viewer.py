"""The page of clouds: which way is up, and how points are lit."""

import json

import numpy as np
import pytest

from apps.pointcloud.geometry.cloud import Cloud, make_cloud
from apps.pointcloud.geometry.upright import Y_DOWN, stand, usual_up
from apps.pointcloud.prediction.viewer import cloud_figure

pytest.importorskip("plotly")


def floor(axis, height, size=400):
    """A square floor in the plane that `axis` is normal to."""
    points = np.random.default_rng(0).uniform(-1, 1, (size, 3))
    points[:, axis] = height
    return points.astype(np.float32)


def room(x, z, size=400):
    """Points in a cube of two metres around (x, 0, z)."""
    points = np.random.default_rng(0).uniform(-1, 1, (size, 3))
    return (points + np.array([x, 0, z])).astype(np.float32)


@pytest.mark.parametrize(
    ("points", "up"),
    [
        (floor(2, 0.0), "z up"),
        (room(0, 2), "y down"),  # a depth camera's own axes
        (room(5, 2), "z up"),  # a place on a map
        (room(0, 0), "z up"),
        (floor(2, 3.0), "z up"),  # flat: no depth that a camera sees
        (np.zeros((1, 3), np.float32), "z up"),
    ],
)
def test_usual_up(points, up):
    assert usual_up(points) == up


def test_a_camera_cloud_is_stood_up():
    """Right stays right, what is far goes back, what is low on the image is low."""
    stood = stand(make_cloud(np.float32([[1, 2, 3]])), Y_DOWN)
    np.testing.assert_array_equal(stood.points, [[1, 3, -2]])


def test_points_are_lit_by_their_planes():
    """A floor faces the light more than a wall across it, and what is coloured stays so."""
    flat, wall = make_cloud(floor(2, 0.0)), make_cloud(floor(0, 0.0))
    figure = cloud_figure({"flat": flat, "wall": wall}, "two")
    shades = {trace.name: np.asarray(trace.marker.color).mean() for trace in figure.data}
    light = np.array([0.35, 0.5, 0.8]) / np.linalg.norm([0.35, 0.5, 0.8])
    assert shades["flat"] == pytest.approx(light[2], abs=1e-3)
    assert shades["wall"] == pytest.approx(light[0], abs=1e-3)

    (empty,) = cloud_figure({"none": make_cloud(np.empty((0, 3)))}, "empty").data
    assert len(empty.marker.color) == 0

    red = Cloud(flat.points, colours=np.tile(np.float32([1, 0, 0]), (len(flat), 1)))
    (trace,) = cloud_figure({"red": red}, "one").data
    assert set(trace.marker.color) == {"rgb(255,0,0)"}


@pytest.mark.parametrize(
    ("sides", "away"), [((1, 1, 1), 1.0), ((1, 1, 8), 2.345), ((1, 1, 0), 8.165)]
)
def test_the_eye_is_far_enough_to_see_all(sides, away):
    """plotly makes the geometric mean of the sides 1: a column of eight cubes is 4 high."""
    corners = np.float32(list(np.ndindex(2, 2, 2))) * np.float32(sides)
    figure = json.loads(cloud_figure({"a": make_cloud(corners)}, "one").to_json())
    eye = figure["layout"]["scene"]["camera"]["eye"]
    cube = np.linalg.norm([1.2, -1.4, 0.8])
    assert np.linalg.norm(list(eye.values())) / cube == pytest.approx(away, abs=1e-3)


def test_buttons_turn_the_cloud():
    figure = json.loads(cloud_figure({"a": make_cloud(floor(2, 0.0))}, "one").to_json())
    shown, ways = figure["layout"]["updatemenus"]
    assert [button["label"] for button in ways["buttons"]] == ["z up", "y up", "y down"]
    cameras = [button["args"][0]["scene.camera"] for button in ways["buttons"]]
    assert cameras[ways["active"]] == figure["layout"]["scene"]["camera"]
    assert [camera["up"] for camera in cameras] == [
        {"x": 0, "y": 0, "z": 1},
        {"x": 0, "y": 1, "z": 0},
        {"x": 0, "y": -1, "z": 0},
    ]
    assert [button["label"] for button in shown["buttons"]] == ["a"]
