"""MLP-Pose's parts, levels of every backbone, frozen backbones, and the comparison of them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from apps.pose import compare
from apps.pose.config import ModelConfig
from apps.pose.data.keypoints import KeypointSet
from apps.pose.models.levels import level_maps, level_shapes
from apps.pose.models.mlp_pose import (
    DILATIONS,
    GridMixer,
    IntraLevelFuse,
    JoinLevels,
    KeypointMixer,
)
from apps.pose.models.network import PoseNet
from apps.pose.people import make_people
from apps.pose.presets import PRESETS, debug
from apps.pose.train import train
from core import InputError, create_backbone
from core.checkpoints import find_checkpoint
from core.config import to_plain
from core.models.networks.convmlp import ConvMLP, ConvMLPConfig
from core.models.networks.resize import resize_token_mlp
from core.models.sharing import save_backbone
from core.training.optim import OptimConfig, create_optimizer, layer_scales

FISH = KeypointSet.of(["nose", "left_fin", "right_fin", "tail"])
MIXER, HRNET = "mixer_c16_l4_p16", "timm:hrnet_w18_small"
PARTS = {"fuse": True, "mixer_depth": 1, "mixer_width": 8}
ALL = {  # levels that use all of a backbone, and a crop that it takes
    MIXER: ((0, 3), (64, 48)),
    "timm:resnet10t": ((1, 2, 3, 4), (64, 32)),
    HRNET: ((1, 2, 3, 4), (64, 32)),
    "convmlp": ((0, 1, 2, 3), (64, 48)),
}


def net(backbone=MIXER, image_size=(64, 48), seed=0, **settings):
    torch.manual_seed(seed)
    own = None
    if backbone == "convmlp":  # smaller than the published ones
        sizes = {"tokenizer_dim": 8, "num_conv_blocks": 1, "num_blocks": (1, 1, 1)}
        own = ConvMLP(ConvMLPConfig(image_size=image_size, dims=(8, 16, 24), mlp_ratio=1, **sizes))
    return PoseNet(ModelConfig(backbone, image_size, **settings), FISH, own)


def crops(network, count=2, seed=0):
    size = (count, 3, *network.config.image_size)
    return torch.randint(0, 256, size, dtype=torch.uint8, generator=torch.manual_seed(seed))


def awake(network, seed=0):
    """The network with random numbers where its parts begin with zeros."""
    generator = torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if not name.startswith("backbone.") and not parameter.any():
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network


def total(outputs):
    return sum((v * torch.linspace(-1, 1, v.shape[-1])).square().mean() for v in outputs.values())


@pytest.mark.parametrize("tokens", ["grid", "keypoints"])
@pytest.mark.parametrize("backbone", ALL)
def test_shapes_and_gradients_of_all_parts(backbone, tokens):
    levels, size = ALL[backbone]
    network = awake(net(backbone, size, levels=levels, mixer_tokens=tokens, **PARTS))
    outputs = network(crops(network))
    assert outputs["x"].shape == (2, 4, 2 * size[1])
    assert outputs["y"].shape == (2, 4, 2 * size[0])
    total(outputs).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any() or name.startswith("backbone."), name


@pytest.mark.parametrize("parts", [{"fuse": True}, {"mixer_depth": 1, "mixer_width": 8}, PARTS])
@pytest.mark.parametrize("head", ["simcc", "heatmap"])
def test_each_part_adds_its_parameters_and_begins_with_nothing(parts, head):
    plain = net(head=head).eval()
    assert {name.split(".")[0] for name in plain.state_dict()} == {"backbone", "head"}
    network = net(head=head, seed=1, **parts).eval()
    missing = network.load_state_dict(plain.state_dict(), strict=False).missing_keys
    expected = {"fuse": "fuse" in parts, "mix": "mixer_depth" in parts}
    assert {n.split(".")[1] for n in missing} == {name for name, on in expected.items() if on}
    images = crops(plain)
    torch.testing.assert_close(network(images), plain(images))
    changed = awake(network)(images)
    assert not any(torch.allclose(changed[name], v) for name, v in plain(images).items())


def test_a_keypoint_mixer_begins_with_nothing_and_relates_keypoints():
    plain, network = net().eval(), net(seed=1, mixer_depth=1, mixer_tokens="keypoints").eval()
    network.load_state_dict(plain.state_dict(), strict=False)
    images = crops(plain)
    torch.testing.assert_close(network(images), plain(images))

    def of_others(head):
        """Gradient of the first keypoint's logits by the layer of the second one's map."""
        head.zero_grad()
        features = torch.randn(2, 16, 4, 3, generator=torch.manual_seed(0))
        head(features)["x"][:, 0].square().sum().backward()
        return head.to_keypoints.weight.grad[1].abs().sum()

    assert of_others(plain.head) == 0
    assert of_others(awake(network).head) > 0


def test_settings_that_exclude_each_other():
    with pytest.raises(InputError, match=r'"keypoints" is for model\.head simcc'):
        net(head="heatmap", mixer_depth=1, mixer_tokens="keypoints")
    with pytest.raises(InputError, match="patches of 2 do not fill a map of 5 x 4 positions"):
        net("mixer_c16_l1_p8", (40, 32), mixer_depth=1)
    for levels in ((0, 4), (1, 0), (-1,), (1, 1)):
        with pytest.raises(InputError, match=r"some of 0 to 3 in this order .*3: 16 x 4 x 3"):
            net(levels=levels)
    with pytest.raises(InputError, match=r"keeps random weights as they are: give model\.weights"):
        net(freeze=True)


# ---- the intra-level fuse module -----------------------------------------------------------------


def fuse_of(channels=3, seed=0):
    torch.manual_seed(seed)
    return awake(IntraLevelFuse(channels))


def test_fusing_against_loops():
    """The module's docstring, position by position."""
    fuse, level = fuse_of(), torch.randn(2, 3, 5, 4, generator=torch.manual_seed(1))
    with torch.no_grad():
        whole = {"dim": (1, 2, 3), "keepdim": True}
        x = (level - level.mean(**whole)) / level.std(**whole, correction=0)
        x = fuse.norm.weight[:, None, None] * x + fuse.norm.bias[:, None, None]
        weights, mixed = fuse.weights(x), torch.zeros_like(x)
        for b, c, i, j in np.ndindex(*x.shape):
            for n, dilation in enumerate(DILATIONS):
                found, kernel = fuse.branches[n].bias[c].clone(), fuse.branches[n].weight[c, 0]
                for u, v in np.ndindex(3, 3):
                    y, z = i + dilation * (u - 1), j + dilation * (v - 1)
                    if 0 <= y < 5 and 0 <= z < 4:
                        found += kernel[u, v] * x[b, c, y, z]
                mixed[b, c, i, j] += weights[b, n, c] * found
        kernel = fuse.project.weight[:, :, 0, 0]
        added = torch.einsum("dc,bchw->bdhw", kernel, F.gelu(mixed))
        added += fuse.project.bias[:, None, None]
        torch.testing.assert_close(fuse(level), level + added, rtol=1e-4, atol=1e-5)


