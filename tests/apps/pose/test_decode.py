"""Decoding below a pixel: SimCC and the heatmap codecs on Gaussians whose centre is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("mmpose")

from apps.pose.config import ModelConfig
from apps.pose.data.codec import codec_config
from apps.pose.models.flip_test import flip_average, unflip
from core.errors import InputError
from tests.apps.pose.oracle import between_bins, decode, mmpose_codec, mmpose_decode

WIDTH, HEIGHT = 192, 256
SIMCC = ModelConfig(image_size=(HEIGHT, WIDTH), head="simcc", simcc_split=2.0, sigma=6.0)
HEATMAP = ModelConfig(image_size=(HEIGHT, WIDTH), head="heatmap", sigma=2.0)
KEYPOINTS = 50


def centres(low=0.0, seed=0, count=8):
    """(count, KEYPOINTS, 2) places in the crop, at least ``low`` pixels from its border."""
    rng = np.random.default_rng(seed)
    high = np.array([WIDTH, HEIGHT]) - 1 - low
    return rng.uniform(low, high, (count, KEYPOINTS, 2))


def simcc_outputs(points, model, noise=0.0, seed=1):
    """Logits of exact Gaussians around the centres, cut by the border as targets are."""
    rng, outputs = np.random.default_rng(seed), {}
    for axis, name, size in ((0, "x", WIDTH), (1, "y", HEIGHT)):
        bins = np.arange(round(size * model.simcc_split))
        gap = bins - points[..., axis : axis + 1] * model.simcc_split
        height = np.exp(-(gap**2) / (2 * model.sigma**2))
        height = np.maximum(height + noise * rng.standard_normal(height.shape), 1e-9)
        outputs[name] = torch.from_numpy(np.log(height)).float()
    return outputs


def simcc_errors(points, model, noise=0.0):
    """Pixels, by axis."""
    found, scores = decode(model, simcc_outputs(points, model, noise))
    assert np.isfinite(found).all()
    assert ((scores > 0) & (scores <= 1)).all()
    return np.abs(found - points)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("low", [0.0, 20.0], ids=["to the border", "inside"])
def test_simcc_is_below_a_quarter_pixel(low, dark):
    """The largest bin of two a pixel is at most 0.25 off, so 0.125 in the mean of each axis."""
    errors = simcc_errors(centres(low), replace(SIMCC, simcc_dark=dark))
    assert errors.mean() < (0.1 if dark else 0.13)
    assert np.linalg.norm(errors, axis=-1).mean() < (0.15 if dark else 0.2)
    if not dark:
        assert errors.mean() == pytest.approx(0.125, abs=0.01)
        assert errors[errors < 1].max() <= 0.2501


@pytest.mark.parametrize("place", [0.0, 0.1, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("dark", [False, True])
def test_simcc_at_the_border(place, dark):
    """Half of the Gaussian is outside: still at most a quarter of a pixel off."""
    start, end = np.full((1, KEYPOINTS, 2), place), np.array([WIDTH, HEIGHT]) - 1 - place
    model = replace(SIMCC, simcc_dark=dark)
    for points in (start, np.broadcast_to(end, (1, KEYPOINTS, 2))):
        assert simcc_errors(points, model).max() <= 0.2501


def test_dark_pays_where_bins_are_wide_or_noisy():
    plain, dark = (replace(SIMCC, simcc_split=1.0, sigma=3.0, simcc_dark=d) for d in (False, True))
    points = centres(10)
    assert simcc_errors(points, plain).mean() == pytest.approx(0.25, abs=0.01)
    assert simcc_errors(points, dark).mean() < 0.1
    assert simcc_errors(points, replace(SIMCC), 0.03).mean() > 0.25
    assert simcc_errors(points, replace(SIMCC, simcc_dark=True), 0.03).mean() < 0.12


@pytest.mark.parametrize("noise", [0.0, 0.005])
def test_between_bins_is_mmpose_s_refinement_away_from_the_ends(noise):
    from apps.pose.data.mmpose_compat import SimCCLabel

    outputs = simcc_outputs(centres(30), SIMCC, noise)
    x, y = (outputs[axis].softmax(-1).numpy() for axis in "xy")
    options = {"input_size": (WIDTH, HEIGHT), "sigma": 6.0, "simcc_split_ratio": 2.0}
    expected, _ = SimCCLabel(**options, use_dark=True).decode(x.copy(), y.copy())
    found, _ = decode(replace(SIMCC, simcc_dark=True), outputs)
    assert np.abs(found - expected).max() < (0.001 if noise == 0 else 0.1)
    in_float64 = np.stack([between_bins(axis, 6.0) for axis in (x, y)], -1) / 2
    assert np.abs(found - in_float64).max() < 1e-3


def test_dark_takes_flat_and_narrow_outputs():
    model = replace(SIMCC, simcc_dark=True)
    for outputs in (torch.zeros, lambda *shape: 50 * torch.eye(shape[-1])[: shape[1]][None]):
        x, y = outputs(1, KEYPOINTS, 2 * WIDTH), outputs(1, KEYPOINTS, 2 * HEIGHT)
        found, _ = decode(model, {"x": x, "y": y})
        assert np.isfinite(found).all()
        assert (found >= 0).all()
        assert (found <= [WIDTH, HEIGHT]).all()


def heatmap_outputs(points, model, noise=0.0):
    """Gaussians at the exact places, in the codec's own geometry."""
    rng = np.random.default_rng(3)
    w, h = codec_config(model)["heatmap_size"]
    udp = model.heatmap_codec == "udp"
    scale = np.array([(w - 1) / (WIDTH - 1), (h - 1) / (HEIGHT - 1)]) if udp else 0.25
    x, y = np.moveaxis(points * scale, -1, 0)[..., None]
    across = np.exp(-((np.arange(w) - x) ** 2) / (2 * model.sigma**2))
    down = np.exp(-((np.arange(h) - y) ** 2) / (2 * model.sigma**2))
    maps = down[..., :, None] * across[..., None, :]
    return {"heatmap": torch.from_numpy(maps + noise * rng.standard_normal(maps.shape)).float()}


