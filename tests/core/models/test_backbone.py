"""One contract over every backbone, ours and timm's."""

import json

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models.mlp_mixer import MlpMixer

from core import InputError, create_backbone, load_backbone
from core.models.building import backbone_from_description
from core.models.networks.mixer_config import MIXERS, SPECS
from core.models.sharing import save_backbone

SMALL = "mixer_c32_l4_p8"
TIMM = {  # name: pixels per token, channels, maps of the pyramid
    "timm:resnet18": (32, 512, 5),
    "timm:vit_tiny_patch16_224": (16, 192, 4),
    "timm:mixer_s32_224": (32, 512, 4),
    "timm:resmlp_12_224": (16, 384, 4),
    "timm:hrnet_w18_small": (32, 2048, 5),
}


@pytest.mark.parametrize("name", [SMALL, "mixer_c16_l2_p8x4", "vit_c64_l2_p8", *TIMM])
def test_contract(name):
    backbone = create_backbone(name, image_size=(64, 96)).eval()
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        tokens, feature_map = backbone(images), backbone.feature_map(images)
        pyramid = backbone.pyramid(images)
    (h, w), channels = backbone.grid, backbone.num_features
    assert (h * backbone.stride[0], w * backbone.stride[1]) == backbone.image_size == (64, 96)
    assert tokens.shape == (2, h * w, channels)
    torch.testing.assert_close(feature_map.flatten(2).transpose(1, 2), tokens)
    if name in TIMM:
        assert (backbone.stride[0], channels, len(pyramid)) == TIMM[name]
    assert all(maps.shape[0] == 2 and maps.ndim == 4 for maps in pyramid)
    heights = [maps.shape[2] for maps in pyramid]
    assert heights == sorted(heights, reverse=True)
    if len(set(heights)) == 1:  # isotropic: the last map is the output
        torch.testing.assert_close(pyramid[-1], feature_map, atol=1e-5, rtol=1e-5)
    assert [len(values) for values in backbone.normalization] == [3, 3]
    described = json.loads(json.dumps(backbone.describe()))
    with torch.device("meta"):
        rebuilt = backbone_from_description(described)
    assert rebuilt.describe() == backbone.describe()
    assert rebuilt.state_dict().keys() == backbone.state_dict().keys()


@pytest.mark.parametrize("name", MIXERS)
def test_paper_names(name):
    with torch.device("meta"):
        backbone = create_backbone(name, 224, stochastic_depth=0.1)
    blocks, width, patch = SPECS[MIXERS[name]]
    assert (len(backbone.blocks), backbone.num_features) == (blocks, width)
    assert backbone.stride == (patch, patch)
    assert backbone.config.stochastic_depth == 0.1


def test_free_names():
    config = create_backbone("mixer_c24_l3_p8x4", (16, 16), tokens_mlp_dim=5).config
    assert (config.hidden_dim, config.num_blocks, config.patch_size) == (24, 3, (8, 4))
    assert (config.tokens_mlp_dim, config.channels_mlp_dim) == (5, 96)


def test_a_free_vit_goes_through_a_folder(tmp_path):
    backbone = create_backbone("vit_c128_l3_p8", (32, 48)).eval()
    assert (len(backbone.model.blocks), backbone.num_features, backbone.stride) == (3, 128, (8, 8))
    assert backbone.model.blocks[0].attn.num_heads == 2
    folder, images = save_backbone(backbone, tmp_path / "vit"), torch.randn(1, 3, 32, 48)
    again = create_backbone("vit_c128_l3_p8", (32, 48), weights=folder).eval()
    torch.testing.assert_close(again(images), backbone(images))


def test_timm_without_prefix_tokens_and_with_options():
    backbone = create_backbone("timm:vit_tiny_patch16_224", (32, 48), drop_path_rate=0.1)
    images = torch.randn(1, 3, 32, 48)
    backbone.eval()
    expected = backbone.model.forward_features(images)[:, 1:]
    torch.testing.assert_close(backbone(images), expected)
    assert backbone.describe()["drop_path_rate"] == 0.1
    assert backbone.normalization == ((0.5,) * 3, (0.5,) * 3)
    assert create_backbone("timm:resnet18", 64, in_chans=4)(torch.randn(2, 4, 64, 64)).shape[0] == 2


def test_timm_channels_last_features():
    backbone = create_backbone("timm:swin_tiny_patch4_window7_224", 224).eval()
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        expected = backbone.model.forward_features(images).flatten(1, 2)
        torch.testing.assert_close(backbone(images), expected)
    assert (backbone.grid, backbone.num_features) == ((7, 7), 768)


def test_weights_from_a_folder_and_a_run(tmp_path):
    trained = create_backbone(SMALL, (16, 32), stochastic_depth=0.3)
    folder = save_backbone(trained, tmp_path / "mixer")
    backbone = create_backbone(SMALL, (16, 32), weights=folder, dropout=0.2)
    assert torch.equal(backbone.stem.weight, trained.stem.weight)
    assert (backbone.config.dropout, backbone.config.stochastic_depth) == (0.2, 0.0)
    assert load_backbone(folder).config.stochastic_depth == 0.3
    with pytest.raises(InputError, match=r"'pi' is for mixer_ names: timm:resnet18"):
        create_backbone("timm:resnet18", (32, 32), resize="pi")
    with pytest.raises(InputError, match=r"num_blocks 4.*num_blocks 5"):
        create_backbone("mixer_c32_l5_p8", (16, 32), weights=folder)
    with pytest.raises(InputError, match=r"holds mixer.*timm:resnet18"):
        create_backbone("timm:resnet18", (16, 32), weights=folder)


