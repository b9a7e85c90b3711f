"""Baselines that learn nothing: by hand, on towns and on real samples."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import default_collate

from apps.crossview.config import DataConfig
from apps.crossview.data.pairs import Pairs
from apps.crossview.data.views import Views, views_of
from apps.crossview.evaluation import baselines, leave_one_out
from apps.crossview.evaluation.metrics import image_metrics
from apps.crossview.towns import write_towns
from core.errors import InputError

REAL = os.environ.get("MIXER_TEST_DATA")


@pytest.fixture(scope="module")
def towns(tmp_path_factory):
    root = write_towns(tmp_path_factory.mktemp("towns"), 12, 8, size=32, workers=1)
    return DataConfig(root=str(root), size=(32, 32), enlarge=1.0)


def target(item, direction):
    """Image and map of what a direction draws."""
    name = {"a2g": "ground", "g2a": "aerial"}[direction]
    return item[name], item[f"{name}_map"]


@pytest.mark.parametrize("direction", ["a2g", "g2a"])
def test_baselines_by_hand(towns, direction):
    train, val = Pairs(towns, "train"), Pairs(towns, "val")
    fitted = baselines.fit_baselines(train, direction)
    images, maps = zip(*(target(train[i], direction) for i in range(len(train))), strict=True)
    index = torch.arange(len(val))
    views = views_of(default_collate([val[i] for i in range(len(val))]), direction)
    ids = views.ids
    made = fitted.predict(baselines.MEAN, views, index)
    torch.testing.assert_close(made[2], torch.stack(images).mean(0), atol=1e-2, rtol=0)
    painted = fitted.predict(baselines.PAINTED, views, index)
    for kind in ids.unique().tolist():
        pixels = [image[:, its == kind] for image, its in zip(images, maps, strict=True)]
        colour = torch.cat(pixels, 1).mean(1)
        if not colour.isnan().any():
            assert painted.movedim(1, -1)[ids == kind].sub(colour).abs().max() < 1e-2
    others = fitted.predict(baselines.OTHER, views, index)
    for other in others:
        assert any((other - image).abs().max() < 0.01 for image in images)
    assert others.equal(fitted.predict(baselines.OTHER, views, index))
    assert len({tuple(other.flatten().tolist()) for other in others}) > 1, "not always the same"


def test_a_class_that_training_lacks_is_painted_in_the_mean_of_all_pixels():
    """Two pixels of one class, one of another, none of the last."""
    images = torch.tensor([[10, 20, 90], [40, 50, 120], [70, 80, 30]], dtype=torch.uint8)
    maps = torch.tensor([[0, 0, 1]])
    colours = baselines.class_colours(images.view(1, 3, 1, 3), maps.view(1, 1, 3), 3)
    levels = torch.tensor([[15.0, 45, 75], [90, 120, 30], [40, 70, 60]])
    torch.testing.assert_close(colours, levels / 127.5 - 1)


def test_a_class_that_training_lacks_on_disk(tmp_path):
    """Its colour is the mean of photographs, neither black nor the palette's."""
    (tmp_path / "palette.yaml").write_text(
        "land: [0, 0, 0]\nsea: [0, 0, 200]\nice: [250, 250, 250]\n"
    )
    rng = np.random.default_rng(0)
    (tmp_path / "train").mkdir()
    for number in range(3):
        photographs = rng.integers(60, 120, (16, 32, 3), dtype=np.uint8)
        map_pixels = np.zeros((16, 32, 3), np.uint8)
        map_pixels[:, ::2] = (0, 0, 200)
        pixels = np.concatenate([photographs, map_pixels], 1)
        Image.fromarray(pixels).save(tmp_path / f"train/{number}.png")
    train = Pairs(DataConfig(root=str(tmp_path), size=(16, 16), enlarge=1.0), "train")
    fitted = baselines.fit_baselines(train, "a2g")
    pixels = torch.stack([train[i]["ground"] for i in range(3)]).movedim(1, 0).flatten(1)
    nothing = torch.zeros(1, 3, 16, 16)
    views = Views(nothing, nothing, torch.full((1, 16, 16), 2))
    ice = fitted.predict(baselines.PAINTED, views, torch.zeros(1))
    torch.testing.assert_close(ice[0, :, 3, 5], pixels.mean(1), atol=1e-3, rtol=0)


def test_each_pair_is_predicted_from_the_others(towns):
    """Of three pairs: the mean of two, and both of them, in place of the third."""
    pairs = Pairs(towns, "train")
    pairs.records = pairs.records[:3]
    images = [pairs[i]["ground"] / 2 + 0.5 for i in range(3)]
    scores = leave_one_out.score_left_out(pairs, "a2g")

    def psnr(made, real):
        return float(-10 * (made - real).square().mean().log10())

    left = [(images[i], [images[j] for j in range(3) if j != i]) for i in range(3)]
    means = [psnr(sum(others) / 2, real) for real, others in left]
    each = [psnr(other, real) for real, others in left for other in others]
    assert scores[baselines.MEAN]["psnr"] == pytest.approx(np.mean(means), abs=0.05)
    assert scores[baselines.OTHER]["psnr"] == pytest.approx(np.mean(each), abs=1e-3)
    pairs.records = pairs.records[:1]
    with pytest.raises(InputError, match="two pairs"):
        leave_one_out.score_left_out(pairs, "a2g")


def psnr_of_all(config, split):
    """Mean PSNR of each baseline, fitted on the training side, over a side."""
    pairs = Pairs(config, split)
    items = [pairs[i] for i in range(len(pairs))]
    views = views_of(default_collate(items), "a2g")
    real = views.target / 2 + 0.5
    fitted = baselines.fit_baselines(Pairs(config, "train"), "a2g")
    index = torch.arange(len(items))
    made = {n: fitted.predict(n, views, index) / 2 + 0.5 for n in baselines.NAMES}
    return {n: float(image_metrics(m, real)["psnr"].mean()) for n, m in made.items()}


def test_the_order_of_baselines_on_towns(towns):
    """Painting the map in mean colours is above the mean image, that above another photograph."""
    psnr = psnr_of_all(towns, "val")
    assert psnr[baselines.PAINTED] > psnr[baselines.MEAN] > psnr[baselines.OTHER]


@pytest.mark.skipif(not REAL, reason="MIXER_TEST_DATA names no folder of real data")
@pytest.mark.parametrize(("kind", "palette"), [("cvusa", "cvusa"), ("dayton", "cityscapes")])
def test_the_order_of_baselines_on_real_samples(kind, palette):
    """The same on four photographs, on which they were fitted."""
    config = DataConfig(root=str(Path(REAL) / "crossview" / kind), palette=palette)
    psnr = psnr_of_all(config, "train")
    assert psnr[baselines.PAINTED] > psnr[baselines.MEAN] > psnr[baselines.OTHER]
    assert psnr[baselines.PAINTED] > 15
