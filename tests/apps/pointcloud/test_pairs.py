"""Test sets of files: inputs beside truths, by the names that PU1K, PU-GAN and PUNet give them."""

import numpy as np
import pytest

from apps.pointcloud.data.open3d_compat import has_open3d
from apps.pointcloud.evaluation.baselines import unchanged
from apps.pointcloud.evaluation.benchmark import item_metrics
from apps.pointcloud.evaluation.pairs import folders_of, mean_to_mesh
from apps.pointcloud.evaluation.suites import open_suite
from core.data.randomness import stream
from core.errors import InputError

SQUARE = "OFF\n4 2 0\n0 0 0\n4 0 0\n4 4 0\n0 4 0\n3 0 1 2\n3 0 2 3\n"  # in the plane z = 0


def square(count, height, seed):
    """Points over the square of SQUARE."""
    return np.c_[stream(seed).random((count, 2)) * 4, np.full(count, float(height))]


def write(path, points):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, points)


def corners(points):
    """The same with the corners among them, so that middle and radius are known."""
    return np.concatenate([points, [[0, 0, 0], [4, 0, 0], [4, 4, 0], [0, 4, 0]]])


@pytest.fixture(params=["pu1k", "pugan", "punet"])
def root(request, tmp_path):
    """Two shapes in each of the layouts; the inputs are 0.1 over the truth."""
    root, truth, meshes = {
        "pu1k": ("test/input_2048", "test/input_2048/gt_8192", "test/original_meshes"),
        "pugan": ("test_pointcloud/input_2048_4X", "test_pointcloud/input_2048_4X/gt_8192", "test"),
        "punet": (
            "examples/PUNet_10000_poisson_0.01",
            "PUNet/pointclouds/test/10000_poisson",
            "PUNet/meshes/test",
        ),
    }[request.param]
    inputs = root if request.param == "punet" else f"{root}/input_2048"
    for seed, name in enumerate(("b", "a")):
        write(tmp_path / inputs / f"{name}.xyz", square(50, 0.1, seed))
        write(tmp_path / truth / f"{name}.xyz", corners(square(200, 0, seed + 10)))
    (tmp_path / meshes).mkdir(parents=True, exist_ok=True)
    (tmp_path / meshes / "a.off").write_text(SQUARE)
    return tmp_path / root


def test_layouts_give_inputs_truths_and_meshes(root):
    suite = open_suite("pairs", str(root))
    assert suite.items.names == ("a", "b")
    item, other = suite.items[0], suite.items[1]
    radius = 8**0.5  # of the square around its middle (2, 2, 0)
    np.testing.assert_allclose(item["center"], [2, 2, 0], atol=1e-6)
    np.testing.assert_allclose(item["scale"], radius, rtol=1e-6)
    there = item["input"].numpy() * radius + [2, 2, 0]
    np.testing.assert_allclose(there, square(50, 0.1, 1), atol=1e-5)
    assert item["target"].shape == (204, 3)
    assert item["faces"].tolist() == [[0, 1, 2], [0, 2, 3]]
    assert "faces" not in other  # no mesh of this name


@pytest.mark.skipif(not has_open3d(), reason="the distance to a mesh needs Open3D")
def test_the_distance_to_the_mesh_is_the_height_over_it(root):
    suite = open_suite("pairs", str(root))
    values = item_metrics(unchanged, suite, suite.items[0])
    assert values["to_mesh"] == pytest.approx(0.1 / 8**0.5, rel=1e-5)
    assert "to_mesh" not in item_metrics(unchanged, suite, suite.items[1])
    vertices, faces = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2]])
    # over the triangle, beside its edge, beyond a corner
    points = np.array([[0.2, 0.2, 3], [0.5, -2, 0], [-3, -4, 0]])
    assert mean_to_mesh(points, vertices, faces) == pytest.approx((3 + 2 + 5) / 3)


def test_an_input_without_its_truth(root):
    inputs, truths, _ = folders_of(root)
    (truths / "b.xyz").unlink()
    with pytest.raises(InputError, match=r", b: .*no cloud of this name"):
        open_suite("pairs", str(root))
    assert (inputs / "b.xyz").is_file()


def test_neither_layout(tmp_path):
    (tmp_path / "input_2048").mkdir()
    with pytest.raises(InputError, match="neither layout of paired clouds: a folder with"):
        open_suite("pairs", str(tmp_path))
    with pytest.raises(InputError, match="neither layout"):
        open_suite("pairs", str(tmp_path / "nothing"))
