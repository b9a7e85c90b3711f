"""What S2-MLP and ConvMLP share: the contract of backbones, training, weights and errors."""

import json

import pytest
import torch
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from core import InputError, create_backbone, load_backbone
from core.models.building import backbone_from_description
from core.models.sharing import save_backbone
from tests.core.models.test_convmlp import convmlp
from tests.core.models.test_s2mlp import s2mlp

# GMACs of one 224 px image with a head of 1000 classes. S2-MLP: 196 (10 N C^2 + 768 C) + 1000 C;
# ConvMLP: the README of its authors.
GMACS = {
    "s2mlp_wide": 13.99,
    "s2mlp_deep": 10.46,
    "convmlp_s": 2.4,
    "convmlp_m": 3.9,
    "convmlp_l": 9.9,
}


SMALL = {"s2mlp": s2mlp, "convmlp": convmlp}


def images_for(backbone, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, backbone.config.in_channels, *backbone.image_size)


@pytest.mark.parametrize("name", GMACS)
def test_macs(name):
    with torch.device("meta"):
        backbone = create_backbone(name, 224)
        images = torch.zeros(1, 3, 224, 224)
    with FlopCounterMode(display=False) as flops:
        backbone(images)
    macs = flops.get_total_flops() / 2 + 1000 * backbone.num_features
    digits = len(str(GMACS[name]).split(".")[1])
    assert round(macs / 1e9, digits) == GMACS[name]


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_contract(kind, channels):
    backbone = SMALL[kind](in_channels=channels)
    images = images_for(backbone)
    tokens, maps, pyramid = backbone(images), backbone.feature_map(images), backbone.pyramid(images)
    (h, w), width = backbone.grid, backbone.num_features
    assert tokens.shape == (2, h * w, width)
    torch.testing.assert_close(maps[:, :, 1, 1], tokens[:, 1 * w + 1])
    torch.testing.assert_close(pyramid[-1], maps)
    assert [len(values) for values in backbone.normalization] == [channels] * 2
    described = json.loads(json.dumps(backbone.describe()))
    rebuilt = backbone_from_description(described)
    assert rebuilt.describe() == backbone.describe()
    rebuilt.load_state_dict(backbone.state_dict())
    torch.testing.assert_close(rebuilt.eval()(images), tokens)
    with pytest.raises(InputError, match=f"C = {channels}, H = "):
        backbone(images[:, :, 1:])


def test_200x312_by_name():
    for name in ("convmlp_s", "timm:resnet18"):
        backbone = create_backbone(name, (200, 312)).eval()
        with torch.no_grad():
            assert backbone(torch.zeros(1, 3, 200, 312)).shape == (1, 70, 512)
        assert backbone.grid == (7, 10)
    for name in ("mixer_s16", "s2mlp_wide", "timm:vit_tiny_patch16_224"):
        with pytest.raises(InputError) as caught:
            create_backbone(name, (200, 312))
        message = str(caught.value).replace(", ", "x")
        assert all(size in message for size in ("200x312", "16x16", "208x320")), message


@pytest.mark.parametrize("kind", SMALL)
def test_every_parameter_has_a_gradient(kind):
    backbone = SMALL[kind](stochastic_depth=0.0).train()
    weights = torch.randn(backbone.num_features)
    (backbone(images_for(backbone, batch=4)) * weights).sum().backward()
    without = [name for name, p in backbone.named_parameters() if not p.grad.abs().max() > 0]
    assert not without


@pytest.mark.parametrize("kind", SMALL)
def test_gradient_checkpointing_gives_the_same_gradients_and_buffers(kind):
    results = []
    for grad_checkpointing in (False, True):
        changes = {"dropout": 0.1} if kind == "s2mlp" else {}
        backbone = SMALL[kind](
            stochastic_depth=0.5, grad_checkpointing=grad_checkpointing, **changes
        ).train()
        images = images_for(backbone, batch=4)
        torch.manual_seed(1)
        backbone(images).square().sum().backward()
        gradients = [p.grad for p in backbone.parameters()]
        results.append([*gradients, *backbone.buffers()])
    for plain, recomputed in zip(*results, strict=True):
        torch.testing.assert_close(plain, recomputed)


@pytest.mark.parametrize("kind", SMALL)
def test_bfloat16_autocast(kind):
    backbone = SMALL[kind]()
    images = images_for(backbone)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = backbone(images)
    low.float().sum().backward()
    torch.testing.assert_close(low.float(), backbone(images), atol=0.1, rtol=0.1)
    assert all(p.grad.dtype == torch.float32 for p in backbone.parameters())


@pytest.mark.parametrize("kind", SMALL)
def test_stochastic_depth(kind):
    backbone = SMALL[kind](stochastic_depth=0.3, num_blocks=3 if kind == "s2mlp" else (1, 2, 3))
    stages = [backbone] if kind == "s2mlp" else backbone.stages
    rates = [[block.drop_rate for block in stage.blocks] for stage in stages]
    expected = [[0, 0.15, 0.3]] if kind == "s2mlp" else [[0], [0, 0.3], [0, 0.15, 0.3]]
    assert [pytest.approx(ramp) for ramp in expected] == rates
    images = images_for(backbone, batch=16)
    torch.testing.assert_close(backbone(images), backbone(images))
    backbone.train()
    assert not torch.allclose(backbone(images), backbone(images))


