"""The Mixer against the paper's Table 1, its equations, and timm."""

import copy

import pytest
import torch
import torch.nn.functional as F

from core import InputError, Mixer, MixerConfig
from core.models.networks.mixer import drop_path
from core.models.networks.mixer_config import SPECS
from core.models.shapes import even_depths

# Parameters at 224 px without and with a head of 1000 classes (Table 1 rounds the first).
PARAMETERS = {
    "S/32": (18_591_624, 19_104_624),
    "S/16": (18_015_264, 18_528_264),
    "B/32": (59_524_428, 60_293_428),
    "B/16": (59_111_472, 59_880_472),
    "L/32": (205_914_264, 206_939_264),
    "L/16": (207_171_168, 208_196_168),
    "H/14": (431_069_952, 432_350_952),
}


def tiny(**changes) -> Mixer:
    torch.manual_seed(0)
    sizes = {"image_size": (8, 12), "patch_size": (4, 2), "hidden_dim": 16, "num_blocks": 3}
    mlps = {"tokens_mlp_dim": 10, "channels_mlp_dim": 24}
    return Mixer(MixerConfig(**{**sizes, **mlps, **changes})).eval()


def images_for(mixer: Mixer, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, mixer.config.in_channels, *mixer.image_size)


@pytest.mark.parametrize("spec", SPECS)
def test_parameter_counts(spec):
    with torch.device("meta"):
        mixer = Mixer.from_spec(spec)
    without_head, with_head = PARAMETERS[spec]
    count = sum(parameter.numel() for parameter in mixer.parameters())
    assert count == without_head
    assert count + mixer.num_features * 1000 + 1000 == with_head


def test_equals_the_equations_written_out():
    mixer = tiny(image_size=8, patch_size=4, hidden_dim=8, num_blocks=1)
    images, block = images_for(mixer), mixer.blocks[0]
    patches = F.unfold(images, 4, stride=4).transpose(1, 2)  # (B, S, 3 * 4 * 4)
    x = patches @ mixer.stem.weight.flatten(1).T + mixer.stem.bias  # per-patch fully-connected
    torch.testing.assert_close(mixer.embed(images), x)

    def mlp(weights, x):
        return weights.fc2(F.gelu(weights.fc1(x), approximate="tanh"))

    u = x + mlp(block.mlp_tokens, block.norm1(x).transpose(1, 2)).transpose(1, 2)
    y = u + mlp(block.mlp_channels, block.norm2(u))
    torch.testing.assert_close(mixer(images), mixer.norm(y))


def test_permuting_tokens_is_permuting_token_weights():
    mixer = tiny()
    permuted, order = copy.deepcopy(mixer), torch.randperm(mixer.config.num_tokens)
    with torch.no_grad():
        for block in permuted.blocks:
            mlp = block.mlp_tokens
            mlp.fc1.weight.copy_(mlp.fc1.weight[:, order])
            mlp.fc2.weight.copy_(mlp.fc2.weight[order])
            mlp.fc2.bias.copy_(mlp.fc2.bias[order])
    tokens = torch.randn(2, mixer.config.num_tokens, 16)
    torch.testing.assert_close(
        permuted.forward_tokens(tokens[:, order]), mixer.forward_tokens(tokens)[:, order]
    )


@pytest.mark.parametrize("channels", [1, 4, 6])
def test_any_channels_and_non_square_sizes(channels):
    mixer = tiny(in_channels=channels)
    images = images_for(mixer)
    tokens, maps = mixer(images), mixer.feature_map(images)
    assert (mixer.grid, mixer.stride, mixer.num_features) == ((2, 6), (4, 2), 16)
    assert tokens.shape == (2, 12, 16)
    assert maps.shape == (2, 16, 2, 6)
    torch.testing.assert_close(maps[:, :, 1, 2], tokens[:, 1 * 6 + 2])
    torch.testing.assert_close(mixer.forward_tokens(mixer.embed(images)), tokens)
    assert mixer.normalization == ((0.5,) * channels, (0.5,) * channels)


def test_the_two_mixings_compose_to_the_block():
    block, x = tiny().blocks[1], torch.randn(12, 2, 16)  # tokens first
    u = x + block.token_mixing(x)
    torch.testing.assert_close(block(x), u + block.channel_mixing(u))