def test_weights_of_the_branches():
    fuse, x = fuse_of(), 3 * torch.randn(2, 3, 6, 5, generator=torch.manual_seed(1))
    weights = fuse.weights(x)
    assert weights.shape == (2, 3, 3)
    assert (weights > 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(2, 3))
    assert not torch.allclose(weights[0], weights[1])  # each person has its own
    shuffled = x.flatten(2)[:, :, torch.randperm(30)].view_as(x)
    torch.testing.assert_close(fuse.weights(shuffled), weights)  # of what there is, not where


def test_what_fusing_adds_does_not_depend_on_a_levels_scale_and_offset():
    fuse, level = fuse_of(), torch.randn(2, 3, 6, 5, generator=torch.manual_seed(1))
    other = 40 * level - 7
    torch.testing.assert_close(fuse(other) - other, fuse(level) - level, rtol=1e-3, atol=1e-4)


# ---- joining and mixing --------------------------------------------------------------------------


def test_levels_are_summed_on_the_grid_of_the_first():
    join = JoinLevels([(1, 4, 4), (2, 2, 2)])
    with torch.no_grad():
        for project, weight in zip(join.project, ([2.0], [1.0, -1.0]), strict=True):
            project.weight.copy_(torch.tensor(weight).view_as(project.weight))
            project.bias.fill_(0.5)
    fine = torch.arange(16.0).view(1, 1, 4, 4)
    coarse = torch.tensor([[[[0.0, 4.0], [0.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]]]])
    ramp = torch.tensor([0.0, 1.0, 3.0, 4.0]) - 1  # bilinear, centres of positions aligned
    torch.testing.assert_close(join([fine, coarse]), 2 * fine + 1 + ramp)


