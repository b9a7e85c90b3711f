"""Export with decoding, and the runner that needs onnxruntime and NumPy alone."""

import copy
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from apps.pose import eval as pose_eval
from apps.pose import export as pose_export
from apps.pose.config import ModelConfig
from apps.pose.data.codec import heatmap_size
from apps.pose.data.dataset import crop_box
from apps.pose.data.keypoints import KeypointSet
from apps.pose.evaluation.inference import exported_predictor, predictor
from apps.pose.exported.graph import PoseGraph
from apps.pose.models.decoding import HeatmapDecoder, SimCCDecoder
from apps.pose.people import make_people
from core.errors import InputError
from tests.apps.pose.oracle import mmpose_decode
from tests.apps.pose.toys import COCO, HEATMAP, SIMCC, make_run, network

H, W, K = 64, 48, 17
RUNNER = Path(pose_export.__file__).with_name("exported") / "runner.py"


def bumps(length, centres, sigma):
    return torch.exp(-((torch.arange(length) - centres[..., None]) ** 2) / (2 * sigma**2))


def random(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape)))


# ---- decoding in the graph against mmpose's, in NumPy -------------------------------------------


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("split", [1.0, 2.0])
def test_simcc_decoding(dark, split):
    model = ModelConfig(image_size=(H, W), sigma=3.0, simcc_split=split, simcc_dark=dark)
    outputs = {}
    for axis, size in (("x", round(W * split)), ("y", round(H * split))):
        centres = random(20, K, 1)[..., 0] * (size + 8) - 4
        outputs[axis] = (bumps(size, centres, 3.0) + 0.05 * random(20, K, size)).log()
    points, scores = SimCCDecoder(model)(outputs)
    expected, expected_scores = mmpose_decode(model, outputs)
    np.testing.assert_allclose(points, expected, atol=1e-3 if dark else 0)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-6)


@pytest.mark.parametrize("codec", ["udp", "dark", "msra"])
@pytest.mark.parametrize("sigma", [1.5, 2.0, 3.0])
def test_heatmap_decoding(codec, sigma):
    """Peaks everywhere, at and beyond the border too."""
    model = ModelConfig(image_size=(H, W), sigma=sigma, head="heatmap", heatmap_codec=codec)
    x, y = random(30, K) * 16 - 2, random(31, K)[:30] * 20 - 2
    heatmap = bumps(16, y, sigma)[..., :, None] * bumps(12, x, sigma)[..., None, :]
    heatmap = heatmap + 0.02 * random(30, K, 16, 12)
    points, scores = HeatmapDecoder(model)({"heatmap": heatmap})
    expected, expected_scores = mmpose_decode(model, {"heatmap": heatmap})
    np.testing.assert_allclose(points, expected, atol=2e-3)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-6)


def test_maps_without_a_maximum_stay_finite():
    for codec in ("udp", "dark", "msra"):
        model = replace(HEATMAP, heatmap_codec=codec)
        points, scores = HeatmapDecoder(model)({"heatmap": -torch.ones(2, K, 16, 12)})
        assert points.isfinite().all()
        assert scores.isfinite().all()


# ---- crops without OpenCV ----------------------------------------------------------------------


def onnx_runner():
    pytest.importorskip("onnxruntime", reason="the optional packages of '.[export]' are missing")
    from apps.pose.exported import runner as module

    return module