def test_pyramid():
    mixer = tiny(num_blocks=6)
    images = images_for(mixer)
    assert even_depths(12) == [3, 6, 9, 12]
    maps = mixer.pyramid(images)
    assert len(maps) == len(even_depths(6)) == 4
    torch.testing.assert_close(maps[-1], mixer.feature_map(images))
    x = mixer.embed(images).transpose(0, 1)
    after_two = mixer.norm(mixer.blocks[1](mixer.blocks[0](x)))  # (S, B, C)
    chosen = mixer.pyramid(images, depths=[2, 5])
    assert len(chosen) == 2
    torch.testing.assert_close(chosen[0].flatten(2).permute(2, 0, 1), after_two)
    with pytest.raises(InputError, match=r"\[0, 7\].*1\.\.6"):
        mixer.pyramid(images, depths=[7, 0])


def test_intermediates_are_the_parts_of_the_residual_stream():
    mixer = tiny(num_blocks=6)
    images = images_for(mixer)
    options = {"output": "tokens", "norm": False}
    before = mixer.forward_intermediates(images, [2], **options)["block_2"]
    parts = mixer.forward_intermediates(
        images, [3], of=("block", "token_mixing", "channel_mixing"), **options
    )
    assert list(parts) == ["block_3", "token_mixing_3", "channel_mixing_3"]
    total = before + parts["token_mixing_3"] + parts["channel_mixing_3"]
    torch.testing.assert_close(parts["block_3"], total)
    pooled = mixer.forward_intermediates(images, [6, 1], output="pooled")
    assert [*pooled] == ["block_1", "block_6"]
    torch.testing.assert_close(pooled["block_6"], mixer(images).mean(1))
    maps = mixer.forward_intermediates(images, [3], of=("token_mixing",))["token_mixing_3"]
    torch.testing.assert_close(maps.flatten(2).transpose(1, 2), parts["token_mixing_3"])
    with pytest.raises(InputError, match=r"'mixing'.*token_mixing"):
        mixer.forward_intermediates(images, of=("mixing",))
    with pytest.raises(InputError, match=r"'grid'.*map, tokens, pooled"):
        mixer.forward_intermediates(images, output="grid")


def test_intermediates_keep_stochastic_depth_in_training():
    mixer, expected = tiny(stochastic_depth=0.5).train(), {}
    images = images_for(mixer, batch=8)
    for parts in (("block",), ("token_mixing", "block")):
        torch.manual_seed(3)
        expected[parts] = mixer.forward_intermediates(images, [3], of=parts)["block_3"]
    torch.testing.assert_close(*expected.values())


def test_initial_weights():
    mixer = tiny(image_size=64, patch_size=8, hidden_dim=96, num_blocks=1, tokens_mlp_dim=128)
    block = mixer.blocks[0]
    layers = [mixer.stem, block.mlp_tokens.fc1, block.mlp_tokens.fc2, block.mlp_channels.fc2]
    for layer in layers:
        fan_in = layer.weight[0].numel()
        spread = layer.weight.std().item() * fan_in**0.5
        assert spread == pytest.approx(1, abs=0.05)
        assert layer.weight.abs().max() <= 2 / 0.8796 / fan_in**0.5
        assert not layer.bias.any()


def test_stochastic_depth_ramp_and_scale():
    mixer = tiny(num_blocks=5, stochastic_depth=0.2)
    rates = [block.drop_rate for block in mixer.blocks]
    assert rates == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    assert tiny(num_blocks=1, stochastic_depth=0.2).blocks[0].drop_rate == 0
    dropped = drop_path(torch.ones(4000, 2, 3), 0.25, training=True)
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert (dropped.amax((1, 2)) == dropped.amin((1, 2))).all()  # a sample is dropped whole
    assert dropped.mean().item() == pytest.approx(1, abs=0.05)
    assert drop_path(dropped, 0.25, training=False) is dropped
    tokens_first = drop_path(torch.ones(3, 4000, 2), 0.25, training=True, sample_axis=1)
    assert (tokens_first.amax((0, 2)) == tokens_first.amin((0, 2))).all()


def test_a_block_drops_whole_samples():
    block = tiny(stochastic_depth=0.5).blocks[-1].train()
    dropped = block.drop(torch.ones(12, 400, 16))  # (S, B, C)
    assert (dropped.amax((0, 2)) == dropped.amin((0, 2))).all()
    assert dropped.unique().tolist() == [0, 2]


