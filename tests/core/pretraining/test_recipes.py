"""Presets say what the papers say."""

import pytest
import torch

from core.data.augment import train_transform
from core.data.fractals.dataset import check as check_fractals
from core.models.backbone import create_backbone
from core.models.network import ClassifierConfig, build_classifier
from core.pretraining.presets import PRESETS
from core.training.optim import lr_factor

# MLP-Mixer (arXiv 2105.01601), Table 4: epochs, lr, weight decay, RandAugment, mixup, depth
TABLE_4 = {
    "imagenet_b16": ("mixer_b16", 300, 1e-3, 0.1, 15, 0.5, 0.1),
    "imagenet_l16": ("mixer_l16", 300, 1e-3, 0.1, 15, 0.5, 0.1),
    "imagenet21k_b16": ("mixer_b16", 300, 1e-3, 0.1, 10, 0.2, 0.1),
    "imagenet21k_l16": ("mixer_l16", 300, 1e-3, 0.1, 20, 0.5, 0.1),
    "jft_s16": ("mixer_s16", 5, 3e-3, 0.03, 0, 0, 0),
    "jft_b16": ("mixer_b16", 7, 3e-3, 0.03, 0, 0, 0),
    "jft_l16": ("mixer_l16", 14, 1e-3, 0.03, 0, 0, 0),
    "jft_h14": ("mixer_h14", 14, 1e-3, 0.03, 0, 0, 0),
}


@pytest.mark.parametrize("name", TABLE_4)
def test_table_4(name):
    config = PRESETS[name]()
    optim, augment = config.optim, config.augment
    found = (config.model.backbone, config.run.epochs, optim.lr, optim.weight_decay)
    found += (augment.randaugment, augment.mixup, config.model.stochastic_depth)
    assert found == TABLE_4[name]
    assert (config.run.batch_size, config.run.clip, optim.betas) == (4096, 1, (0.9, 0.999))
    assert (augment.crop_area, augment.flip, augment.cutmix) == ((0.05, 1.0), 0.5, 0)
    schedule, steps = config.run.schedule, 100_000
    assert lr_factor(schedule, 9_999, steps) == pytest.approx(1, abs=1e-3)
    assert lr_factor(schedule, 55_000, steps) == pytest.approx(0.5, abs=1e-3)
    assert lr_factor(schedule, steps, steps) == 0


def test_big_vision_ends_at_a_hundredth_with_the_sigmoid_loss():
    config = PRESETS["big_vision_b16"]()
    assert (config.loss, config.model.head_bias) == ("sigmoid", -6.9)
    assert config.optim.lr * lr_factor(config.run.schedule, 10**6, 10**6) == pytest.approx(1e-5)
    # decoupled decay of 1e-4 a step at the peak, which AdamW multiplies by the learning rate
    assert config.optim.lr * config.optim.weight_decay == pytest.approx(1e-4)
    assert PRESETS["big_vision_b16_60"]().run.epochs == 60


@pytest.mark.parametrize(
    ("name", "steps"), [("imagenet", 20_000), ("cifar", 10_000), ("pets", 500), ("vtab", 2_500)]
)
def test_fine_tuning(name, steps):
    config = PRESETS[f"finetune_{name}"]()
    optim, run = config.optim, config.run
    assert (optim.name, optim.momentum, optim.weight_decay) == ("sgd", 0.9, 0)
    assert (run.steps, run.batch_size, run.clip, run.schedule.name) == (steps, 512, 1, "cosine")
    assert config.model.new_head


@pytest.mark.parametrize("name", ["ofdb_1k_s16", "ofdb_1k_b16", "one_p_frac_s16", "one_p_frac_b16"])
def test_one_image_a_class_for_80_million_samples(name):
    config = PRESETS[name]()
    assert config.fractals.instances == 1
    assert config.run.epochs * config.fractals.classes == 80e6
    augment = config.augment
    assert (augment.mixup, augment.cutmix, augment.erasing) == (0.8, 1, 0.5)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_built(name):
    config = PRESETS[name]()
    assert PRESETS[name].__doc__
    check_fractals(config.fractals)
    assert (config.run.steps > 0) != (config.run.epochs > 0)
    size = config.model.image_size * (2 // len(config.model.image_size))
    assert callable(train_transform(config.augment, size, ((0.5,) * 3, (0.5,) * 3)))
    options = {"any_size": True} if config.model.sizes else {}
    with torch.device("meta"):
        assert create_backbone(config.model.backbone, config.model.image_size, **options)


@pytest.mark.parametrize(("name", "size"), [("mixer_c16_l2_p8", 16), ("timm:test_vit", 160)])
def test_recomputing_blocks_changes_no_gradient(name, size):
    found, images = [], torch.randn(2, 3, size, size)
    for recompute in (False, True):
        torch.manual_seed(0)
        config = ClassifierConfig(name, (size,), grad_checkpointing=recompute)
        network = build_classifier(config, ["a", "b"]).train()
        torch.nn.init.ones_(network.head.weight)
        network(images).sin().sum().backward()
        found.append([p.grad for p in network.backbone.parameters()])
    torch.testing.assert_close(*found)
    assert any(gradient.any() for gradient in found[0])