@pytest.mark.parametrize("kind", SMALL)
def test_save_and_load_at_another_size(tmp_path, kind):
    backbone = SMALL[kind]()
    images = images_for(backbone)
    folder = save_backbone(backbone, tmp_path / "saved")
    torch.testing.assert_close(load_backbone(folder).eval()(images), backbone(images))
    moved = load_backbone(folder, image_size=(16, 30)).eval()
    backbone.set_image_size((16, 30))
    assert moved.describe() == backbone.describe()
    torch.testing.assert_close(
        moved(images_for(moved) * 0 + 1), backbone(images_for(moved) * 0 + 1)
    )


SHRUNK = {  # the names' networks, in the fields that weights must agree on, made small
    "s2mlp_deep": {"hidden_dim": 8, "num_blocks": 2},
    "convmlp_s": {"tokenizer_dim": 4, "num_blocks": (1, 1, 1), "dims": (4, 8, 8)},
}


@pytest.mark.parametrize("name", SHRUNK)
def test_create_backbone_with_weights_of_a_folder_and_a_run(tmp_path, name):
    options = SHRUNK[name]
    trained = create_backbone(name, 64, stochastic_depth=0.3, **options)
    folder = save_backbone(trained, tmp_path / "folder")
    step = tmp_path / "run" / "checkpoints" / "step-00000001"
    step.mkdir(parents=True)
    (step / "config.json").write_text(json.dumps({"backbone": trained.describe()}))
    state = {f"backbone.{key}": value for key, value in trained.state_dict().items()}
    save_file({**state, "head.weight": torch.zeros(2, 2)}, step / "model.safetensors")
    trained.set_image_size((32, 96))
    images = torch.randn(1, 3, 32, 96)
    for weights in (folder, tmp_path / "run"):
        loaded = create_backbone(name, (32, 96), weights=weights, **options)
        assert (loaded.image_size, loaded.config.stochastic_depth) == ((32, 96), 0.0)
        torch.testing.assert_close(loaded.eval()(images), trained.eval()(images))
    with pytest.raises(InputError, match=r"folder holds \w+ of .*num_blocks .*, but \w+ has"):
        create_backbone(name, 64, weights=folder)
    other = "convmlp_s" if name.startswith("s2") else "s2mlp_deep"
    with pytest.raises(InputError, match=f"folder holds {name.split('_')[0]}, but {other} is"):
        create_backbone(other, 64, weights=folder, **SHRUNK[other])


def test_weights_that_these_networks_cannot_have(tmp_path):
    (tmp_path / "Mixer-B_16.npz").touch()
    torch.save({"x": torch.zeros(1)}, tmp_path / "other.pth")
    for name in SHRUNK:
        for weights in ("timm", tmp_path / "Mixer-B_16.npz"):
            with pytest.raises(InputError, match=rf"{weights}' cannot be those of {name}.*folder"):
                create_backbone(name, 64, weights=weights, **SHRUNK[name])
        with pytest.raises(InputError, match="nowhere does not exist"):
            create_backbone(name, 64, weights=tmp_path / "nowhere", **SHRUNK[name])
    with pytest.raises(InputError, match=r"other\.pth' cannot be those of s2mlp_deep"):
        create_backbone("s2mlp_deep", 64, weights=tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"other\.pth holds no ConvMLP of SHI-Labs \(no stages\."):
        create_backbone("convmlp_s", 64, weights=tmp_path / "other.pth")


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("s2mlp", {"image_size": (11, 10)}, ["11x10", "2x2", "12x10"]),
        ("s2mlp", {"mlp_ratio": 0}, ["mlp_ratio", "0"]),
        ("s2mlp", {"num_blocks": 1.5}, ["num_blocks", "1.5"]),
        ("s2mlp", {"dropout": 1.0}, ["dropout", "1.0"]),
        ("convmlp", {"dims": (8, 16)}, ["dims", "(8, 16)", "three"]),
        ("convmlp", {"num_blocks": 2}, ["num_blocks", "2", "three"]),
        ("convmlp", {"tokenizer_dim": 7}, ["tokenizer_dim", "7", "even"]),
        ("convmlp", {"stochastic_depth": -0.1}, ["stochastic_depth", "-0.1"]),
        ("convmlp", {"image_size": 0}, ["image_size", "0"]),
    ],
)
def test_config_errors(kind, changes, words):
    with pytest.raises(InputError) as caught:
        SMALL[kind](**changes)
    assert all(word in str(caught.value) for word in words), caught.value


def test_names_and_options_that_do_not_exist():
    with pytest.raises(InputError, match="s2mlp_wide, s2mlp_deep, convmlp_s, convmlp_m, convmlp_l"):
        create_backbone("s2mlp_tiny", 224)
    for name, known in (("s2mlp_deep", "grad_checkpointing"), ("convmlp_s", "stochastic_depth")):
        with pytest.raises(InputError, match=f"drop_path_rate.*{known}"):
            create_backbone(name, 64, drop_path_rate=0.1)
        with pytest.raises(InputError, match=f"depth.*{known}"):
            backbone_from_description({"name": name.split("_")[0], "depth": 3})
