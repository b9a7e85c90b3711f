"""Cross-view metrics against independent float64 computations, standard and the field's own."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve2d

from apps.crossview.config import DataConfig
from apps.crossview.data.pairs import Pairs
from apps.crossview.evaluation.metrics import (
    OFFSET,
    confusion_counts,
    image_metrics,
    map_scores,
    metric_names,
)
from apps.crossview.evaluation.perceptual import (
    FILES,
    frechet_distance,
    inception_score,
    inception_scores,
    kernel_distance,
    open_perceptual,
    places_scores,
)
from apps.crossview.evaluation.report import metrics_table
from core import InputError

REAL = os.environ.get("MIXER_TEST_DATA")


@pytest.fixture(scope="module")
def images():
    """Two pairs of smooth pictures (3, 60, 72) in [0, 1], float64."""
    rng = np.random.default_rng(0)
    noise = gaussian_filter(rng.random((2, 2, 3, 60, 72)), (0, 0, 0, 1.5, 1.5))
    return np.clip(3 * (noise - 0.5) + 0.5, 0, 1)


def test_names_are_those_of_what_is_measured(found, monkeypatch):
    assert metric_names() == [*found, *map_scores(torch.eye(2))]
    monkeypatch.setattr("apps.crossview.evaluation.metrics.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install torchmetrics"):
        metric_names()


@pytest.fixture(scope="module")
def found(images):
    made, real = torch.from_numpy(images).float()
    return {name: value.numpy() for name, value in image_metrics(made, real).items()}


def test_psnr(images, found):
    for i in range(2):
        mse = ((images[0, i] - images[1, i]) ** 2).mean()
        assert found["psnr"][i] == pytest.approx(10 * np.log10(1 / mse), abs=1e-4)
        legacy = 10 * np.log10(255**2 / (128**2 * mse))
        assert found["psnr_field"][i] == pytest.approx(legacy, abs=1e-4)
    assert pytest.approx(5.987, abs=5e-4) == OFFSET


def window():
    at = np.arange(11) - 5.0
    line = np.exp(-(at**2) / (2 * 1.5**2))
    return np.outer(line, line) / line.sum() ** 2


def ssim_by_hand(x, y, top, mode):
    w = window()
    mx, my = convolve2d(x, w, mode), convolve2d(y, w, mode)
    vx = convolve2d(x * x, w, mode) - mx**2
    vy = convolve2d(y * y, w, mode) - my**2
    both = convolve2d(x * y, w, mode) - mx * my
    c1, c2 = (0.01 * top) ** 2, (0.03 * top) ** 2
    return ((2 * mx * my + c1) * (2 * both + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean()


def test_ssim(images, found):
    """torchmetrics': RGB, mirrored beyond the border. The field's: luma, zeros there."""
    for i in range(2):
        x, y = np.pad(images[:, i], ((0, 0), (0, 0), (5, 5), (5, 5)), "reflect")
        expected = np.mean([ssim_by_hand(x[c], y[c], 1.0, "valid") for c in range(3)])
        assert found["ssim"][i] == pytest.approx(expected, abs=1e-4)
        luma = np.tensordot([0.299, 0.587, 0.114], 255 * images[:, i], (0, 1))
        expected = ssim_by_hand(*luma, 255.0, "full")
        assert found["ssim_field"][i] == pytest.approx(expected, abs=1e-4)


def test_sharpness_difference(images, found):
    for i in range(2):
        total = s2sp = places = 0.0
        x, y = images[:, i]
        for c, row, column in np.ndindex(3, 59, 71):
            here = slice(None), c, row + 1, column + 1
            dx = [abs(z[here[1:]] - z[c, row + 1, column]) for z in (x, y)]
            dy = [abs(z[here[1:]] - z[c, row, column + 1]) for z in (x, y)]
            total += abs(dx[0] - dx[1]) + abs(dy[0] - dy[1])
            s2sp += 255 * abs(dx[0] + dy[0] - dx[1] - dy[1])
            places += 1
        error = 128**2 * total / (3 * 60 * 72)
        assert found["sd_field"][i] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-3)
        expected = 10 * np.log10(255**2 / (64 * s2sp / places))
        assert found["sd_s2sp"][i] == pytest.approx(expected, abs=1e-3)


def test_equal_images_are_perfect(images):
    image = torch.from_numpy(images[0]).float()
    found = image_metrics(image, image)
    for name in ("ssim", "ssim_field", "vif"):
        torch.testing.assert_close(found[name], torch.ones(2), atol=1e-4, rtol=0)
    assert found["psnr"].eq(100).all()


def test_what_is_beyond_white_and_black_counts_as_white_and_black():
    real = torch.rand(2, 3, 48, 48)
    made = 3 * torch.rand(2, 3, 48, 48) - 1
    beyond, within = image_metrics(made, real), image_metrics(made.clamp(0, 1), real)
    for name, values in within.items():
        torch.testing.assert_close(beyond[name], values)


def test_small_images_have_no_vif():
    assert "vif" not in image_metrics(torch.rand(1, 3, 40, 64), torch.rand(1, 3, 40, 64))


# ---- maps ------------------------------------------------------------------------------------


def test_map_scores_by_hand():
    true = torch.tensor([[[0, 0], [1, 2]]])
    drawn = torch.tensor([[[0, 1], [1, 1]]])
    counts = confusion_counts(drawn, true, 4)
    assert counts[0].tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    scores = map_scores(counts.sum(0))
    assert scores["map_accuracy"] == 50.0
    # class 0: 1 of 2, class 1: 1 of 3, class 2: 0 of 1; class 3 is nowhere
    assert scores["map_miou"] == pytest.approx(100 * (1 / 2 + 1 / 3 + 0) / 3)


# ---- Places, Inception -----------------------------------------------------------------------


def probabilities(n, k, seed):
    logits = np.random.default_rng(seed).normal(size=(n, k)) * 3
    e = np.exp(logits)
    return e / e.sum(1, keepdims=True)


def test_places_scores():
    made, real = probabilities(30, 12, 0), probabilities(30, 12, 1)
    made[:8] = real[:8]
    found = places_scores(torch.from_numpy(made), torch.from_numpy(real))
    sure = real.max(1) > 0.5
    hit1 = made.argmax(1) == real.argmax(1)
    hit5 = [made[i].argmax() in np.argsort(-real[i])[:5] for i in range(30)]
    assert found["top1"] == pytest.approx(100 * hit1.mean())
    assert found["top5"] == pytest.approx(100 * np.mean(hit5))
    assert found["top1_sure"] == pytest.approx(100 * hit1[sure].mean())
    kl = (made * np.log(made / real)).sum(1)
    assert found["places_kl"] == pytest.approx(kl.mean())
    assert found["places_kl_field"] == pytest.approx(np.exp(kl.mean()))
    assert found["places_kl_field_std"] == pytest.approx(kl.std())
    for k in (1, 5):
        kept = np.full_like(made, 1e-9)
        for i in range(30):
            top = np.argsort(-made[i])[:k]
            kept[i, top] = made[i, top]
        for name, p in (("_field", kept), ("", kept / kept.sum(1, keepdims=True))):
            score = np.exp((p * np.log(p / p.mean(0))).sum(1).mean())
            assert found[f"places_is_top{k}{name}"] == pytest.approx(score, rel=1e-6)


def test_equal_images_have_no_divergence():
    p = torch.from_numpy(probabilities(20, 9, 0))
    found = places_scores(p, p)
    assert (found["places_kl"], found["places_kl_field"]) == (0.0, 1.0), "best: 0 and, theirs, 1"
    assert found["top1"] == found["top5"] == 100.0
    assert inception_score(torch.eye(7, dtype=torch.double)) == pytest.approx(7, rel=1e-6)


def test_fid_and_kid():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(60, 6)), rng.normal(size=(50, 6)) @ rng.normal(size=(6, 6)) + 0.3
    ca, cb = np.cov(a.T), np.cov(b.T)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * sqrtm(ca @ cb).real)
    ta, tb = torch.from_numpy(a), torch.from_numpy(b)
    assert frechet_distance(ta, tb) == pytest.approx(expected, rel=1e-8)
    total = 0.0
    for x, y, sign in ((a, a, 1), (b, b, 1), (a, b, -2)):
        kernel = (x @ y.T / 6 + 1) ** 3
        if x is y:
            n = len(x)
            total += sign * (kernel.sum() - np.trace(kernel)) / (n * (n - 1))
        else:
            total += sign * kernel.mean()
    assert kernel_distance(ta, tb) == pytest.approx(total, rel=1e-10)
    assert inception_scores(ta, ta)["fid"] == pytest.approx(0, abs=1e-8)


def test_missing_weights_are_named(tmp_path):
    networks = open_perceptual(tmp_path)
    assert len(networks.missing) == 3
    for file, _ in FILES.values():
        assert any(
            f"{tmp_path}/checkpoints/{file} is not there" in line for line in networks.missing
        )
    assert networks.outputs(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)) == {}


def test_weights_of_another_network_are_refused(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    torch.save({"x": torch.zeros(1)}, tmp_path / "checkpoints" / FILES["places"][0])
    with pytest.raises(InputError, match="holds other weights"):
        open_perceptual(tmp_path)


def test_lpips_from_a_file(tmp_path):
    """Random AlexNet features of the file; the distance by its formula (Zhang et al., eq. 1)."""
    from torchvision.models import alexnet

    torch.manual_seed(0)
    network = alexnet()
    (tmp_path / "checkpoints").mkdir()
    # the classifier is not looked at, but loaded
    torch.save(network.state_dict(), tmp_path / "checkpoints" / FILES["lpips"][0])
    networks = open_perceptual(tmp_path)
    made, real = torch.rand(2, 2, 3, 64, 64)
    found = networks.outputs(made, real)["lpips"]
    layers = {
        name.split(".")[0]: value
        for name, value in networks.lpips.net.state_dict().items()
        if name.startswith("lin")
    }
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
    x, y = (((2 * image - 1) - shift) / scale for image in (made, real))
    total, taps = torch.zeros(2), {1: "lin0", 4: "lin1", 7: "lin2", 9: "lin3", 11: "lin4"}
    with torch.no_grad():
        for number, layer in enumerate(network.features.eval()):
            x, y = layer(x), layer(y)
            if number in taps:
                a, b = (z / z.norm(dim=1, keepdim=True) for z in (x, y))
                weights = layers[taps[number]].view(1, -1, 1, 1)
                total += (weights * (a - b) ** 2).sum(1).mean((1, 2))
            if number == 11:
                break
    torch.testing.assert_close(found, total, atol=1e-5, rtol=1e-4)


def test_inception_and_places_from_files(tmp_path, monkeypatch):
    """Random weights, saved as the real files are; what is measured is what the networks say."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3 as Network
    from torchvision.models import alexnet

    torch.manual_seed(0)
    with monkeypatch.context() as without:  # it cannot be built without its weights
        without.setattr(torch, "load", lambda *_, **__: {})
        without.setattr(Network, "load_state_dict", lambda *_, **__: None)
        without.setattr(torch.hub, "load_state_dict_from_url", lambda *_, **__: {})
        inception = Network("inception-v3-compat", ["2048"], "none").eval()
    places = alexnet(num_classes=365).eval()
    (tmp_path / "checkpoints").mkdir()
    files = {name: tmp_path / "checkpoints" / file for name, (file, _) in FILES.items()}
    torch.save(inception.state_dict(), files["inception"])
    state = {
        f"features.module.{k.removeprefix('features.')}" if k.startswith("features.") else k: v
        for k, v in places.state_dict().items()
    }
    torch.save({"epoch": 90, "state_dict": state}, files["places"])
    networks = open_perceptual(tmp_path)
    assert len(networks.missing) == 1
    made, real = torch.rand(2, 2, 3, 64, 80)
    with torch.no_grad():
        found = networks.outputs(made, real)
        features = inception((255 * made).round().byte())[0]
        mean, std = (
            torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        )
        larger = torch.nn.functional.interpolate(real, (256, 320), mode="bilinear")
        said = places((larger[:, :, 16:240, 48:272] - mean) / std).softmax(1)
    torch.testing.assert_close(found["inception_made"], features)
    torch.testing.assert_close(found["places_real"], said, atol=1e-5, rtol=1e-3)


