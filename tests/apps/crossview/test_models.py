"""Cross-view networks: sizes, counts, gradients, and CrossMixer against its formulas by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from apps.crossview.config import ModelConfig
from apps.crossview.data.maps import Palette
from apps.crossview.models.cross_mixer import CrossMixer
from apps.crossview.models.crossmlp import CascadeMixer
from apps.crossview.models.discriminator import PatchDiscriminator
from apps.crossview.models.layers import halvings
from apps.crossview.models.network import Generator, draw_views
from apps.crossview.models.selection import Selection
from apps.crossview.models.unet import UNet
from core import InputError

SMALL = ModelConfig(
    width=4, blocks=2, depth=2, patch=2, selection_width=5, candidates=3, backbone="mixer_c16_l2_p8"
)
NAMES = ("crossmlp", "selectiongan", "pix2pix", "xfork", "xseq", "mixer")
PALETTE = Palette(tuple("abcde"), np.arange(15, dtype=np.uint8).reshape(5, 3) * 16)


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def generator(name, size=(64, 64), **changes) -> Generator:
    torch.manual_seed(0)
    return Generator(replace(SMALL, generator=name, **changes), size, PALETTE)


def drawn(network: Generator, batch: int = 2) -> dict:
    channels = 3 if network.config.maps == "rgb" else len(PALETTE)
    source, target_map = (torch.rand(batch, c, *network.size) * 2 - 1 for c in (3, channels))
    return network(source, target_map)


# ---- what the papers' code has ---------------------------------------------------------------


def test_first_stage_as_released():
    """109.91 M in all; 1 convolution block and 9 ways back from tokens are never used."""
    with torch.device("meta"):
        network = CascadeMixer((256, 256), norm="batch", as_released=True)
    assert count(network) == 109_911_046
    assert count(network.blocks[0].mixer) == 9_535_616
    frozen = sum(p.numel() for p in network.parameters() if not p.requires_grad)
    assert frozen == 1_181_184 + 9 * 327_936 == 4_132_608


def test_ours_has_the_same_parameters_and_uses_all():
    with torch.device("meta"):
        network = CascadeMixer((256, 256), norm="batch")
    assert count(network) == 109_911_046
    assert all(p.requires_grad for p in network.parameters())


def test_other_networks_at_full_size():
    with torch.device("meta"):
        assert count(UNet(6, 3, 64, 8, "batch")) == 54_417_027  # SelectionGAN's, 54.4 M
        assert count(UNet(3, 3, 4, 8, "batch")) == 213_675
        assert count(PatchDiscriminator(norm="batch")) == 2_768_705  # 2.77 M
        # the released 846,723 hold one 3x3 convolution of 330 to 110 channels more
        assert count(Selection()) == 846_723 - (330 * 110 * 9 + 110)


def test_a_logit_of_the_discriminator_sees_70_pixels():
    network = PatchDiscriminator(width=2).double()
    image = torch.zeros(1, 3, 128, 128, dtype=torch.double, requires_grad=True)
    for layer in network.layers:  # a norm would let it see everything
        if isinstance(layer, nn.BatchNorm2d):
            layer.forward = lambda x: x
    logits = network(image, image)
    logits[0, 0, 7, 7].backward()
    rows = image.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert rows[-1] - rows[0] + 1 == 70


# ---- formulas --------------------------------------------------------------------------------


def layer_norm(x, norm):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
    return scaled * norm.weight.detach().numpy() + norm.bias.detach().numpy()


def mlp(x, module):
    from math import erf

    w1, b1, w2, b2 = (
        p.detach().numpy()
        for p in (module.fc1.weight, module.fc1.bias, module.fc2.weight, module.fc2.bias)
    )
    hidden = x @ w1.T + b1
    gelu = hidden * 0.5 * (1 + np.vectorize(erf)(hidden / np.sqrt(2)))
    return gelu @ w2.T + b2


def test_cross_mixer_follows_the_formulas():
    """Token by token and channel by channel in float64, for one sample."""
    torch.manual_seed(0)
    network = CrossMixer(6, (8, 4), 2, 2, (5, 7, 9)).double()
    maps = torch.randn(2, 1, 6, 8, 4, dtype=torch.double)
    streams, firsts = [], []
    for image, embed in zip(maps, (network.embed_u, network.embed_v), strict=True):
        patches = image[0].unfold(1, 2, 2).unfold(2, 2, 2).permute(1, 2, 0, 3, 4).flatten(2)
        weight, bias = embed.weight.flatten(1), embed.bias
        tokens = (patches.flatten(0, 1) @ weight.T + bias).detach().numpy()  # (S, C)
        streams.append(tokens)
        firsts.append(tokens)
    for block in network.blocks:
        u, v = (
            x + mlp(layer_norm(x, part.norm1).T, part.mlp_tokens).T
            for x, part in zip(streams, (block.u, block.v), strict=True)
        )
        streams = [
            x + mlp(layer_norm(u + v, part.norm2), part.mlp_channels)
            for x, part in ((u, block.u), (v, block.v))
        ]
    norms, ways = (network.norm_u, network.norm_v), (network.decode_u, network.decode_v)
    back = []
    for x, first, norm, way in zip(streams, firsts, norms, ways, strict=True):
        tokens = torch.from_numpy(first + layer_norm(x, norm))
        back.append(way(tokens.T.reshape(1, 5, 4, 2)))
    expected = network.join(torch.cat(back, 1))
    torch.testing.assert_close(network(*maps), expected, rtol=1e-9, atol=1e-11)


def test_selection_is_a_mean_of_candidates():
    torch.manual_seed(0)
    stage = Selection(feature=6, width=4, candidates=3).eval()
    output = stage(torch.randn(2, 6, 8, 12), torch.randn(2, 3, 16, 24), torch.randn(2, 3, 16, 24))
    attention, candidates = output["attention"], output["candidates"]
    torch.testing.assert_close(attention.sum(1), torch.ones(2, 16, 24))
    by_hand = sum(attention[:, n, None] * candidates[:, n] for n in range(3))
    torch.testing.assert_close(output["image"], by_hand)
    assert output["image"].abs().max() <= 1
    assert ((output["uncertainty"] > 0) & (output["uncertainty"] < 1)).all()


@pytest.mark.parametrize("name", ["crossmlp", "selectiongan", "mixer"])
def test_which_map_is_drawn_from_which_image(name):
    """The last map from the last image; SelectionGAN's first from the coarse one."""
    network = generator(name, selection=True).eval()
    output = drawn(network)
    torch.testing.assert_close(output["map_final"], network.draw_map(output["image"]))
    same = output["map"].allclose(network.draw_map(output["coarse"]))
    assert same == (name == "selectiongan")