def heatmap_errors(points, model, noise=0.0):
    """Crop pixels, by axis. UDP's codec gives W/(W-1) of them (`to_image`)."""
    found, _ = decode(model, heatmap_outputs(points, model, noise))
    if model.heatmap_codec == "udp":
        found = found * (np.array([WIDTH, HEIGHT]) - 1) / [WIDTH, HEIGHT]
    return np.abs(found - points)


@pytest.mark.parametrize(("codec", "limit"), [("udp", 0.02), ("dark", 0.02), ("msra", 0.6)])
def test_heatmaps_inside(codec, limit):
    """A heatmap pixel is four of the crop; a maximum alone is one crop pixel off in the mean."""
    model = replace(HEATMAP, heatmap_codec=codec)
    assert heatmap_errors(centres(30), model).mean() < limit
    assert heatmap_errors(centres(30), model, noise=0.005).mean() < limit + 0.15


def test_a_quarter_pixel_is_half_as_far_off_as_none():
    assert heatmap_errors(centres(30), replace(HEATMAP, heatmap_codec="msra")).mean() > 0.45


@pytest.mark.parametrize("codec", ["udp", "dark", "msra"])
def test_heatmaps_to_the_border(codec):
    errors = heatmap_errors(centres(0), replace(HEATMAP, heatmap_codec=codec))
    assert np.isfinite(errors).all()
    assert errors.mean() < 1.0
    assert errors.max() < 5


@pytest.mark.parametrize("codec", ["udp", "dark", "msra"])
def test_targets_and_decoding_agree(codec):
    """What the codec makes of keypoints decodes to them; msra rounds both ways."""
    model = replace(HEATMAP, heatmap_codec=codec)
    points = centres(30, count=1).astype(np.float32)
    target = mmpose_codec(model).encode(points, np.ones((1, KEYPOINTS), dtype=np.float32))
    maps = {"heatmap": torch.from_numpy(target["heatmaps"])[None]}
    found, _ = decode(model, maps)
    if codec == "udp":
        found = found * (np.array([WIDTH, HEIGHT]) - 1) / [WIDTH, HEIGHT]
    errors = np.abs(found - points)
    assert errors.max() < (2.01 if codec == "msra" else 0.1)