@pytest.mark.parametrize("model", [SIMCC, HEATMAP, replace(HEATMAP, heatmap_codec="dark")])
def test_crops_are_those_of_topdown_affine(model):
    """On noise, the hardest image; inside, over the border, enlarged and reduced."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)
    boxes = rng.uniform([-20, -20, 3, 3], [90, 70, 150, 120], (40, 4))
    udp = pose_export.describe(network(model))["udp"]
    limit = 1 if int(cv2.__version__.split(".")[0]) >= 5 else 1 + 255 / 32
    center, scale = onnx_runner().center_scale(boxes, model.image_size, pose_export.PADDING)
    for i, box in enumerate(boxes):
        expected = crop_box(image, box.tolist(), model)
        np.testing.assert_allclose(center[i], expected["center"], rtol=1e-5)
        np.testing.assert_allclose(scale[i], expected["scale"], rtol=1e-5)
        found = onnx_runner().crop(image, center[i], scale[i], model.image_size, udp)
        apart = np.abs(found.astype(int) - expected["image"].permute(1, 2, 0).numpy())
        assert apart.max() <= limit
        assert apart.mean() < 0.5


def test_a_crop_far_outside_is_black():
    image = np.full((20, 30, 3), 200, np.uint8)
    found = onnx_runner().crop(
        image, np.array([500.0, -90.0]), np.array([30.0, 40.0]), (64, 48), False
    )
    assert (found == 0).all()


@pytest.mark.parametrize("box", [[0, 0, 0, 5], [0, float("nan"), 5, 5]])
def test_boxes_that_are_none(box):
    with pytest.raises(ValueError, match="boxes must be finite"):
        onnx_runner().center_scale(np.array([box]), (64, 48), 1.25)


# ---- the file ----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["simcc", "places", "heatmap"])
def exported(request, tmp_path_factory):
    """A network and its file."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="the optional packages of '.[export]' are missing")
    places = replace(SIMCC, simcc_places=True)
    net = network({"simcc": SIMCC, "places": places, "heatmap": HEATMAP}[request.param])
    path = tmp_path_factory.mktemp("onnx") / "pose.onnx"
    found = pose_export.export_pose(net, path)
    assert max(found.values()) < 1e-4
    assert [p.name for p in path.parent.iterdir()] == ["pose.onnx"]
    return net, path


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_onnxruntime_gives_the_same_for_the_same_crops(exported, batch):
    net, path = exported
    crops = np.random.default_rng(batch).integers(0, 256, (batch, H, W, 3), dtype=np.uint8)
    points, scores = onnx_runner().PoseRunner(path)._run(list(crops))
    with torch.inference_mode():
        outputs = net(torch.from_numpy(crops).permute(0, 3, 1, 2))
    expected, expected_scores = mmpose_decode(net.config, outputs)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-4)
    np.testing.assert_allclose(points, expected, atol=1e-4 * H)


def test_what_the_file_says(exported):
    net, path = exported
    people = onnx_runner().PoseRunner(path)
    assert tuple(people.names) == COCO.names
    assert tuple(map(tuple, people.skeleton)) == COCO.skeleton
    assert tuple(people.sigmas) == COCO.sigmas
    assert people.size == [H, W]
    assert people.udp == (net.config.head == "heatmap")


def test_nothing_is_overwritten(exported):
    net, path = exported
    before = path.read_bytes()
    with pytest.raises(InputError, match="exists already"):
        pose_export.export_pose(net, path)
    assert path.read_bytes() == before


def copy_of(path):
    """In place of `write_onnx`: the file that was written before."""
    return lambda network, example, draft, *_: shutil.copy(path, draft)


def test_a_file_that_differs_is_not_kept(exported, tmp_path, monkeypatch):
    net, path = exported
    monkeypatch.setattr(pose_export, "write_onnx", copy_of(path))
    other = copy.deepcopy(net)
    for values in other.parameters():
        values.data.mul_(2)
    with pytest.raises(InputError, match="is not kept: it differs from the network by"):
        pose_export.export_pose(other, tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


class Spots(nn.Module):
    """In place of a trained network: keypoints are the red, green and blue spots of an image."""

    def __init__(self, model):
        super().__init__()
        self.config, self.keypoints = model, KeypointSet.of(["red", "green", "blue"])

    def forward(self, images):
        spots = images.float() / 255
        if self.config.head == "heatmap":
            blurred = nn.functional.avg_pool2d(spots, 5, 1, 2)
            corners = {"mode": "bilinear", "align_corners": True}  # as UDP has them
            size = heatmap_size(self.config)
            return {"heatmap": nn.functional.interpolate(blurred, size, **corners)}
        x, y = spots.amax(2), spots.amax(3)
        larger = nn.Upsample(
            scale_factor=self.config.simcc_split, mode="linear", align_corners=False
        )
        return {"x": 30 * larger(x), "y": 30 * larger(y)}


SPOTS = np.array([[61.3, 40.2], [83.7, 71.9], [55.2, 88.4]])  # x, y in an image of 150 x 120


def spotted():
    y, x = np.mgrid[:120, :150]
    bells = [np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * 7**2)) for a, b in SPOTS]
    return np.rint(255 * np.stack(bells, -1)).astype(np.uint8)


