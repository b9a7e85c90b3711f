"""Optimizers by name, and layer decay."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from core import InputError, create_backbone
from core.config import build, to_plain
from core.models.classifier import Classifier, create_classifier
from core.models.networks.convmlp import ConvMLP, convmlp_config
from core.models.networks.s2mlp import S2MLP, s2mlp_config
from core.training.optim import (
    OPTIMIZERS,
    OptimConfig,
    ScheduleConfig,
    create_optimizer,
    layer_scales,
    lr_factor,
    parameter_groups,
    set_lr,
)


def small(**changes) -> Classifier:
    return Classifier(create_backbone("mixer_c16_l3_p8", 16, **changes), 2)


def test_names_are_torchs_own():
    """style.md's six: SGD without and with momentum, and no momentum in RMSprop."""
    kinds = {name: type(create_optimizer(OptimConfig(name), small())) for name in OPTIMIZERS}
    assert kinds == OPTIMIZERS
    plain = create_optimizer(OptimConfig("sgd", momentum=0.0), small()).defaults
    assert (plain["momentum"], plain["nesterov"]) == (0.0, False)
    assert create_optimizer(OptimConfig("sgd"), small()).defaults["momentum"] == 0.9
    assert create_optimizer(OptimConfig("rmsprop"), small()).defaults["momentum"] == 0
    betas = OptimConfig("adamax", betas=(0.8, 0.95))
    assert create_optimizer(betas, small()).defaults["betas"] == (0.8, 0.95)


DECOUPLED = ("adamw", "optimistic_adam")


@pytest.mark.parametrize("name", [n for n in OPTIMIZERS if n != "sgd"])
def test_decoupled_weight_decay_shrinks_what_has_no_gradient(name):
    """Coupled decay is a gradient, normalised to a step of about lr; decoupled is lr * decay."""
    layer = nn.Linear(1, 1)
    nn.init.constant_(layer.weight, 10.0)
    optimizer = create_optimizer(OptimConfig(name, lr=0.01, weight_decay=0.5), layer)
    layer.weight.grad, layer.bias.grad = torch.zeros(1, 1), torch.zeros(1)
    bias = layer.bias.item()
    optimizer.step()
    shrunk = 10.0 - layer.weight.item()
    assert shrunk == pytest.approx(0.05, rel=1e-3) if name in DECOUPLED else 0.005 < shrunk < 0.2
    assert (shrunk == pytest.approx(0.05, rel=1e-3)) == (name in DECOUPLED)
    assert layer.bias.item() == bias


@pytest.mark.parametrize("name", ["lamb", "lion", "muon", "lookahead_adamw"])
def test_timms_by_name_train(name):
    network = small()
    optimizer = create_optimizer(OptimConfig(f"timm:{name}", lr=1e-3, layer_decay=0.5), network)
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.05, 0.0}
    assert {group["lr"] for group in optimizer.param_groups} == {1e-3 * 0.5**n for n in range(5)}
    nn.init.normal_(network.head.weight)  # a zero head passes nothing on
    before = {n: p.detach().clone() for n, p in network.named_parameters()}
    network(torch.randn(2, 3, 16, 16)).square().sum().backward()
    optimizer.step()
    assert all(p.isfinite().all() for p in network.parameters())
    moved = [n for n, p in network.named_parameters() if not torch.equal(p, before[n])]
    assert {"backbone.stem.weight", "backbone.blocks.2.mlp_tokens.fc1.weight"} < set(moved)


def test_timm_keeps_its_betas_unless_they_are_given():
    lion = create_optimizer(OptimConfig("timm:lion"), small())
    assert lion.defaults["betas"] == (0.9, 0.99)
    lion = create_optimizer(OptimConfig("timm:lion", betas=(0.95, 0.98)), small())
    assert lion.defaults["betas"] == (0.95, 0.98)
    momentum = create_optimizer(OptimConfig("timm:momentum", momentum=0.7), small())
    assert momentum.defaults["momentum"] == 0.7


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (OptimConfig("rmspop"), r"no optimizer 'rmspop'. Did you mean rmsprop\?.*adamax.*timm:"),
        (OptimConfig("timm:lam"), r"timm has no optimizer 'lam'. Did you mean lamb\?"),
        (OptimConfig("timm:adahessian"), "second derivatives"),
        (OptimConfig("timm:adan", betas=(0.9, 0.9)), "takes no two betas"),
        (OptimConfig(layer_decay=0.0), r"layer_decay is 0.0; choose a number in \(0, 1\]"),
    ],
)
def test_what_cannot_be_made_is_named(config, message):
    with pytest.raises(InputError, match=message):
        create_optimizer(config, small())