@pytest.mark.parametrize(("codec", "off"), [("udp", 0.0), ("dark", 0.5), ("msra", 0.5)])
def test_the_flip_test_s_shift(codec, off):
    """The mean with a mirrored image is where the keypoint is; without UDP half a pixel off."""
    model = replace(HEATMAP, heatmap_codec=codec)
    points = 4.0 * np.random.default_rng(4).integers(10, 35, (1, KEYPOINTS, 2))
    mirrored = np.stack([WIDTH - 1 - points[..., 0], points[..., 1]], -1)
    swap = tuple(range(KEYPOINTS))
    both = heatmap_outputs(points, model), heatmap_outputs(mirrored, model)
    found, _ = decode(model, flip_average(*both, model, swap))
    if codec == "udp":
        found = found * (np.array([WIDTH, HEIGHT]) - 1) / [WIDTH, HEIGHT]
    shift = found[..., 0] - points[..., 0]
    if codec == "msra":  # its quarter pixel says only which side
        assert (np.abs(shift) <= 1.01).all()
    else:
        assert shift.mean() == pytest.approx(off, abs=0.03)
    assert found[..., 1] == pytest.approx(points[..., 1], abs=1.01 if codec == "msra" else 0.03)


def test_codecs_are_mmpose_s():
    codecs = [codec_config(replace(HEATMAP, heatmap_codec=c)) for c in ("udp", "dark", "msra")]
    assert [c["type"].__name__ for c in codecs] == ["UDPHeatmap", "MSRAHeatmap", "MSRAHeatmap"]
    assert [c.get("unbiased") for c in codecs] == [None, True, False]
    assert codec_config(SIMCC)["type"].__name__ == "SimCCLabel"
    with pytest.raises(InputError, match="multiples of 4"):
        codec_config(replace(HEATMAP, image_size=(255, 192)))


# ---- ours against mmpose's, for every head and codec --------------------------------------------

HEADS = {
    "simcc": SIMCC,
    "simcc of 1 bin": replace(SIMCC, simcc_split=1.0, sigma=3.0),
    "simcc dark": replace(SIMCC, simcc_dark=True),
    **{codec: replace(HEATMAP, heatmap_codec=codec) for codec in ("udp", "dark", "msra")},
    "udp of sigma 3": replace(HEATMAP, sigma=3.0),
}
SWAP = tuple(i ^ 1 for i in range(KEYPOINTS))  # 0 and 1, 2 and 3, ...


def outputs_of(model, points, noise):
    """What a network that is right but for noise would answer."""
    make = simcc_outputs if model.head == "simcc" else heatmap_outputs
    return make(points, model, noise)


def apart(model, outputs):
    """Largest differences from mmpose: pixels of the crop, scores."""
    (points, scores), (expected, expected_scores) = (
        decode(model, outputs),
        mmpose_decode(model, outputs),
    )
    return np.abs(points - expected).max(), np.abs(scores - expected_scores).max()


@pytest.mark.parametrize("model", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize("low", [0.0, 30.0], ids=["to the border", "inside"])
def test_decoding_is_mmpose_s(model, noise, low):
    pixels, score = apart(model, outputs_of(model, centres(low), noise))
    assert pixels < 1e-3
    assert score < 1e-6


@pytest.mark.parametrize("model", HEADS.values(), ids=HEADS)
def test_the_flip_test_is_mmpose_s(model):
    """The same exchange, mirror and (heatmaps without UDP) shift; then the same mean is decoded."""
    from mmpose.models.utils.tta import flip_heatmaps, flip_vectors

    outputs, of_flipped = (outputs_of(model, centres(30, seed), 0.02) for seed in (1, 2))
    ours = unflip(of_flipped, model, SWAP)
    if model.head == "simcc":
        x, y = flip_vectors(of_flipped["x"], of_flipped["y"], SWAP)
        back = round(model.simcc_split - 1)  # mmpose leaves the axis half a bin off (`unflip`)
        assert torch.equal(ours["x"][..., : x.shape[-1] - back], x[..., back:])
        assert torch.equal(ours["y"], y)
    else:
        shift = model.heatmap_codec != "udp"
        assert torch.equal(
            ours["heatmap"], flip_heatmaps(of_flipped["heatmap"], SWAP, shift_heatmap=shift)
        )
    mean = flip_average(outputs, of_flipped, model, SWAP)
    for name, values in mean.items():
        torch.testing.assert_close(values, (outputs[name] + ours[name]) / 2)
    assert apart(model, mean)[0] < 1e-3


@pytest.mark.parametrize("model", HEADS.values(), ids=HEADS)
def test_autocast_takes_no_digit_from_decoding(model):
    """Predictions are decoded in the precision of the session, which may be bfloat16."""
    outputs = outputs_of(model, centres(30), 0.0)
    points, scores = decode(model, outputs)
    with torch.autocast("cpu", torch.bfloat16):
        again, scores_again = decode(model, outputs)
    np.testing.assert_array_equal(again, points)
    np.testing.assert_array_equal(scores_again, scores)