def test_the_grid_mixer_by_unfolding_patches():
    torch.manual_seed(0)
    mixer = awake(GridMixer((3, 8, 4), patch=2, depth=2, width=6)).eval()
    features = torch.randn(2, 3, 8, 4)
    stem, spread = mixer.mixer.stem, mixer.spread
    patches = F.unfold(features, 2, stride=2).transpose(1, 2)  # (B, 8, 3*2*2)
    tokens = mixer.mixer.forward_tokens(F.linear(patches, stem.weight.flatten(1), stem.bias))
    back = (tokens @ spread.weight.flatten(1)).transpose(1, 2)
    added = F.fold(back, (8, 4), 2, stride=2) + spread.bias[:, None, None]
    torch.testing.assert_close(mixer(features), features + added)


def test_the_keypoint_mixer_is_a_mixer_on_a_picture_of_rows():
    torch.manual_seed(0)
    mixer = awake(KeypointMixer(5, 12, depth=2, width=6)).eval()
    maps = torch.randn(2, 5, 12)
    as_picture = mixer.mixer(maps[:, None])
    torch.testing.assert_close(mixer(maps), maps + mixer.spread(as_picture))


# ---- levels of backbones -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backbone", "levels", "unused"),
    [
        (MIXER, (0, 2), "blocks.3."),
        ("timm:resnet10t", (1, 2), ("model.layer3.", "model.layer4.")),
        (HRNET, (), "model.stage4.0.fuse_layers."),
        (HRNET, (2, 3), "model.stage4.0.fuse_layers."),
    ],
)
def test_what_no_level_needs_is_not_trained(backbone, levels, unused):
    """And is what gets no gradient in a real pass."""
    network = net(backbone, ALL[backbone][1], levels=levels)
    left = [n for n, p in network.backbone.named_parameters() if not p.requires_grad]
    assert left
    assert all(name.startswith(unused) for name in left)
    network.requires_grad_(True)
    total(network(crops(network))).backward()
    without = [n for n, p in network.backbone.named_parameters() if p.grad is None]
    assert without == left


def test_an_hrnet_gives_its_branches_as_for_pose(tmp_path):
    torch.manual_seed(0)
    whole = timm.create_model("hrnet_w18_small").eval()
    save_file(whole.state_dict(), tmp_path / "hrnet.safetensors")
    backbone = create_backbone(HRNET, (64, 32), tmp_path / "hrnet.safetensors", head="").eval()
    images = torch.randn(1, 3, 64, 32)
    with torch.no_grad():
        stem = whole.act1(whole.bn1(whole.conv1(images)))
        branches = whole.stages(whole.act2(whole.bn2(whole.conv2(stem))))
        maps = level_maps(backbone, images, (1, 2, 3, 4))
        torch.testing.assert_close(maps, branches)
        torch.testing.assert_close(level_maps(backbone, images, ()), branches[:1])
    assert (backbone.stride, backbone.grid, backbone.num_features) == ((4, 4), (16, 8), 16)
    heatmap = net(HRNET, (64, 32), head="heatmap", sigma=2.0)
    assert not list(heatmap.head.up)  # a 1x1 convolution is all, as in arXiv 1902.09212
    assert heatmap(crops(heatmap))["heatmap"].shape == (2, 4, 16, 8)


def test_measuring_leaves_the_backbone_alone():
    backbone = create_backbone("timm:resnet10t", (64, 32)).train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    shapes, unused = level_shapes(backbone, (1, 4))
    assert (shapes, unused) == ([(64, 16, 8), (512, 2, 1)], [])
    assert backbone.training
    assert all(p.device.type == "cpu" for p in backbone.parameters())
    torch.testing.assert_close(dict(backbone.state_dict()), before)


# ---- frozen backbones, learning rates, weights ---------------------------------------------------


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    torch.manual_seed(5)
    backbone = create_backbone("timm:resnet10t", (64, 64))
    return save_backbone(backbone, tmp_path_factory.mktemp("weights") / "resnet")