@pytest.mark.parametrize("maps", ["classes", "rgb"])
def test_views_are_drawn_from_classes(maps):
    """A map is given, and taken back, in the form that the network was trained with."""
    network = generator("crossmlp", maps=maps).eval()
    source, ids = torch.rand(2, 3, 64, 64), torch.randint(0, 5, (2, 64, 64))
    given = torch.nn.functional.one_hot(ids, 5).movedim(-1, 1) * 2.0 - 1
    colours = torch.from_numpy(PALETTE.colours) / 127.5 - 1
    given = colours[ids].movedim(-1, 1) if maps == "rgb" else given
    output, expected = draw_views(network, source, ids), network(source, given)
    torch.testing.assert_close(output["image"], expected["image"])
    likeness = expected["map_final"]
    if maps == "rgb":
        likeness = -((likeness[:, None] - colours[None, :, :, None, None]) ** 2).sum(2)
    assert output["ids"].equal(likeness.argmax(1))


@pytest.mark.parametrize("name", ["crossmlp", "mixer"])
@pytest.mark.parametrize("which", ["source", "target_map"])
def test_what_is_seen_in_one_corner_reaches_the_other(name, which):
    """Through the mixed tokens, of image and map alike: convolutions do not go so far."""
    network = generator(name, (128, 128), blocks=1).eval()
    inputs = {"source": torch.rand(1, 3, 128, 128), "target_map": torch.rand(1, 5, 128, 128)}
    before = network.first(**inputs)["coarse"]
    inputs[which] = inputs[which].clone()
    inputs[which][..., :8, :8] *= -1
    after = network.first(**inputs)["coarse"]
    assert (after - before)[..., -8:, -8:].abs().max() > 0


def test_selection_looks_around_at_three_sizes():
    """X beside X times its own means over 1, 4 and 9 pixels, corners on corners."""
    torch.manual_seed(0)
    stage = Selection(feature=6, width=4, candidates=3).eval()
    seen = []
    stage.mix.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    source, coarse = torch.randn(2, 2, 3, 36, 36)
    stage(torch.randn(2, 6, 18, 18), source, coarse)
    parts = seen[0].chunk(4, 1)
    x = parts[3]
    assert x[:, 4:7].equal(source)
    assert x[:, 7:].equal(coarse)
    torch.testing.assert_close(parts[0], x * x)
    for part, side in zip(parts[1:3], (4, 9), strict=True):
        corner = x[:, :, :side, :side].mean((2, 3))  # of the first window, at the first pixel
        torch.testing.assert_close(part[:, :, 0, 0], x[:, :, 0, 0] * corner)
        corner = x[:, :, -side:, -side:].mean((2, 3))
        torch.testing.assert_close(part[:, :, -1, -1], x[:, :, -1, -1] * corner)


def test_a_block_of_the_cascade_follows_its_formulas():
    network = generator("crossmlp").eval()
    block = network.first.blocks[1]
    x1, x2 = torch.randn(2, 2, 16, 16, 16)
    f1, f2 = block.conv1(x1), block.conv2(x2)
    mixed = block.mixer(f1, f2)
    gated = x2 + f2 / (1 + (-mixed).exp())
    weight, bias = block.join.weight[:, :, 0, 0], block.join.bias.view(-1, 1, 1)
    joined = torch.einsum("oc,bchw->bohw", weight, torch.cat([mixed, gated], 1)) + bias
    image, target_map = block(x1, x2)
    torch.testing.assert_close(target_map, gated)
    torch.testing.assert_close(image, joined, rtol=1e-4, atol=1e-5)


