"""Every kind of name against the contract: each member is there, and means the same."""

import json
import math
from inspect import isfunction

import pytest
import torch
from torch import nn

from core import InputError, create_backbone
from core.models.building import backbone_from_description
from core.models.contract import Backbone
from core.models.networks.mixer import Mixer

# One of each family and of each shape that timm's features have: a map, tokens with and without a
# class token, the branches of an HRNet, and maps with the channels last.
NAMES = {
    "mixer_c32_l4_p8": (64, 96),
    "mixer_c16_l2_p8x4": (64, 96),
    "s2mlp_deep": (32, 64),
    "convmlp_s": (72, 96),  # no multiple of 32: grids are rounded up
    "vit_c64_l2_p8": (64, 96),
    "timm:resnet18": (72, 96),
    "timm:vit_tiny_patch16_224": (64, 96),
    "timm:hrnet_w18_small": (64, 96),
    "timm:resmlp_12_224": (64, 96),
    "timm:gmixer_12_224": (64, 96),
    "timm:gmlp_ti16_224": (64, 96),
    "timm:mixer_s32_224": (64, 96),
    "timm:convnext_atto": (64, 96),
    "timm:swin_tiny_patch4_window7_224": (224, 224),
}
FUNCTIONS = {name for name, value in vars(Backbone).items() if isfunction(value)}
MEMBERS = {name for name in FUNCTIONS | vars(Backbone)["__annotations__"].keys() if name[0] != "_"}


@pytest.fixture(scope="module")
def backbones():
    """One network a name, for all tests of this file."""
    built = {}

    def get(name: str) -> nn.Module:
        if name not in built:
            torch.manual_seed(0)
            built[name] = create_backbone(name, NAMES[name]).eval()
        return built[name]

    return get


@pytest.mark.parametrize("name", NAMES)
def test_every_member_is_there(backbones, name):
    backbone = backbones(name)
    assert not [member for member in MEMBERS if not hasattr(backbone, member)]
    assert isinstance(backbone, Backbone)


def test_what_is_no_backbone():
    assert not isinstance(nn.Linear(3, 3), Backbone)
    assert len(MEMBERS) == 12


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_sizes_grids_and_maps_agree(backbones, name):
    backbone, (height, width) = backbones(name), NAMES[name]
    (h, w), channels = backbone.grid, backbone.num_features
    assert backbone.image_size == (height, width)
    assert (h, w) == tuple(
        math.ceil(side / stride)
        for side, stride in zip(backbone.image_size, backbone.stride, strict=True)
    )
    images = torch.randn(2, backbone.in_channels, height, width)
    tokens, feature_map, pyramid = (
        backbone(images),
        backbone.feature_map(images),
        backbone.pyramid(images),
    )
    assert tokens.shape == (2, h * w, channels)
    assert feature_map.shape == (2, channels, h, w)
    torch.testing.assert_close(feature_map.flatten(2).transpose(1, 2), tokens)
    if hasattr(backbone, "pooled"):
        assert backbone.pooled(images).shape == (2, backbone.pooled_features)
    sides = [level.shape[2:] for level in pyramid]
    assert sides == sorted(sides, reverse=True)  # fine to coarse
    assert all(level.ndim == 4 and len(level) == 2 for level in pyramid)
    assert len(pyramid) >= 2
    if len(set(sides)) == 1:  # one scale: the last map is the output
        torch.testing.assert_close(pyramid[-1], feature_map, atol=1e-5, rtol=1e-5)
    for wrong in (images[:, :, 1:], images[:, 1:], images[0]):
        for member in (backbone, backbone.feature_map, backbone.pyramid):
            with pytest.raises(InputError, match="images have shape"):
                member(wrong)


@pytest.mark.parametrize("name", NAMES)
def test_it_describes_itself(backbones, name):
    backbone = backbones(name)
    described = json.loads(json.dumps(backbone.describe()))
    with torch.device("meta"):
        rebuilt = backbone_from_description(described)
    assert rebuilt.describe() == backbone.describe()
    for member in ("num_features", "stride", "grid", "image_size", "in_channels", "normalization"):
        assert getattr(rebuilt, member) == getattr(backbone, member), member
    shapes = {key: value.shape for key, value in backbone.state_dict().items()}
    assert {key: value.shape for key, value in rebuilt.state_dict().items()} == shapes