# ---- real photographs, the report -------------------------------------------------------------


@pytest.mark.skipif(not REAL, reason="MIXER_TEST_DATA names no folder of real data")
@pytest.mark.parametrize("kind", ["cvusa", "dayton"])
def test_metrics_on_real_photographs(kind):
    """Two photographs of a set, one in the place of the other's reconstruction."""
    config = DataConfig(
        root=str(Path(REAL) / "crossview" / kind),
        palette="cvusa" if kind == "cvusa" else "cityscapes",
    )
    pairs = Pairs(config, "train")
    pair = torch.stack([pairs[i]["ground"] for i in range(2)]) / 2 + 0.5
    found = {n: v.item() for n, v in image_metrics(pair[:1], pair[1:]).items()}
    x, y = pair.double().numpy()
    mse = ((x - y) ** 2).mean()
    assert found["psnr"] == pytest.approx(-10 * np.log10(mse), abs=1e-4)
    assert found["psnr_field"] == pytest.approx(10 * np.log10(255**2 / (128**2 * mse)), abs=1e-4)
    luma = [255 * np.tensordot([0.299, 0.587, 0.114], z, (0, 0)) for z in (x, y)]
    assert found["ssim_field"] == pytest.approx(ssim_by_hand(*luma, 255.0, "full"), abs=1e-4)
    whole = [np.pad(z, ((0, 0), (5, 5), (5, 5)), "reflect") for z in (x, y)]
    expected = np.mean([ssim_by_hand(*(z[c] for z in whole), 1.0, "valid") for c in range(3)])
    assert found["ssim"] == pytest.approx(expected, abs=1e-4)
    dx, dy = ([abs(np.diff(z, axis=axis)) for z in (x, y)] for axis in (2, 1))
    dx, dy = abs(dx[0] - dx[1])[:, 1:], abs(dy[0] - dy[1])[:, :, 1:]
    error = 128**2 * (dx + dy).sum() / x.size
    assert found["sd_field"] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-3)


def test_report():
    scores = {
        "net": {"psnr": 20.0, "places_kl": 0.5, "places_kl_field_std": 1.0, "map_miou": 40.0},
        "baseline": {"psnr": 18.0, "places_kl": 0.25, "places_kl_field_std": float("nan")},
    }
    lines = metrics_table(scores).markdown().splitlines()
    assert lines[2] == "| psnr dB | **20.00** | 18.00 |"
    assert lines[3] == "| places kl (smaller is better) | 0.5000 | **0.2500** |"
    assert lines[4].endswith("| 1.0000 | - |"), "of a spread none is the best"
    assert lines[5] == "| map miou % | 40.00 | - |"
