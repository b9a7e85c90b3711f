"""Clouds of any size: tiles, scale, files that grow, the entry point with good and bad input."""

import json
import re
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from apps.pointcloud import predict
from apps.pointcloud.config import ModelConfig
from apps.pointcloud.data.files import read_cloud, write_cloud
from apps.pointcloud.data.formats.ply import read_ply
from apps.pointcloud.data.plywriter import ply_stream
from apps.pointcloud.evaluation.inference import network_method, normalization_of, reconstruct_cloud
from apps.pointcloud.geometry.cloud import make_cloud
from apps.pointcloud.geometry.spacing import spacing_of, thinned
from apps.pointcloud.geometry.tiles import Normalization, tile
from apps.pointcloud.models.network import ReconNet
from apps.pointcloud.presets import debug
from apps.pointcloud.solids import write_solids
from apps.pointcloud.train import main as train_main
from core import InputError
from core.training.session import Session
from tests.core.launch import launch

CONFIG = ModelConfig(voxel_length=1 / 8, depth=2)


class Echo(nn.Module):
    """Every point, and one a twentieth above it: as local as a network can be."""

    config = CONFIG

    def __init__(self, spacing=0.0):
        super().__init__()
        self.spacing = torch.tensor(spacing)
        self.sizes = []

    def forward(self, points, batch):
        self.sizes.append(len(points))
        pair = torch.stack([points, points + torch.tensor([0, 0, 0.05])], 1)
        return {"points": pair.flatten(0, 1), "batch": batch.repeat_interleave(2)}


def plane(count, side, seed=0):
    """A noisy square."""
    rng = np.random.default_rng(seed)
    return np.c_[rng.uniform(0, side, (count, 2)), 0.02 * rng.standard_normal(count)]


def every(network, points, normalization):
    pieces = [made for made, _ in reconstruct_cloud(Session(), network, points, normalization)]
    return np.concatenate(pieces)


def in_order(points):
    return points[np.lexsort(points.round(4).T[::-1])]


# ---- tiles -----------------------------------------------------------------------------------


def test_a_local_network_makes_the_same_of_tiles_as_of_the_whole():
    points = plane(4000, 7.0)
    normalization = Normalization(np.array([3.0, 3.0, 0.3]), 1.0)
    found = every(Echo(), points, normalization)
    expected = np.concatenate([points, points + np.array([0, 0, 0.05])])
    assert len(found) == len(expected)  # nothing is lost, nothing comes twice
    np.testing.assert_allclose(in_order(found), in_order(expected), atol=2e-4)


def test_a_point_on_the_border_of_two_tiles_comes_once():
    points = np.stack(np.meshgrid(*[np.arange(0, 4, 0.25)] * 3), -1).reshape(-1, 3)
    output = every(Echo(), points, Normalization(np.zeros(3), 1.0))
    assert len(output) == 2 * len(points)
    assert len(np.unique(output.round(3), axis=0)) == len(output)


def test_points_made_in_a_tile_without_input_are_kept():
    points = plane(4000, 7.0)
    points[:, 2] = 0.97  # what is added, 0.05 above, lies in the next tiles up
    output = every(Echo(), points, Normalization(np.array([3.0, 3.0, 0.0]), 1.0))
    assert np.sum(output[:, 2] > 1) == len(points) == np.sum(output[:, 2] < 1)


def test_tiles_hold_a_core_and_its_margin():
    points = plane(3000, 5.0, 1)
    tiling = tile(points, CONFIG.voxel_length * 2**CONFIG.depth)
    assert (tiling.core, tiling.margin) == (1.0, 0.5)  # whole numbers of voxels of 1/2
    for number in range(len(tiling)):
        local, rows = tiling.around(number)
        corner = tiling.cores[number] * tiling.core
        near = (points >= corner - 0.5) & (points < corner + 1.5)
        assert sorted(rows) == np.flatnonzero(near.all(1)).tolist()
        np.testing.assert_allclose(local + corner, points[rows], atol=1e-12)


def test_memory_is_bounded_by_the_tiles_that_go_together():
    network = Echo()
    every(network, plane(60_000, 30.0), Normalization(np.zeros(3), 1.0))
    assert max(network.sizes) < 10_000
    assert len(network.sizes) > 6


def test_a_cloud_as_large_as_a_training_shape_is_not_cut():
    network = Echo()
    every(network, plane(500, 2.0), Normalization(np.array([1.0, 1.0, 0.0]), 1.0))
    assert network.sizes == [500]


def test_lonely_points_are_noise_beside_a_scene_and_kept_in_a_small_cloud():
    scene = np.concatenate([plane(4000, 7.0), [[3.0, 3.0, 50.0]]])
    assert every(Echo(), scene, Normalization(np.zeros(3), 1.0))[:, 2].max() < 1
    few = np.array([[0.0, 0, 0], [0.5, 0, 0]])
    assert len(every(Echo(), few, Normalization(np.zeros(3), 1.0))) == 4


