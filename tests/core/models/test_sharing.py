"""from_pretrained in other people's hands: their words, their dtypes, their subclasses."""

import json

import pytest
import torch
from torch import nn

from core import InputError, Mixer, create_backbone, load_backbone
from core.models.networks.convmlp import ConvMLP
from core.models.networks.s2mlp import S2MLP
from core.models.networks.timm_backbone import TimmBackbone
from core.models.sharing import save_backbone

SMALL = "mixer_c16_l2_p8"


class MyNet(Mixer):
    """A Mixer with a head and a buffer of its own."""

    def __init__(self, config):
        super().__init__(config)
        self.head = nn.Linear(config.hidden_dim, 3)
        self.register_buffer("temperature", torch.full((1,), 2.0))

    def forward(self, images):
        return self.head(super().forward(images).mean(1)) / self.temperature


class Narrow(Mixer):
    """A Mixer with another signature."""

    def __init__(self, width):
        super().__init__(create_backbone(f"mixer_c{width}_l2_p8", 16).config)


class MyResNet(TimmBackbone):
    def __init__(self, name, image_size=None, **options):
        super().__init__(name, image_size, **options)
        self.head = nn.Linear(self.num_features, 3)


class MyConvMLP(ConvMLP):
    def __init__(self, config):
        super().__init__(config)
        self.scale = nn.Parameter(torch.zeros(1))


def my_net(folder=None) -> MyNet:
    net = MyNet(create_backbone(SMALL, (16, 24)).config).eval()
    with torch.no_grad():
        net.temperature += 1
    if folder:
        net.save_pretrained(folder)
    return net


def assert_same_state(first: nn.Module, second: nn.Module):
    first, second = first.state_dict(), second.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_subclass_comes_back_whole(tmp_path):
    net = my_net(tmp_path / "mine")
    again = MyNet.from_pretrained(tmp_path / "mine")
    assert type(again) is MyNet
    assert not again.training
    assert_same_state(again, net)
    images = torch.randn(2, 3, 16, 24)
    torch.testing.assert_close(again(images), net(images))
    moved = MyNet.from_pretrained(tmp_path / "mine", image_size=(32, 48))
    assert (moved.grid, moved(torch.zeros(1, 3, 32, 48)).shape) == ((4, 6), (1, 3))


def test_tokens_and_maps_of_a_subclass_with_logits():
    net, images = my_net(), torch.randn(2, 3, 16, 24)
    plain = create_backbone(SMALL, (16, 24)).eval()
    plain.load_state_dict(net.state_dict(), strict=False)
    assert net(images).shape == (2, 3)
    torch.testing.assert_close(net.forward_features(images), plain(images))
    torch.testing.assert_close(net.feature_map(images), plain.feature_map(images))


@pytest.mark.parametrize(
    ("kind", "build"),
    [
        (MyConvMLP, lambda: MyConvMLP(create_backbone("convmlp_s", 32).config)),
        (MyResNet, lambda: MyResNet("timm:resnet18", (32, 32))),
    ],
)
def test_subclasses_of_the_others(tmp_path, kind, build):
    net = build()
    net.save_pretrained(tmp_path / "mine")
    assert_same_state(kind.from_pretrained(tmp_path / "mine"), net)


def test_the_backbone_of_a_subclass_alone(tmp_path):
    """Only where a backbone is what is asked for."""
    net = my_net(tmp_path / "mine")
    assert json.loads((tmp_path / "mine" / "config.json").read_text())["class"] == "MyNet"
    own = ("temperature", "head.")
    expected = {k: v for k, v in net.state_dict().items() if not k.startswith(own)}
    for mixer in (
        load_backbone(tmp_path / "mine"),
        create_backbone(SMALL, weights=tmp_path / "mine"),
    ):
        assert type(mixer) is Mixer
        assert mixer.state_dict().keys() == expected.keys()
        assert all(torch.equal(mixer.state_dict()[k], v) for k, v in expected.items())
    with pytest.raises(
        InputError, match=r"unexpected .*head\.bias.*MyNet\.from_pretrained.*load_backbone"
    ):
        Mixer.from_pretrained(tmp_path / "mine")
    with pytest.raises(InputError, match=r"holds a MyNet, no S2MLP: .*core\.load_backbone"):
        S2MLP.from_pretrained(tmp_path / "mine")


def test_a_backbone_does_not_make_a_subclass(tmp_path):
    create_backbone(SMALL, 16).save_pretrained(tmp_path / "plain")
    with pytest.raises(
        InputError, match=r"missing .*head\.weight.*what a MyNet saved.*load_state_dict"
    ):
        MyNet.from_pretrained(tmp_path / "plain")
    Narrow(16).save_pretrained(tmp_path / "narrow")
    assert load_backbone(tmp_path / "narrow").num_features == 16
    with pytest.raises(InputError, match=r"Narrow.*build it yourself, and load_state_dict"):
        Narrow.from_pretrained(tmp_path / "narrow")


def test_a_folder_says_no_class_where_the_network_is_ours(tmp_path):
    folder = save_backbone(create_backbone(SMALL, 16), tmp_path / "plain")
    assert json.loads((folder / "config.json").read_text()).keys() == {"backbone"}


@pytest.mark.parametrize("dtype", [torch.float16, "float16", torch.bfloat16])
def test_torch_dtype(tmp_path, dtype):
    mixer = create_backbone(SMALL, 16)
    mixer.save_pretrained(tmp_path / "plain")
    expected = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    again = Mixer.from_pretrained(tmp_path / "plain", torch_dtype=dtype)
    assert {parameter.dtype for parameter in again.parameters()} == {expected}
    torch.testing.assert_close(again.norm.weight.float(), mixer.norm.weight.detach())
    assert next(Mixer.from_pretrained(tmp_path / "plain").parameters()).dtype == torch.float32


@pytest.mark.parametrize("dtype", ["half precision", torch.int8, "nn", 16])
def test_no_torch_dtype(tmp_path, dtype):
    with pytest.raises(InputError, match=r"torch_dtype is .*torch\.float16"):
        Mixer.from_pretrained(tmp_path, torch_dtype=dtype)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_classes": 7}, ["num_classes", "create_classifier"]),
        ({"in_channels": 1}, ["in_channels", "create_backbone"]),
        ({"revison": "v2"}, ["revison", "revision"]),
        ({"dtype": torch.float16}, ["dtype", "torch_dtype"]),
        ({"trust_remote_code": True}, ["trust_remote_code", "image_size"]),
        ({"revision": "v2"}, ["revision='v2'", "is a folder"]),
    ],
)
def test_no_word_is_ignored(tmp_path, options, words):
    create_backbone(SMALL, 16).save_pretrained(tmp_path / "plain")
    with pytest.raises(InputError) as caught:
        Mixer.from_pretrained(tmp_path / "plain", **options)
    assert all(word in str(caught.value) for word in words), caught.value
    assert "\n" not in str(caught.value)


def test_words_of_a_download_do_no_harm_to_a_folder(tmp_path):
    create_backbone(SMALL, 16).save_pretrained(tmp_path / "plain")
    options = {"token": None, "revision": None, "local_files_only": True, "cache_dir": tmp_path}
    assert Mixer.from_pretrained(tmp_path / "plain", **options).grid == (2, 2)