@pytest.mark.parametrize("name", NAMES)
def test_numbers_of_the_images(backbones, name):
    backbone = backbones(name)
    mean, std = backbone.normalization
    assert len(mean) == len(std) == backbone.in_channels == 3
    assert all(0 < value < 1 for value in (*mean, *std))
    assert [type(side) for side in (*backbone.stride, *backbone.grid, *backbone.image_size)] == (
        [int] * 6
    )


@pytest.mark.parametrize("name", ["mixer_c16_l2_p8", "s2mlp_deep", "convmlp_s", "timm:resnet18"])
def test_other_channels_by_either_word(name):
    for word in ("in_channels", "in_chans"):
        backbone = create_backbone(name, 32, **{word: 5})
        assert backbone.in_channels == 5
        assert [len(values) for values in backbone.normalization] == [5, 5]
        assert backbone(torch.zeros(2, 5, 32, 32)).shape[0] == 2


@pytest.mark.parametrize("name", NAMES)
def test_depths_of_the_layers(backbones, name):
    backbone = backbones(name)
    depths, last = backbone.layer_depths()
    assert depths.keys() == dict(backbone.named_parameters()).keys()
    assert min(depths.values()) == 0
    assert max(depths.values()) <= last


@pytest.mark.parametrize(
    "name",
    ["mixer_c32_l2_p8", "s2mlp_deep", "convmlp_s", "timm:resnet18", "timm:vit_tiny_patch16_224"],
)
def test_it_moves_to_another_size(name):
    backbone = create_backbone(name, (32, 64)).eval()
    for size, expected in (((64, 96), (64, 96)), (64, (64, 64))):
        backbone.set_image_size(size)
        assert backbone.image_size == expected
        with torch.no_grad():
            tokens = backbone(torch.zeros(1, 3, *expected))
        assert tokens.shape[1] == math.prod(backbone.grid)
        assert tuple(backbone.describe()["image_size"]) == expected


def test_sizes_that_nobody_named(tmp_path):
    """Without image_size: 224, timm's own, or that of the weights."""
    with torch.device("meta"):
        for name in ("mixer_s32", "s2mlp_deep", "convmlp_s", "timm:vit_tiny_patch16_224"):
            assert create_backbone(name).image_size == (224, 224)
        assert create_backbone("timm:vit_tiny_patch16_384").image_size == (384, 384)
        assert create_backbone("vit_c64_l1_p8").image_size == (224, 224)
    for name in ("mixer_c16_l2_p8", "timm:resnet18", "convmlp_s"):
        folder = create_backbone(name, (32, 64)).save_pretrained(tmp_path / name)
        assert create_backbone(name, weights=folder).image_size == (32, 64)
        assert create_backbone(name, (64, 64), weights=folder).image_size == (64, 64)
    torch.save(create_backbone("timm:vit_tiny_patch16_224").model.state_dict(), tmp_path / "a.pth")
    vit = create_backbone("timm:vit_tiny_patch16_224", weights=tmp_path / "a.pth")
    assert vit.image_size == (224, 224)


@pytest.mark.parametrize("name", ["mixer_c16_l2_p8", "convmlp_s", "timm:resnet18", "vit_c64_l1_p8"])
def test_words_of_timm(name):
    assert create_backbone(name, 32, num_classes=0, pretrained=False).image_size == (32, 32)
    for options, words in (
        ({"num_classes": 10}, "num_classes: a backbone has no head.*create_classifier"),
        ({"pretrained": True}, "pretrained=True: .*weights='timm'"),
        ({"img_size": 64}, "img_size: it is image_size here"),
        ({"in_chans": 4, "in_channels": 3}, "in_channels and in_chans are one"),
    ):
        with pytest.raises(InputError, match=words):
            create_backbone(name, 32, **options)


def test_the_network_is_described_as_what_it_is_asked_for():
    """`num_classes=0` and `pretrained=False` leave no trace in what is saved."""
    options = {"num_classes": 0, "pretrained": False, "in_chans": 3}
    assert create_backbone("timm:resnet18", 32, **options).describe() == {
        "name": "timm:resnet18",
        "image_size": (32, 32),
        "in_chans": 3,
    }
    assert isinstance(create_backbone("mixer_c16_l2_p8", 32, **options), Mixer)