def test_the_result_moves_and_grows_with_the_cloud():
    points, network = plane(4000, 7.0), Echo(spacing=0.06)
    found = every(network, points, normalization_of(points, network))
    shifted = points * 1000 + [5e5, -3e5, 100]
    again = every(network, shifted, normalization_of(shifted, network))
    np.testing.assert_allclose(
        in_order((again - [5e5, -3e5, 100]) / 1000), in_order(found), atol=1e-4
    )


def test_the_frame_is_that_of_the_spacing_that_was_learnt():
    points = plane(2000, 3.0)
    normalization = normalization_of(points, Echo(spacing=0.1))
    assert spacing_of(normalization.apply(points)) == pytest.approx(0.1)
    np.testing.assert_allclose(normalization.undo(normalization.apply(points)), points)
    by_sphere = normalization_of(points, Echo()).apply(points)
    assert np.linalg.norm(by_sphere, axis=1).max() == pytest.approx(1)
    with pytest.raises(InputError, match="at one place"):
        normalization_of(np.ones((9, 3)), Echo())


def test_thinning_by_hand():
    cloud = make_cloud([[0, 0, 0], [0.4, 0, 0], [2.1, 0, 0]], None, np.eye(3))
    few = thinned(cloud, 1.0)
    np.testing.assert_allclose(few.points, [[0.2, 0, 0], [2.1, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(few.colours, [[0.5, 0.5, 0], [0, 0, 1]])


def test_a_scene_is_scaled_and_cut_for_the_network_and_a_shape_is_not():
    points, network = plane(4000, 7.0).astype(np.float32), Echo(spacing=0.06)
    scene, shape = (network_method(Session(), network, scenes) for scenes in (True, False))
    both = [scene(points * unit, 500) / unit for unit in (1, 1000)]
    np.testing.assert_allclose(in_order(both[0]), in_order(both[1]), atol=1e-3)
    unit = normalization_of(points, network).unit
    lift = [method(points, 8000)[:, 2].max() - points[:, 2].max() for method in (scene, shape)]
    assert lift == pytest.approx([0.05 * unit, 0.05], abs=1e-3)
    assert abs(unit - 1) > 0.1


# ---- files that grow ---------------------------------------------------------------------------


def test_a_file_that_grows_is_a_ply(tmp_path):
    points, colours = np.arange(36.0).reshape(12, 3), np.linspace(0, 1, 36).reshape(12, 3)
    whole = make_cloud(points, None, colours)
    with ply_stream(tmp_path / "a.ply", whole, "by hand") as stream:
        for part in (slice(0, 5), slice(5, 5), slice(5, 12)):
            stream.add(whole.at(part))
    cloud, _ = read_ply(tmp_path / "a.ply")
    np.testing.assert_array_equal(cloud.points, points)
    np.testing.assert_allclose(cloud.colours, colours, atol=0.003)
    write_cloud(tmp_path / "b.ply", make_cloud(points, None, colours))
    other, _ = read_ply(tmp_path / "b.ply")
    np.testing.assert_array_equal(cloud.colours, other.colours)


def test_a_file_that_does_not_end_is_none(tmp_path):
    cloud = make_cloud(np.ones((3, 3)), None, np.ones((3, 3)))
    with (
        pytest.raises(InputError, match="points are"),
        ply_stream(tmp_path / "a.ply", cloud, "x") as stream,
    ):
        stream.add(make_cloud(cloud.points[:, :2]))
    assert not list(tmp_path.iterdir())


# ---- the entry point ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of the debug preset, of a few steps."""
    root = tmp_path_factory.mktemp("solids")
    solids = write_solids(root, 1, 1, 1, points=512, workers=1)
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    words = ["--data.root", solids, "--run.steps", 15, "--run.batch-size", 8]
    done = launch(train_main, "debug", *words, "--run.folder", folder)
    assert done.returncode == 0, done.output
    return folder


@pytest.fixture
def command(command):
    return partial(command, predict.main)


def sphere(count, seed=0):
    points = np.random.default_rng(seed).standard_normal((count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_a_cloud_in_its_place_unit_and_colours(run, command, tmp_path):
    points = sphere(800)
    colours = np.where(points[:, :1] > 0, [[1.0, 0, 0]], [[0, 0, 1.0]])
    write_cloud(tmp_path / "ball.ply", make_cloud(points * 7 + 40, None, colours))
    done = command(run, tmp_path / "ball.ply", "--output", tmp_path / "out")
    assert done.returncode == 0, done.output
    made = read_cloud(tmp_path / "out/ball.ply")
    away = np.linalg.norm(made.points - 40, axis=1)
    assert 5 < np.median(away) < 9
    right = made.points[:, 0] > 41
    assert (made.colours[right, 0] > 0.9).all()  # of the nearest input point
    (record,) = json.loads((tmp_path / "out/predictions.json").read_text())
    assert record["points_out"] == len(made) > 0
    assert record["points_in"] == 800
    assert (tmp_path / "out/ball.png").is_file()


def test_the_page_opens_without_a_network(run, command, tmp_path):
    write_cloud(tmp_path / "ball.ply", make_cloud(sphere(100)))
    assert command(run, tmp_path / "ball.ply", "--output", tmp_path).returncode == 2  # its input
    done = command(run, tmp_path / "ball.ply", "--output", tmp_path / "out")
    assert done.returncode == 0, done.output
    page = (tmp_path / "out/ball.html").read_text()
    assert not re.search(r"<(script|link)[^>]*(src|href)=", page)
    assert "reconstruction" in page
    again = command(run, tmp_path / "ball.ply", "--output", tmp_path / "o", "--no-page")
    assert again.returncode == 0
    assert not (tmp_path / "o/ball.html").exists()
    same = [read_cloud(tmp_path / folder / "ball.ply").points for folder in ("out", "o")]
    np.testing.assert_array_equal(*same)


def test_exactly_so_many_points(run, command, tmp_path):
    write_cloud(tmp_path / "ball.ply", make_cloud(sphere(300), None, np.abs(sphere(300))))
    words = (tmp_path / "ball.ply", "--output", tmp_path / "out", "--no-page", "--points")
    assert command(run, *words, 123).returncode == 0
    made = read_cloud(tmp_path / "out/ball.ply")
    assert len(made) == 123 == len(made.colours)
    assert "--points is -1" in command(run, *words, -1).output


def test_a_dense_scan_is_thinned_first(run, command, tmp_path):
    write_cloud(tmp_path / "ball.ply", make_cloud(sphere(3000)))
    words = ("--no-page", "--resolution", 0.2, "--output", tmp_path / "out")
    assert command(run, tmp_path / "ball.ply", *words).returncode == 0
    (record,) = json.loads((tmp_path / "out/predictions.json").read_text())
    few = len(thinned(make_cloud(sphere(3000)), 0.2))
    assert record["points_in"] == few < 1000
    assert "thin" in record["seconds"]
    assert "--resolution is -1" in command(run, "--resolution", -1).output


def test_without_inputs_the_runs_own_clouds(run, command, tmp_path):
    done = command(run, "--count", 2, "--no-page", "--output", tmp_path / "out")
    assert done.returncode == 0, done.output
    assert len(list((tmp_path / "out").glob("*.ply"))) == 2


def bad(folder, kind):
    """A file that cannot be reconstructed."""
    path = folder / f"{kind}.ply"
    if kind == "one":
        write_cloud(path, make_cloud(np.ones((1, 3))))
    elif kind == "same":
        write_cloud(path, make_cloud(np.ones((50, 3))))
    elif kind == "nan":
        write_cloud(path, make_cloud(np.full((5, 3), np.nan)))
    elif kind == "empty":
        write_cloud(path, make_cloud(np.zeros((0, 3))))
    else:
        write_cloud(path, make_cloud(sphere(50)))
        path.write_bytes(path.read_bytes()[:-100])
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("one", "1 point: nothing can be reconstructed"),
        ("same", "50 points at one place: nothing can be reconstructed"),
        ("nan", "all 5 points have NaN or infinite coordinates"),
        ("empty", "the cloud is empty: is it the right file?"),
        ("truncated", "truncated"),
    ],
)
def test_what_cannot_be_reconstructed_is_named_and_the_rest_goes_on(
    run, command, tmp_path, kind, message
):
    path, good = bad(tmp_path, kind), tmp_path / "good.ply"
    write_cloud(good, make_cloud(sphere(60)))
    done = command(run, path, good, "--no-page", "--output", tmp_path / "out")
    assert done.returncode == 2
    (line,) = [line for line in done.output.splitlines() if line.startswith("left out:")]
    assert message in line
    assert str(path) in line
    assert "1 of 2 clouds could not be used" in done.output
    assert (tmp_path / "out/good.ply").is_file()
    assert not (tmp_path / f"out/{kind}.ply").exists()


def test_doubtful_clouds_are_reconstructed_and_spoken_of(run, command, tmp_path):
    some = np.concatenate([sphere(80), [[np.nan, 0, 0], [np.inf, 0, 0]]])
    write_cloud(tmp_path / "nan.ply", make_cloud(some))
    write_cloud(tmp_path / "mm.ply", make_cloud(sphere(80) * 3000))
    write_cloud(tmp_path / "far.ply", make_cloud(sphere(80) * 0.5 + 5e6))
    (tmp_path / "mesh.off").write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    words = ["--no-page", "--output", tmp_path / "out", "--points", 500, "--method", "mls"]
    done = command(run, tmp_path, *words)  # the network, which mls needs none of, takes minutes
    assert done.returncode == 0, done.output
    for part in (
        "2 of 82 points are NaN or infinite, left out",
        "32-bit floats keep steps of",
        "a mesh of 1 triangles: 16384 points of its surface taken",
    ):
        assert part in done.output
    names = {p.name for p in (tmp_path / "out").glob("*.ply")}
    assert names == {"nan.ply", "mm.ply", "far.ply", "mesh.ply"}


def test_a_run_that_is_none(command, tmp_path):
    done = command(tmp_path / "nowhere")
    assert done.returncode == 2
    assert str(tmp_path / "nowhere") in done.output


def test_a_network_of_another_density_says_so():
    network = ReconNet(debug().model)
    assert float(network.spacing) == 0
    assert "spacing" in network.state_dict()