def test_a_frozen_backbone_keeps_everything(resnet):
    network = net("timm:resnet10t", (64, 32), weights=str(resnet), freeze=True, **PARTS).train()
    assert network.training
    assert not any(module.training for module in network.backbone.modules())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = create_optimizer(OptimConfig(lr=0.1), network)
    total(awake(network)(crops(network))).backward()
    optimizer.step()
    changed = {n.split(".")[0] for n, v in network.state_dict().items() if (v != before[n]).any()}
    assert changed == {"neck", "head"}
    stored = load_file(resnet / "model.safetensors")
    torch.testing.assert_close(dict(network.backbone.state_dict()), stored)
    free = net("timm:resnet10t", (64, 32), weights=str(resnet)).train()
    free(crops(free))
    buffers = dict(free.backbone.named_buffers())
    assert any((value != stored[name]).any() for name, value in buffers.items())


@pytest.mark.parametrize("backbone", [MIXER, "timm:resnet10t", HRNET])
def test_layer_decay_spares_neck_and_head(backbone):
    network = net(backbone, ALL[backbone][1], levels=ALL[backbone][0], **PARTS)
    scales = layer_scales(network, 0.5)
    own = {n for n, _ in network.named_parameters() if n.startswith("backbone.")}
    assert scales.keys() == own
    assert len(set(scales.values())) >= 5
    first = [n for n in own if n.startswith(("backbone.stem", "backbone.model.conv1"))]
    assert {scales[name] for name in first} == {min(scales.values())}
    groups = create_optimizer(OptimConfig(lr=1.0, layer_decay=0.5), network).param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    for name, parameter in network.named_parameters():
        assert rates.pop(id(parameter)) == scales.get(name, 1.0)
    assert not rates


@pytest.mark.parametrize("size", [(256, 192), (384, 288)])
def test_weights_of_224_pixels_move_to_the_crop(tmp_path, size):
    torch.manual_seed(1)
    square = create_backbone("mixer_c16_l1_p16", 224)
    folder = save_backbone(square, tmp_path / "mixer")
    network = net("mixer_c16_l1_p16", size, weights=str(folder))
    assert network.backbone.grid == (size[0] // 16, size[1] // 16)
    ours, theirs = network.backbone.state_dict(), square.state_dict()
    prefix = "blocks.0.mlp_tokens."
    mixing = {n.removeprefix(prefix): v for n, v in theirs.items() if n.startswith(prefix)}
    mixing = resize_token_mlp(mixing, (14, 14), network.backbone.grid)
    expected = {**theirs, **{prefix + name: value for name, value in mixing.items()}}
    torch.testing.assert_close(dict(ours), expected)
    assert network(crops(network))["x"].shape == (2, 4, 2 * size[1])


# ---- checkpoints ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backbone", "settings"),
    [
        (MIXER, {"levels": (0, 2), **PARTS}),
        (MIXER, {"fuse": True, "mixer_depth": 1, "mixer_tokens": "keypoints"}),
        (HRNET, {"levels": (1, 3), **PARTS, "head": "heatmap", "sigma": 2.0}),
        ("timm:resnet10t", {"freeze": True, "levels": (2, 3), "fuse": True}),
    ],
)
def test_a_network_is_what_its_description_says(resnet, backbone, settings):
    weights = {"weights": str(resnet)} if "freeze" in settings else {}
    network = awake(net(backbone, ALL[backbone][1], **weights, **settings)).eval()
    info = json.loads(json.dumps(to_plain(network.describe())))
    again = PoseNet.from_description(info, "here").eval()
    again.load_state_dict(network.state_dict())
    images = crops(network)
    torch.testing.assert_close(again(images), network(images), rtol=0, atol=0)
    trained = [[p.requires_grad for p in n.parameters()] for n in (network, again)]
    assert trained[0] == trained[1]


def test_descriptions_from_before_the_parts_still_load():
    network = net()
    info = json.loads(json.dumps(to_plain(network.describe())))
    for new in ("freeze", "levels", "fuse", "mixer_depth", "mixer_width", "mixer_tokens"):
        info["model"].pop(new)
    again = PoseNet.from_description(info, "here")
    again.load_state_dict(network.state_dict())


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The debug preset on a few people, with a Mixer's weights to start from."""
    root = make_people(tmp_path_factory.mktemp("people") / "data", 8, 2, seed=5, workers=1)
    config = debug()
    backbone = create_backbone(config.model.backbone, (64, 64))
    weights = save_backbone(backbone, root.parent / "weights")
    data = replace(
        config.data,
        root=str(root),
        train_json="annotations/train.json",
        train_images="images/train",
        val_json="annotations/val.json",
        val_images="images/val",
    )
    model = replace(config.model, weights=str(weights), mixer_depth=1, mixer_width=8)
    return replace(config, data=data, model=model)