def test_configurations_saved_before_still_load():
    old = {"name": "sgd", "lr": "3e-2", "weight_decay": 0, "betas": [0.9, 0.999], "momentum": 0.9}
    config = build(OptimConfig, old, "config.yaml")
    assert config == OptimConfig("sgd", 0.03, 0.0)
    assert build(OptimConfig, to_plain(config), "config.yaml") == config


# ---- layer decay -----------------------------------------------------------------------------


def test_scales_of_a_mixer():
    scales = layer_scales(small(), 0.5)
    assert scales["backbone.stem.weight"] == 0.5**4
    for i in range(3):
        assert scales[f"backbone.blocks.{i}.norm1.bias"] == 0.5 ** (3 - i)
        assert scales[f"backbone.blocks.{i}.mlp_channels.fc2.weight"] == 0.5 ** (3 - i)
    assert scales["backbone.norm.weight"] == 1
    assert not any(name.startswith("head") for name in scales)


def test_scales_of_s2mlp_and_convmlp():
    config = s2mlp_config("s2mlp_wide", image_size=16, num_blocks=2, hidden_dim=16)
    scales = layer_scales(Classifier(S2MLP(config), 2), 0.5)
    assert scales["backbone.stem.weight"] == scales["backbone.stem_norm.weight"] == 0.125
    assert scales["backbone.blocks.1.norm2.weight"] == 0.5
    assert scales["backbone.norm.bias"] == 1
    config = convmlp_config(
        "convmlp_s", image_size=32, tokenizer_dim=4, num_blocks=(1, 2, 1), dims=(8, 8, 8)
    )  # two conv blocks and four others: the norm has depth 7
    scales = layer_scales(Classifier(ConvMLP(config), 2), 0.5)
    depths = {
        "tokenizer.0.weight": 0,
        "conv_blocks.0.0.weight": 1,
        "conv_blocks.1.0.weight": 2,
        "conv_downsample.weight": 2,
        "stages.0.blocks.0.norm1.weight": 3,
        "stages.0.downsample.weight": 3,
        "stages.1.blocks.0.connect.weight": 4,
        "stages.1.blocks.1.connect.weight": 5,
        "stages.2.blocks.0.norm2.weight": 6,
        "norm.weight": 7,
    }
    assert {n: 7 + math.log2(scales[f"backbone.{n}"]) for n in depths} == depths


@pytest.mark.parametrize("name", ["mixer_s32_224", "resnet10t", "convnext_atto"])
def test_scales_of_timms_models_are_timms_own(name):
    """param_groups_layer_decay of the same model with its head, as timm trains it."""
    import timm
    from timm.optim import param_groups_layer_decay

    scales = layer_scales(Classifier(create_backbone(f"timm:{name}", 64), 2), 0.5)
    whole = timm.create_model(name, num_classes=2)
    names = {id(parameter): n for n, parameter in whole.named_parameters()}
    theirs = {
        names[id(parameter)]: group["lr_scale"]
        for group in param_groups_layer_decay(whole, layer_decay=0.5)
        for parameter in group["params"]
    }
    head = whole.pretrained_cfg["classifier"]
    assert theirs.pop(f"{head}.weight") == theirs.pop(f"{head}.bias") == 1
    assert {n.removeprefix("backbone.model."): s for n, s in scales.items()} == theirs
    assert len(set(theirs.values())) > 4


def test_groups_keep_their_scale_through_the_schedule():
    schedule = ScheduleConfig("cosine", warmup=3, final=0.1)
    network = small()
    config = OptimConfig(lr=0.2, weight_decay=0.1, layer_decay=0.5)
    optimizer = create_optimizer(config, network)
    names = {id(p): n for n, p in network.named_parameters()}
    scales = layer_scales(network, 0.5)
    seen = {names[id(p)] for group in optimizer.param_groups for p in group["params"]}
    assert seen == set(names.values())
    for step in range(10):
        set_lr(optimizer, lr_factor(schedule, step, 10))
        assert optimizer.param_groups[0]["lr"] == 0.2 * lr_factor(schedule, step, 10)
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                scale = scales.get(names[id(parameter)], 1.0)
                assert group["lr"] == pytest.approx(0.2 * scale * lr_factor(schedule, step, 10))
                assert group["weight_decay"] == (0.1 if parameter.ndim > 1 else 0.0)


