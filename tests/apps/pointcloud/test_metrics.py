"""Metrics against brute force in float64, against Open3D, and by hand; the benchmark's table."""

import numpy as np
import pytest
import torch

from apps.pointcloud.data.open3d_compat import has_open3d, open3d
from apps.pointcloud.evaluation.benchmark import item_metrics, table
from apps.pointcloud.evaluation.metrics import cloud_metrics, mean_metrics
from apps.pointcloud.evaluation.suites import Suite
from apps.pointcloud.geometry.normals import estimate_normals, local_axes
from core.errors import InputError

TAUS = (0.05, 0.1, 0.2)


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    return rng.random((300, 3)), rng.random((170, 3)) * [1, 1, 0.8]


def brute_force(predicted, true, thresholds):
    distance = np.sqrt(((predicted[:, None] - true[None]) ** 2).sum(2))
    there, back = distance.min(1), distance.min(0)
    values = {
        "chamfer_l1": there.mean() + back.mean(),
        "chamfer_l2": (there**2).mean() + (back**2).mean(),
        "hausdorff": max(there.max(), back.max()),
    }
    for t in thresholds:
        accuracy, completeness = 100 * np.mean(there <= t), 100 * np.mean(back <= t)
        values |= {f"accuracy@{t:g}": accuracy, f"completeness@{t:g}": completeness}
        values[f"f1@{t:g}"] = 2 / (1 / accuracy + 1 / completeness)
    return values


def test_metrics_are_those_of_all_distances(clouds):
    assert cloud_metrics(*clouds, TAUS) == pytest.approx(brute_force(*clouds, TAUS), rel=1e-12)


@pytest.mark.skipif(not has_open3d(), reason="Open3D cannot be imported here")
def test_metrics_are_open3ds(clouds):
    o3d = open3d()
    predicted, true = (o3d.t.geometry.PointCloud(o3d.core.Tensor(np.float32(c))) for c in clouds)
    kinds = o3d.t.geometry.Metric
    wanted = [kinds.ChamferDistance, kinds.HausdorffDistance, kinds.FScore]
    parameters = o3d.t.geometry.MetricParameters()
    parameters.fscore_radius = list(TAUS)
    found = predicted.compute_metrics(true, wanted, parameters).numpy()
    ours = cloud_metrics(*(np.float32(c) for c in clouds), TAUS)
    names = ["chamfer_l1", "hausdorff", *(f"f1@{t:g}" for t in TAUS)]
    assert [ours[name] for name in names] == pytest.approx(found.tolist(), rel=1e-5)


def test_metrics_by_hand():
    predicted = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0]], float)
    true = np.array([[0, 0, 0], [1, 0, 2]], float)  # distances 0, 1, sqrt 2 there, 0, 2 back
    found = cloud_metrics(predicted, true, (1.0, 2.0))
    assert found["chamfer_l1"] == pytest.approx((0 + 1 + 2**0.5) / 3 + 1)
    assert found["chamfer_l2"] == pytest.approx((0 + 1 + 2) / 3 + 2)
    assert found["hausdorff"] == 2
    assert (found["accuracy@1"], found["completeness@1"]) == pytest.approx((200 / 3, 50))
    assert found["f1@1"] == pytest.approx(2 * (200 / 3) * 50 / (200 / 3 + 50))
    assert found["f1@2"] == 100
    assert cloud_metrics(predicted, true + 9, (1.0,))["f1@1"] == 0


def test_a_unit_scales_lengths_and_thresholds(clouds):
    plain = cloud_metrics(clouds[0] * 3, clouds[1] * 3, TAUS)
    assert cloud_metrics(*clouds, TAUS, unit=3.0) == pytest.approx(plain)


def test_clouds_that_cannot_be_measured():
    good = np.zeros((2, 3))
    for bad, words in ((np.zeros((0, 3)), "at least one point"), (np.full((1, 3), np.nan), "NaN")):
        with pytest.raises(InputError, match=words):
            cloud_metrics(bad, good, TAUS)
        with pytest.raises(InputError, match=f"true cloud.*{words}"):
            cloud_metrics(good, bad, TAUS)


def sphere(count, seed):
    points = np.random.default_rng(seed).standard_normal((count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_normals_of_a_sphere_point_outwards_or_inwards():
    points = sphere(2000, 0)
    cosines = np.abs((estimate_normals(points) * points).sum(1))
    assert cosines.mean() > 0.995


def test_normals_of_clouds_without_a_plane_are_unit_vectors():
    for points in (np.zeros((1, 3)), np.zeros((5, 3)), np.eye(3)[:2]):
        assert np.linalg.norm(estimate_normals(points), axis=1) == pytest.approx(1)


def test_local_axes_follow_the_weights():
    flat = np.array([[[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 5.0]]])
    weights = np.array([[1, 1, 1, 1, 0.0]])
    assert np.abs(local_axes(flat, weights)[0, :, 0]) == pytest.approx([0, 0, 1])
    assert np.abs(local_axes(flat)[0, 2, 0]) < 0.9


def test_normal_consistency():
    points, others = sphere(2000, 0), sphere(3000, 1)
    good = cloud_metrics(points, others, (0.1,), others)["normals"]
    flipped = cloud_metrics(points, others, (0.1,), -others)["normals"]
    noisy = points + 0.1 * np.random.default_rng(2).standard_normal(points.shape)
    assert good > 0.99
    assert flipped == pytest.approx(good)
    assert cloud_metrics(noisy, others, (0.1,), others)["normals"] < 0.8


def items(outputs):
    rng = np.random.default_rng(3)
    for _ in range(2):
        target = rng.random((40, 3)).astype(np.float32)
        clouds = {"input": torch.tensor(target[:5]), "target": torch.tensor(target)}
        yield {**clouds, "scale": torch.tensor(2.0), "center": torch.zeros(3)}


def test_a_method_is_evaluated_in_the_suites_unit():
    suite = Suite("toy", list(items(40)), TAUS, metres=True)
    asked = []

    def method(points, count):
        asked.append((len(points), count))
        return np.resize(points, (count, 3))

    rows = [item_metrics(method, suite, item) for item in suite]
    assert asked == [(5, 40)] * 2
    for row, item in zip(rows, suite, strict=True):
        target = item["target"].numpy() * 2
        wanted = brute_force(target[:5], target, TAUS)
        assert row == pytest.approx(wanted, rel=1e-5)
    assert "normals" not in rows[0]
    with pytest.raises(InputError, match="5 points predicted, 40 are asked for"):
        item_metrics(lambda points, count: points, suite, suite.items[0])
    few = Suite("toy", list(items(40)), TAUS, outputs=5)
    first = item_metrics(lambda points, count: points[:count], few, few.items[0])
    assert first["accuracy@0.05"] == 100


def test_means_and_the_table():
    rows = [{"chamfer_l1": 0.01, "normals": 0.5}, {"chamfer_l1": 0.03}]
    means = mean_metrics(rows)
    assert means == pytest.approx({"chamfer_l1": 0.02, "normals": 0.5})
    lines = table({"input": means, "other": {"chamfer_l1": 0.0123}}).splitlines()
    assert lines[0] == "| method | CD-L1 1e-3 | normals |"
    assert lines[2] == "| input | 20.00 | 0.500 |"
    assert lines[3] == "| other | 12.30 | - |"
    assert "CD-L1 mm" in table({"input": means}, metres=True)