def test_a_resumed_run_ends_like_one_that_was_not(base, tmp_path):
    def run(folder, steps):
        model = replace(base.model, fuse=True, freeze=True)
        how = replace(base.run, folder=str(tmp_path / folder), steps=steps, resume=True, ema=0.9)
        schedule = replace(how.schedule, name="constant", warmup=0)
        train(replace(base, model=model, run=replace(how, schedule=schedule)), keep_processes=True)
        return load_file(find_checkpoint(tmp_path / folder, "last") / "ema.safetensors")

    first = run("cut", 1)
    assert (first["backbone.stem.weight"] == run("cut", 2)["backbone.stem.weight"]).all()
    torch.testing.assert_close(run("cut", 2), run("whole", 2), rtol=0, atol=0)


# ---- the comparison ------------------------------------------------------------------------------


def test_variants_have_the_parts_that_they_name():
    model = ModelConfig(mixer_depth=3, weights="w", levels=(0, 1))

    def parts(variant):
        m = compare.with_parts(model, variant)
        assert m.levels == (0, 1)
        return m.fuse, m.mixer_depth, m.mixer_tokens, m.weights, m.freeze

    assert parts("plain") == (False, 0, "grid", "", False)
    assert parts("fuse+mixer") == (True, 3, "grid", "", False)
    assert parts("keypoint_mixer") == (False, 3, "keypoints", "", False)
    assert parts("pretrained+frozen+fuse") == (True, 0, "grid", "w", True)


@pytest.mark.parametrize(
    ("model", "variant", "expected"),
    [
        ({}, "fuze", "no 'fuze'. Did you mean fuse"),
        ({}, "mixer", "mixer_depth is 0"),
        ({}, "pretrained", "base.model.weights is empty"),
        ({"weights": "w"}, "frozen", "only pretrained is frozen"),
        ({"mixer_depth": 1}, "mixer+keypoint_mixer", "one mixer at most"),
    ],
)
def test_variants_that_cannot_be(model, variant, expected):
    with pytest.raises(InputError, match=expected):
        compare.with_parts(ModelConfig(**model), variant)


def test_a_comparison_goes_on_where_it_stopped(base, tmp_path, capsys):
    variants = ("plain", "pretrained+fuse+mixer")
    config = compare.CompareConfig(base, (), variants, (0,), "AP", str(tmp_path / "out"))
    first = compare.compare(config)
    runs = sorted((tmp_path / "out/mixer_c32_l2_p16").iterdir())
    assert [run.name for run in runs] == ["plain-0", "pretrained+fuse+mixer-0"]
    times = [(run / "checkpoints/last/model.safetensors").stat().st_mtime_ns for run in runs]
    assert compare.compare(config) == first
    again = [(run / "checkpoints/last/model.safetensors").stat().st_mtime_ns for run in runs]
    assert times == again
    record = json.loads((tmp_path / "out/compare.json").read_text())
    assert record["scores"] == {"AP": first}
    assert first.keys() == {"mixer_c32_l2_p16"}
    stored = load_file(runs[0] / "checkpoints/last/model.safetensors")
    millions = sum(value.numel() for value in stored.values()) / 1e6
    assert f"parameters: plain {millions:.2f}, pretrained+fuse+mixer" in record["table"][-1]
    assert record["table"][-1] in capsys.readouterr().out


def test_starts_of_people(base, tmp_path):
    weights, plain = base.model.weights, replace(base.model, weights="", mixer_depth=0)
    config = compare.StartsConfig(
        (f"permuted=permuted:{weights}",),
        lr_factors=(1.0,),
        seeds=(0,),
        out=str(tmp_path / "out"),
        base=replace(base, model=plain),
    )
    scores = compare.compare(config)[""]
    assert list(scores) == ["scratch", "permuted"]
    record = json.loads((tmp_path / "out/compare.json").read_text())
    assert any(line.startswith("floor, the median pose: AP") for line in record["table"])


@pytest.mark.parametrize("name", [name for name in PRESETS if "hrnet" in name])
def test_presets_for_hrnet_build(name):
    """With the smallest HRNet in place of theirs, without weights."""
    config = PRESETS[name]()
    model = replace(config.model, backbone=HRNET, weights="", image_size=(96, 64))
    network = PoseNet(model, FISH)
    assert network(crops(network))