def test_the_weights_decide_on_the_gelu(tmp_path):
    path = tmp_path / "mixer.safetensors"
    theirs = MlpMixer(img_size=32, patch_size=8, embed_dim=32, num_blocks=4)
    save_file(theirs.state_dict(), path)
    assert create_backbone(SMALL, 32, weights=path).config.gelu == "exact"
    assert create_backbone(SMALL, 32).config.gelu == "tanh"
    with pytest.raises(InputError, match=r"gelu exact.*gelu tanh"):
        create_backbone(SMALL, 32, weights=path, gelu="tanh")


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224"])
def test_timm_weights_from_files_and_folders_at_another_size(tmp_path, name):
    torch.manual_seed(0)
    theirs = timm.create_model(name).eval()
    torch.save(theirs.state_dict(), tmp_path / "model.pth")
    backbone = create_backbone(f"timm:{name}", 224, weights=tmp_path / "model.pth").eval()
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        expected = theirs.forward_features(images)
        expected = expected.flatten(2).transpose(1, 2) if expected.ndim == 4 else expected[:, 1:]
        torch.testing.assert_close(backbone(images), expected)
    folder = save_backbone(backbone, tmp_path / "folder")
    moved = create_backbone(f"timm:{name}", (64, 96), weights=folder).eval()
    assert moved(torch.randn(1, 3, 64, 96)).shape[1] == moved.grid[0] * moved.grid[1]
    direct = create_backbone(f"timm:{name}", (64, 96), weights=tmp_path / "model.pth").eval()
    image = torch.randn(1, 3, 64, 96)
    torch.testing.assert_close(direct(image), moved(image))
    with pytest.raises(InputError, match=f"holds timm:{name}.*mixer_b16"):
        create_backbone("mixer_b16", 224, weights=folder)


def test_timm_weights_that_do_not_fit(tmp_path):
    theirs = timm.create_model("resmlp_12_224")
    torch.save(theirs.state_dict(), tmp_path / "resmlp.pth")
    with pytest.raises(InputError, match=r"\(224, 224\).*\(64, 96\)"):
        create_backbone("timm:resmlp_12_224", (64, 96), weights=tmp_path / "resmlp.pth")
    with pytest.raises(
        InputError, match=r"resmlp\.pth \(as timm:resnet18\).*missing model\.conv1\.weight"
    ):
        create_backbone("timm:resnet18", 64, weights=tmp_path / "resmlp.pth")


def test_weights_of_timm_that_cannot_be_had(monkeypatch):
    for name in ("timm:mixer_s32_224", "mixer_s32"):  # timm has no weights for this one
        with pytest.raises(InputError, match=r"pretrained=True.*weights=FILE"):
            create_backbone(name, 224, weights="timm")

    def offline(*_, **__):
        raise OSError("no route to host\nretried 5 times")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(InputError, match="no route to host; or give weights=FILE"):
        create_backbone("timm:resnet18", 224, weights="timm")


def test_weights_of_timm_reach_a_mixer(monkeypatch):
    create = timm.create_model

    def random_weights(name, pretrained, **options):
        assert (name, pretrained) == ("mixer_s32_224", True)
        return create(name, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", random_weights)
    assert create_backbone("mixer_s32", 224, weights="timm").config.gelu == "exact"


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("mixer_x16", {}, ["mixer_x16", "mixer_b16", "timm:<model>"]),
        ("mixer_c32_l2_p7", {}, ["64x64", "7x7"]),
        ("mixer_b16", {"drop_path_rate": 0.1}, ["drop_path_rate", "stochastic_depth"]),
        ("timm:resnet1", {}, ["resnet1", "resnet18"]),
        ("timm:resnet18", {"nonsense": 1}, ["nonsense"]),
    ],
)
def test_errors_name_the_value(name, options, words):
    with pytest.raises(InputError) as caught:
        create_backbone(name, 64, **options)
    assert all(word in str(caught.value) for word in words), caught.value
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["timm:vit_tiny_patch16_224", "timm:mixer_s32_224"])
def test_sizes_that_timm_does_not_take(name):
    with pytest.raises(InputError, match=r"\(50, 64\)"):
        create_backbone(name, (50, 64))


def test_wrong_inputs_of_timm_backbones():
    backbone = create_backbone("timm:resnet18", (64, 96))
    for shape in [(1, 3, 64, 64), (1, 4, 64, 96)]:
        with pytest.raises(InputError, match=r"H = 64, W = 96"):
            backbone(torch.zeros(shape))


def test_unknown_descriptions():
    for description in ({}, {"name": "vgg"}, {"name": "timm:resnet18"}, "mixer"):
        with pytest.raises(InputError, match="describes no known backbone"):
            backbone_from_description(description)
    with pytest.raises(InputError, match="depth"):
        backbone_from_description({"name": "mixer", "depth": 3})