def test_a_lower_layer_moves_less():
    """With SGD and one gradient for all, a step is the learning rate."""
    network = small()
    optimizer = create_optimizer(
        OptimConfig("sgd", lr=1.0, weight_decay=0.0, layer_decay=0.5), network
    )
    before = {n: p.detach().clone() for n, p in network.named_parameters()}
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    set_lr(optimizer, 0.5)
    optimizer.step()
    steps = {n: (before[n] - p).mean().item() for n, p in network.named_parameters()}
    assert steps["head.weight"] == pytest.approx(0.5)
    assert steps["backbone.blocks.1.mlp_tokens.fc1.weight"] == pytest.approx(0.125, rel=1e-4)
    assert steps["backbone.stem.weight"] == pytest.approx(0.5**5, rel=1e-4)


def test_without_decay_the_groups_are_as_before_and_frozen_ones_are_left_out():
    network = small()
    network.backbone.stem.requires_grad_(False)
    groups = create_optimizer(OptimConfig(), network).param_groups
    expected = [p for p in network.parameters() if p.requires_grad]
    assert [id(p) for p in groups[0]["params"]] == [id(p) for p in expected if p.ndim > 1]
    assert [id(p) for p in groups[1]["params"]] == [id(p) for p in expected if p.ndim <= 1]
    groups = create_optimizer(OptimConfig(layer_decay=0.5), network).param_groups
    held = {id(p) for group in groups for p in group["params"]}
    assert held == {id(p) for p in expected}
    with pytest.raises(InputError, match="all are frozen"):
        create_optimizer(OptimConfig(), network.requires_grad_(False))


def test_layer_decay_needs_a_backbone_with_blocks():
    config = replace(OptimConfig(), layer_decay=0.7)
    with pytest.raises(InputError, match="Linear has no backbone"):
        create_optimizer(config, nn.Linear(2, 2))
    network = nn.ModuleDict({"rest": nn.Linear(2, 2)})
    network.backbone = nn.Linear(2, 2)
    with pytest.raises(InputError, match="Linear has no blocks"):
        create_optimizer(config, network)


def test_muon_leaves_stem_norms_biases_and_head_to_adamw():
    """Of one step from the same gradients, AdamW's is that of all but the matrices in blocks."""
    torch.manual_seed(0)
    ours = create_classifier("mixer_c16_l2_p8", 16, 3)
    nn.init.normal_(ours.head.weight)  # of zeros, no gradient would pass it
    theirs, images = copy.deepcopy(ours), torch.randn(4, 3, 16, 16)
    for name, network in (("timm:muon", ours), ("adamw", theirs)):
        optimizer = create_optimizer(OptimConfig(name, betas=(0.9, 0.95)), network)
        (1e3 * (network(images) - torch.eye(3)[[0, 1, 2, 0]]).square().sum()).backward()
        optimizer.step()
    moved = {}
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        moved[name] = not torch.allclose(mine, other, atol=1e-5)
    inner = {n for n, p in ours.named_parameters() if "blocks" in n and p.ndim == 2}
    assert {name for name, differs in moved.items() if differs} == inner
    # the step of a matrix is orthogonal: all its singular values are about equal
    network = create_classifier("mixer_c16_l2_p8", 16, 3)
    before = network.backbone.blocks[0].mlp_channels.fc1.weight.detach().clone()
    optimizer = create_optimizer(OptimConfig("timm:muon", weight_decay=0.0), network)
    network(images).sum().backward()
    nn.init.normal_(network.backbone.blocks[0].mlp_channels.fc1.weight.grad)
    optimizer.step()
    step = network.backbone.blocks[0].mlp_channels.fc1.weight.detach() - before
    values = torch.linalg.svdvals(step)
    assert values.max() / values.min() < 2
    assert all("use_fallback" not in group for group in parameter_groups(OptimConfig(), network))