@pytest.fixture(scope="module", params=["simcc", "udp"])
def spots(request, tmp_path_factory):
    """The network of spots and its file."""
    onnx_runner()
    models = {"simcc": replace(SIMCC, simcc_dark=True), "udp": HEATMAP}
    net, path = Spots(models[request.param]), tmp_path_factory.mktemp("spots") / "spots.onnx"
    pose_export.export_pose(net, path)
    return net, path


def test_from_image_to_keypoints_like_torch(spots):
    """Crop, network, decoding and the way back, each by other code: within half a pixel."""
    net, path = spots
    boxes = [[30, 20, 70, 90], [40.5, 25.2, 66, 80], [10, 5, 110, 110]]
    crops = [crop_box(spotted(), box, net.config) for box in boxes]
    batch = {name: torch.stack([crop[name] for crop in crops]) for name in crops[0]}
    predicted = predictor(net, net.config, net.keypoints, False)(batch)
    expected, expected_scores = (values.numpy() for values in predicted)
    people = onnx_runner().PoseRunner(path, batch_size=2)
    points, scores = people(spotted(), boxes)
    assert points.shape == (3, 3, 2)
    assert np.abs(points - expected).max() < 0.5
    assert np.abs(scores - expected_scores).max() < 0.02
    assert np.abs(points - SPOTS).max() < 4, "two pixels of the largest crop"
    assert people(spotted(), [])[0].shape == (0, 3, 2)