# ---- any size, every parameter ---------------------------------------------------------------


@pytest.mark.parametrize("size", [(64, 64), (32, 128), (96, 64)])
@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns_at_any_size(name, size):
    network = generator(name, size)
    output = drawn(network)
    assert output["image"].shape == (2, 3, *size)
    for key in output.keys() & {"map", "map_final"}:
        assert output[key].shape == (2, 5, *size)
    sum((value**2).mean() for value in output.values()).backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key


def test_as_released_trains_what_the_released_code_trains():
    network = generator("crossmlp", as_released=True, norm="batch", maps="rgb")
    sum((value**2).mean() for value in drawn(network).values()).backward()
    first = network.first.blocks[0]
    for key, parameter in network.named_parameters():
        unused = key.startswith("first.blocks.0.conv2.") or ".decode_v." in key
        assert (parameter.grad is None) == unused == (not parameter.requires_grad), key
    assert first.share_conv
    assert not network.first.blocks[1].share_conv


@pytest.mark.parametrize("norm", ["group", "instance"])
@pytest.mark.parametrize("name", NAMES)
def test_a_sample_does_not_depend_on_its_batch(name, norm):
    network = generator(name, norm=norm, width=7).train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    source, target_map = torch.randn(3, 3, 64, 64), torch.randn(3, 5, 64, 64)
    together = network(source, target_map)["image"]
    alone = network(source[1:2], target_map[1:2])["image"]
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_description_builds_the_same_network(name):
    import json

    network = generator(name).eval()
    told = json.loads(json.dumps(network.describe()))
    again = Generator.from_description(told, "here").eval()
    again.load_state_dict(network.state_dict())
    source, target_map = torch.randn(1, 3, 64, 64), torch.randn(1, 5, 64, 64)
    network.to(memory_format=torch.channels_last)  # as it is opened: sums in the same order
    assert network(source, target_map)["image"].equal(again(source, target_map)["image"])
    assert again.palette.names == PALETTE.names


def test_bfloat16(monkeypatch):
    with torch.autocast("cpu", torch.bfloat16):
        for name in NAMES:
            assert drawn(generator(name))["image"].isfinite().all()


@pytest.mark.parametrize("name", ["crossmlp", "selectiongan", "mixer"])
def test_networks_with_a_selection_have_all_outputs(name):
    output = drawn(generator(name, selection=True))
    assert output["candidates"].shape == (2, 3, 3, 64, 64)
    assert output.keys() == {
        "image",
        "coarse",
        "map",
        "map_final",
        "candidates",
        "attention",
        "uncertainty",
    }


def test_the_backbone_sees_the_source_as_its_weights_expect():
    network = generator("mixer").eval()
    seen = []
    network.first.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network.first.backbone.feature_map = lambda x: (seen.append(x), torch.zeros(1, 16, 8, 8))[1]
    network(torch.full((1, 3, 64, 64), -1.0), torch.zeros(1, 5, 64, 64))
    mean, std = network.first.backbone.normalization
    assert seen[0][0, 0, 0, 0] == pytest.approx(-mean[0] / std[0])


def test_pretrained_weights_go_into_the_backbone(tmp_path):
    from core import create_backbone

    backbone = create_backbone("mixer_c16_l2_p8", 64)
    backbone.save_pretrained(tmp_path / "weights")
    network = generator("mixer", weights=str(tmp_path / "weights"))
    for name, value in network.first.backbone.state_dict().items():
        assert value.equal(backbone.state_dict()[name])


# ---- bad settings ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "size", "changes", "words"),
    [
        ("crossmlp", (60, 64), {}, "cannot be cut into pieces of 8"),
        ("crossmlp", (64, 64), {"patch": 3}, "power of two"),
        ("crossmlp", (64, 64), {"blocks": 0}, "model.blocks is 0"),
        ("selectiongan", (64, 64), {"dropout": 1.0}, "model.dropout"),
        ("mixer", (64, 64), {"backbone": "mixer_c16_l2_p2"}, "4, 8, 16 or 32"),
        ("mixer", (60, 64), {}, "patch"),
        ("pix2pix", (65, 64), {}, "cannot be halved"),
    ],
)
def test_settings_that_cannot_be(name, size, changes, words):
    with pytest.raises(InputError, match=words):
        generator(name, size, **changes)


def test_no_generator():
    with pytest.raises(InputError, match="does not hold a generator"):
        Generator.from_description({"backbone": {}}, "here")


def test_halvings():
    sizes = ((256, 256), (512, 512), (128, 512), (96, 64))
    assert [halvings(size) for size in sizes] == [8, 8, 7, 5]