@pytest.mark.parametrize("called", [False, True])
@pytest.mark.parametrize("name", ["mlp_tokens", "mlp_channels"])
def test_dropout_follows_the_gelu_and_the_output(name, called):
    """In both MLPs, whether token mixing calls its layers or multiplies directly."""
    mlp, inputs = getattr(tiny(dropout=0.5).train().blocks[0], name), []
    torch.nn.init.ones_(mlp.fc2.bias)
    mlp.dropout.register_forward_hook(lambda layer, args, output: inputs.append(args[0]))
    if called:
        mlp.fc1.register_forward_hook(lambda *args: None)
    output = mlp(torch.randn(12, 2, 16))
    assert [x.numel() for x in inputs] == [
        2 * 16 * 10 if name == "mlp_tokens" else 12 * 2 * 24,
        384,
    ]
    assert (output == 0).float().mean() == pytest.approx(0.5, abs=0.1)


def test_dropout_only_when_training():
    mixer = tiny(dropout=0.5)
    images = images_for(mixer)
    torch.testing.assert_close(mixer(images), mixer(images))
    mixer.train()
    assert not torch.allclose(mixer(images), mixer(images))


def test_gradient_checkpointing_gives_the_same_gradients():
    gradients = []
    for grad_checkpointing in (False, True):
        mixer = tiny(stochastic_depth=0.5, dropout=0.1, grad_checkpointing=grad_checkpointing)
        mixer.train()
        torch.manual_seed(1)
        mixer(images_for(mixer, batch=4)).square().sum().backward()
        gradients.append([parameter.grad for parameter in mixer.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_bfloat16_autocast():
    mixer = tiny()
    images = images_for(mixer)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = mixer(images)
    low.float().sum().backward()
    torch.testing.assert_close(low.float(), mixer(images), atol=0.1, rtol=0.1)
    assert mixer.blocks[0].mlp_tokens.fc1.weight.grad.dtype == torch.float32


def test_compile_keeps_names_and_values():
    mixer = tiny()
    names, images = list(mixer.state_dict()), images_for(mixer)
    expected = mixer(images)
    mixer.compile(backend="aot_eager", fullgraph=True)  # all but the generated code, in seconds
    torch.testing.assert_close(mixer(images), expected)
    assert list(mixer.state_dict()) == names


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image_size": (10, 12)}, ["10x12", "4x2", "12x12"]),
        ({"image_size": (8, 12, 3)}, ["image_size", "(8, 12, 3)"]),
        ({"patch_size": 0}, ["patch_size", "0"]),
        ({"hidden_dim": 0}, ["hidden_dim", "0"]),
        ({"num_blocks": 2.0}, ["num_blocks", "2.0"]),
        ({"in_channels": -1}, ["in_channels", "-1"]),
        ({"gelu": "erf"}, ["erf", "tanh", "exact"]),
        ({"dropout": 1.0}, ["dropout", "1.0"]),
        ({"stochastic_depth": -0.1}, ["stochastic_depth", "-0.1"]),
    ],
)
def test_config_errors(changes, words):
    with pytest.raises(InputError) as caught:
        tiny(**changes)
    assert all(word in str(caught.value) for word in words), caught.value


def test_lists_and_integers_are_sizes():
    config = tiny(image_size=[8, 8], patch_size=4).config
    assert (config.image_size, config.patch_size) == ((8, 8), (4, 4))


def test_input_errors_name_both_numbers():
    mixer = tiny()
    with pytest.raises(InputError, match=r"\(2, 3, 16, 12\).*C = 3, H = 8, W = 12"):
        mixer(torch.zeros(2, 3, 16, 12))
    with pytest.raises(InputError, match=r"\(2, 4, 8, 12\).*C = 3"):
        mixer.pyramid(torch.zeros(2, 4, 8, 12))
    with pytest.raises(InputError, match=r"\(2, 13, 16\).*S = 12 and C = 16"):
        mixer.forward_tokens(torch.zeros(2, 13, 16))


def test_spec_errors_and_overrides():
    with pytest.raises(InputError, match=r"X/16.*B/16"):
        Mixer.from_spec("X/16")
    with pytest.raises(InputError, match=r"hiden_dim.*hidden_dim"):
        Mixer.from_spec("S/32", hiden_dim=3)
    with torch.device("meta"):
        mixer = Mixer.from_spec("S/32", (64, 96), num_blocks=2, in_channels=4)
    assert (mixer.grid, len(mixer.blocks), mixer.stem.in_channels) == ((2, 3), 2, 4)