@pytest.mark.parametrize("split", [1.0, 2.0])
def test_the_layout_of_rtmlib(tmp_path, split):
    """The colours, the normalisation and the largest bins as rtmlib 0.0.16 has them."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="'.[export]' is not installed")
    net = Spots(replace(SIMCC, simcc_split=split))
    path, box = tmp_path / "rtm.onnx", np.array([[30, 20, 70, 90]])
    assert pose_export.export_rtmlib(net, path)["scores"] < 1e-4
    center, scale = (value[0] for value in onnx_runner().center_scale(box, (H, W), 1.25))
    bgr = onnx_runner().crop(spotted(), center, scale, (H, W), udp=False)[..., ::-1]
    images = (bgr - np.array([123.675, 116.28, 103.53])) / np.array([58.395, 57.12, 57.375])
    session = onnxruntime.InferenceSession(path)
    x, y = session.run(None, {"input": images.transpose(2, 0, 1)[None].astype(np.float32)})
    assert (x.shape, y.shape) == ((1, 3, 2 * W), (1, 3, 2 * H))
    places = np.stack([x.argmax(-1), y.argmax(-1)], -1)[0] / 2
    points = places / (W, H) * scale + center - scale / 2
    assert np.abs(points - SPOTS).max() < 2
    assert 0 < x.max() <= 1
    other = network(replace(SIMCC, simcc_split=4.0))
    with pytest.raises(InputError, match=r"rtmlib takes .* model.simcc_split 4"):
        pose_export.export_rtmlib(other, tmp_path / "other.onnx")
    with pytest.raises(InputError, match=r"rtmlib takes a SimCC head .* model.head heatmap"):
        pose_export.export_rtmlib(network(HEATMAP), tmp_path / "other.onnx")


@pytest.fixture
def measured(tmp_path):
    """A run that was trained on six drawn people, and the words that name them."""
    pytest.importorskip("onnxruntime", reason="'.[export]' is not installed")
    data = make_people(tmp_path / "data", 2, 6, seed=5, workers=1)
    return make_run(tmp_path / "run", network()), f"people={data}"


def test_int8_is_measured_before_it_is_kept(measured, command, tmp_path, monkeypatch):
    run, people = measured
    done = command(pose_export.main, run, "--int8", "--sets", people)
    assert done.returncode == 0, done.output
    assert re.search(r"people AP +0\.\d+ +0\.\d+ +[+-]\d", done.output)
    small, large = run / "pose.int8.onnx", tmp_path / "pose.onnx"
    assert sorted(run.glob("*.onnx*")) == [small]
    pose_export.export_pose(network(), large)
    assert b"MatMulInteger" in small.read_bytes()
    monkeypatch.setattr(pose_export, "_measured", lambda *_: {"AP": (0.5, 0.48), "APM": (1, 0)})
    words = [run, "--int8", "--sets", people, "--output", tmp_path / "other.onnx"]
    done = command(pose_export.main, *words)
    assert done.returncode == 2
    assert "other.onnx is not kept: in int8 AP is 0.4800 and not 0.5000" in done.output
    assert not (tmp_path / "other.onnx").exists()
    assert command(pose_export.main, *words, "--max-loss", 3).returncode == 0
    assert "leave --layout out" in command(pose_export.main, *words, "--layout", "rtmlib").output


def test_an_exported_file_is_evaluated_beside_its_network(measured, command, tmp_path):
    run, people = measured
    pose_export.export_pose(network(), tmp_path / "pose.onnx")
    words = [run, "--data.sets", people, "--onnx", tmp_path / "pose.onnx"]
    done = command(pose_eval.main, *words)
    assert done.returncode == 0, done.output
    record = json.loads((run / "eval.json").read_text())
    assert record["onnx"].keys() == record["figures"].keys()
    assert record["onnx"] == pytest.approx(record["figures"], abs=0.02)
    assert "leave --flip-test out" in command(pose_eval.main, *words, "--flip-test").output
    other = network(replace(SIMCC, image_size=(32, 32)))
    pose_export.export_pose(other, tmp_path / "other.onnx")
    done = command(pose_eval.main, *words[:-1], tmp_path / "other.onnx")
    assert "other.onnx is not what export.py writes of this network" in done.output
    renamed = network()
    renamed.keypoints = replace(COCO, names=COCO.names[::-1])
    with pytest.raises(InputError, match="of this network, 17 keypoints in crops of 64x48"):
        exported_predictor(tmp_path / "pose.onnx", renamed)
    done = command(pose_eval.main, *words[:-1], run / "eval.json")
    assert "eval.json cannot be opened by onnxruntime" in done.output
    done = command(pose_eval.main, *words[:-1], tmp_path / "none.onnx")
    assert "none.onnx does not exist" in done.output


ALONE = """
import runpy, sys
sys.argv = ["runner.py", "spots.onnx", "image.npy", "--box", "30", "20", "70", "90"]
runpy.run_path("runner.py", run_name="__main__")
for name in ("torch", "mmpose", "cv2", "core", "apps", "PIL"):
    assert name not in sys.modules, name
"""


def test_the_runner_alone(spots, tmp_path):
    """Copied to a folder of its own, in a fresh process that never sees this project."""
    shutil.copy(RUNNER, tmp_path)
    shutil.copy(spots[1], tmp_path)
    np.save(tmp_path / "image.npy", spotted())
    done = subprocess.run(
        [sys.executable, "-c", ALONE], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    (person,) = json.loads(done.stdout)
    assert [point["name"] for point in person] == ["red", "green", "blue"]
    found = [[point["x"], point["y"]] for point in person]
    np.testing.assert_allclose(found, SPOTS, atol=2)


def test_the_command(exported, tmp_path, monkeypatch, capsys):
    net, path = exported
    monkeypatch.setattr(pose_export, "write_onnx", copy_of(path))
    run = make_run(tmp_path / "run", net)
    monkeypatch.setattr(sys, "argv", ["export.py", str(run)])
    pose_export.main()
    assert "pose.onnx" in capsys.readouterr().out
    assert (run / "pose.onnx").is_file()
    with pytest.raises(SystemExit):
        pose_export.main()
    assert "exists already" in capsys.readouterr().err


def test_the_graph_takes_rgb_as_images_have_it():
    net = network()
    crops = torch.randint(0, 256, (2, H, W, 3), dtype=torch.uint8)
    outputs = net(crops.permute(0, 3, 1, 2))
    expected, _ = mmpose_decode(net.config, outputs)
    np.testing.assert_allclose(PoseGraph(net)(crops)[0].detach(), expected)
