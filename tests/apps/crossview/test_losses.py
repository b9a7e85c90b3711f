"""Cross-view losses against the formulas by hand, sample by sample in float64."""

import numpy as np
import pytest
import torch

from apps.crossview.config import LossConfig
from apps.crossview.models.losses import (
    adversarial_losses,
    discriminator_losses,
    pixel_losses,
    total_variation,
)

H, W, K = 5, 4, 3


def rand(*shape, low=-1.0):
    return torch.rand(*shape, dtype=torch.double) * (1 - low) + low


@pytest.fixture
def output():
    torch.manual_seed(0)
    return {
        "coarse": rand(2, 3, H, W),
        "image": rand(2, 3, H, W),
        "map": rand(2, K, H, W),
        "map_final": rand(2, K, H, W),
        "uncertainty": rand(2, 1, H, W, low=0.1),
    }


def bce(logits, truth):
    p = 1 / (1 + np.exp(-logits.numpy()))
    return -np.mean(truth * np.log(p) + (1 - truth) * np.log(1 - p))


def crossmlp(first, second, truth, doubt, weight):
    """L_img and L_seg as released, of one sample, with the half before them."""
    e1, e2 = np.abs(first - truth), np.abs(second - truth)
    refined = (e1 + e2) / doubt + np.log(doubt) + 0.5 * (second - first) ** 2
    total = 1.5 * weight * refined.mean() + weight * e1.mean() + 2 * weight * e2.mean()
    return 0.5 * total


def selectiongan(first, second, truth, doubt, weight):
    def one(e):
        return (e / doubt + np.log(doubt)).mean() + e.mean()

    return weight * one(np.abs(first - truth)) + 2 * weight * one(np.abs(second - truth))


@pytest.mark.parametrize("pixel", [crossmlp, selectiongan])
def test_pixel_losses(output, pixel):
    image, target_map = rand(2, 3, H, W), rand(2, K, H, W)
    losses = pixel_losses(output, image, target_map, LossConfig(pixel=pixel.__name__))
    arrays = {name: value.numpy() for name, value in output.items()}
    for i in range(2):
        doubt = arrays["uncertainty"][i]
        pairs = [arrays[name][i] for name in ("coarse", "image", "map", "map_final")]
        expected = pixel(*pairs[:2], image[i].numpy(), doubt, 100)
        assert float(losses["image"][i]) == pytest.approx(expected, rel=1e-5)
        expected = pixel(*pairs[2:], target_map[i].numpy(), doubt, 1)
        assert float(losses["map"][i]) == pytest.approx(expected, rel=1e-5)
        final = arrays["image"][i]
        steps = sum(np.abs(np.diff(final, axis=axis)).sum() for axis in (1, 2))
        assert float(losses["tv"][i]) == pytest.approx(4e-6 * steps, rel=1e-5)


def test_one_image_has_pix2pix_losses():
    made, image, target_map = rand(2, 3, H, W), rand(2, 3, H, W), rand(2, K, H, W)
    output = {"image": made, "map": target_map + 0.25}
    losses = pixel_losses(output, image, target_map, LossConfig(total_variation=0))
    assert losses.keys() == {"image", "map"}
    for i in range(2):
        expected = 100 * (made[i] - image[i]).abs().mean()
        assert float(losses["image"][i]) == pytest.approx(float(expected), rel=1e-5)
        assert float(losses["map"][i]) == pytest.approx(0.25, rel=1e-5)
    logits = {"image": torch.randn(2, 1, 3, 3, dtype=torch.double)}
    found = adversarial_losses(logits, output, LossConfig())
    assert float(found["g_image"][1]) == pytest.approx(bce(logits["image"][1], 1), rel=1e-5)
    real = torch.randn(2, 1, 3, 3, dtype=torch.double)
    found = discriminator_losses(real, logits, output)
    expected = 0.5 * (bce(real[0], 1) + bce(logits["image"][0], 0))
    assert float(sum(found.values())[0]) == pytest.approx(expected, rel=1e-5)


def test_adversarial_losses_of_two_stages(output):
    torch.manual_seed(1)
    real, coarse, final = torch.randn(3, 2, 1, 3, 3, dtype=torch.double)
    made = {"coarse": coarse, "image": final}
    found = sum(discriminator_losses(real, made, output).values())
    for i in range(2):
        expected = 0.5 * (bce(coarse[i], 0) + 4 * bce(final[i], 0) + 5 * bce(real[i], 1))
        assert float(found[i]) == pytest.approx(expected, rel=1e-5)
    found = sum(adversarial_losses(made, output, LossConfig(adversarial=0.5)).values())
    expected = 0.5 * (bce(coarse[0], 1) + 4 * bce(final[0], 1))
    assert float(found[0]) == pytest.approx(expected, rel=1e-5)


def test_total_variation():
    image = torch.zeros(2, 3, 4, 5)
    image[1, :, 1, 2] = 1.0  # a lone pixel differs from four neighbours
    assert total_variation(image).tolist() == [0.0, 12.0]


def test_no_uncertainty_makes_a_loss_infinite(output):
    output["uncertainty"] = torch.zeros(2, 1, H, W)
    truth = output["image"].clone()
    losses = pixel_losses(output, truth, output["map"], LossConfig())
    assert all(loss.isfinite().all() for loss in losses.values())
    output["uncertainty"] = torch.full((2, 1, H, W), 1e-3)
    for name, loss in pixel_losses(output, truth, output["map"], LossConfig()).items():
        torch.testing.assert_close(losses[name], loss)


def test_each_sample_has_its_own_loss(output):
    image, target_map = rand(2, 3, H, W), rand(2, K, H, W)
    both = pixel_losses(output, image, target_map, LossConfig())
    second = {name: value[1:] for name, value in output.items()}
    alone = pixel_losses(second, image[1:], target_map[1:], LossConfig())
    for name, loss in alone.items():
        assert both[name].shape == (2,)
        torch.testing.assert_close(both[name][1:], loss)
