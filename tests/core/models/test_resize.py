"""Token mixing at other grids: the paper's exact rule, and interpolation."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from timm.layers import resample_patch_embed
from torch.nn.utils import prune

from core import InputError, Mixer, MixerConfig, create_backbone, load_backbone
from core.models.networks.resize import (
    METHODS,
    axis_maps,
    bilinear_weights,
    interpolation_maps,
    resample_tokens,
    resize_patch,
    resize_token_mlp,
)
from core.models.sharing import save_backbone

SIZE, PATCH = (12, 16), (4, 2)  # a grid of 3x8 tokens


def tiny(**changes) -> Mixer:
    torch.manual_seed(0)
    sizes = {"image_size": SIZE, "patch_size": PATCH, "hidden_dim": 16, "num_blocks": 3}
    mlps = {"tokens_mlp_dim": 10, "channels_mlp_dim": 24}
    mixer = Mixer(MixerConfig(**{**sizes, **mlps, **changes}))
    for parameter in mixer.parameters():  # biases and norms too: zeros would hide mistakes
        torch.nn.init.normal_(parameter, std=0.3)
    return mixer.eval()


def parts_of(images: torch.Tensor, rows: int, columns: int) -> list[torch.Tensor]:
    return [part for row in images.chunk(rows, 2) for part in row.chunk(columns, 3)]


@pytest.mark.parametrize("factor", [(2, 2), (3, 3), (1, 2), (3, 2)])
def test_exact_parts_have_the_features_of_each_alone(factor):
    mixer = tiny()
    images = torch.randn(2, 3, SIZE[0] * factor[0], SIZE[1] * factor[1])
    alone = [mixer.feature_map(part) for part in parts_of(images, *factor)]
    mixer.set_image_size(tuple(images.shape[2:]), resize="exact")
    assert mixer.config.tokens_mlp_dim == 10 * factor[0] * factor[1]
    together = parts_of(mixer.feature_map(images), *factor)
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    pooled = mixer(images).mean(1)
    torch.testing.assert_close(pooled, torch.stack(alone).mean((0, 3, 4)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("spec", "parameters"), [("B/16", 86_996_392), ("L/16", 280_500_584)])
def test_exact_parameters_at_448(spec, parameters):
    with torch.device("meta"):
        mixer = Mixer.from_spec(spec)
        mixer.set_image_size(448)
    head = mixer.num_features * 1000 + 1000
    assert sum(parameter.numel() for parameter in mixer.parameters()) + head == parameters


def test_the_new_zeros_learn():
    mixer = tiny()
    mixer.set_image_size((24, 32))
    mixer(torch.randn(2, 3, 24, 32)).square().sum().backward()
    weight = mixer.blocks[0].mlp_tokens.fc1.weight
    assert (weight == 0).sum() == weight.numel() * 3 // 4
    assert (weight.grad[weight == 0] != 0).all()


@pytest.mark.parametrize("method", ["pi", "area", "bilinear"])
@pytest.mark.parametrize("grid", [(4, 6), (7, 5), (3, 9)])
def test_interpolated_mixing_keeps_a_constant_field(method, grid):
    """All tokens equal stay so, with the values of the old grid; plain bilinear does not."""
    old = (3, 4)
    mlp = {"fc1.weight": torch.randn(6, 12), "fc1.bias": torch.randn(6)}
    mlp |= {"fc2.weight": torch.randn(1, 6).expand(12, 6), "fc2.bias": torch.ones(12)}
    new = resize_token_mlp(mlp, old, grid, method)

    def mix(mlp, tokens):
        hidden = mlp["fc1.weight"] @ torch.full((tokens,), 2.0) + mlp["fc1.bias"]
        return mlp["fc2.weight"] @ hidden.tanh() + mlp["fc2.bias"]

    expected = mix(mlp, 12)[:1].expand(grid[0] * grid[1])
    assert torch.allclose(mix(new, grid[0] * grid[1]), expected, atol=1e-4) == (
        method != "bilinear"
    )


def test_pi_mixing_of_an_interpolated_field_is_the_interpolated_mixing():
    mlp = {"fc1.weight": torch.randn(6, 12), "fc1.bias": torch.randn(6)}
    mlp |= {"fc2.weight": torch.randn(12, 6), "fc2.bias": torch.randn(12)}
    new = resize_token_mlp(mlp, (3, 4), (5, 9), "pi")
    field = torch.randn(12)

    def mix(mlp, field):
        return (
            mlp["fc2.weight"] @ (mlp["fc1.weight"] @ field + mlp["fc1.bias"]).tanh()
            + (mlp["fc2.bias"])
        )

    def interpolated(field):
        picture = torch.nn.functional.interpolate(field.view(1, 1, 3, 4), (5, 9), mode="bilinear")
        return picture.flatten()

    torch.testing.assert_close(
        mix(new, interpolated(field)), interpolated(mix(mlp, field)), atol=1e-4, rtol=1e-4
    )


def test_maps_are_bilinear_interpolation_by_hand():
    read, write = interpolation_maps((2, 2), (2, 4), "bilinear")
    row = np.array([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    np.testing.assert_allclose(write, np.kron(np.eye(2), row))
    np.testing.assert_allclose(read, write.T)
    np.testing.assert_allclose(interpolation_maps((2, 2), (2, 4), "area")[0].sum(1), 1)


@pytest.mark.parametrize("method", METHODS)
def test_create_backbone_resizes_weights_of_another_grid(tmp_path, method):
    source = Mixer.from_spec("S/32", 96, num_blocks=1)  # a grid of 3x3
    folder = save_backbone(source, tmp_path / "mixer")
    loaded = create_backbone("mixer_s32", (192, 96), folder, resize=method, num_blocks=1)
    assert (loaded.image_size, loaded.grid) == ((192, 96), (6, 3))
    source.set_image_size((192, 96), resize=method)
    images = torch.randn(1, 3, 192, 96)
    torch.testing.assert_close(loaded(images), source(images))
    assert loaded.describe() == source.describe()
    # and what was resized is saved, loaded and named again
    again = save_backbone(loaded, tmp_path / "resized")
    for reloaded in (
        load_backbone(again),
        create_backbone("mixer_s32", (192, 96), again, num_blocks=1),
    ):
        torch.testing.assert_close(reloaded(images), source(images))


def test_a_stem_of_larger_patches_sees_enlarged_patches_as_before(tmp_path):
    old = tiny()
    folder = save_backbone(old, tmp_path / "old")
    mlps = {k: getattr(old.config, k) for k in ("tokens_mlp_dim", "channels_mlp_dim")}
    new = create_backbone("mixer_c16_l3_p8x6", weights=folder, **mlps).eval()
    assert (new.image_size, new.grid) == ((24, 48), old.grid)
    images = torch.randn(2, 3, *SIZE)
    patches = F.unfold(images, PATCH, stride=PATCH).transpose(1, 2).reshape(-1, 3, *PATCH)
    enlarged = F.interpolate(patches, (8, 6), mode="bilinear").reshape(2, -1, 3 * 8 * 6)
    enlarged = F.fold(enlarged.transpose(1, 2), (24, 48), (8, 6), stride=(8, 6))
    torch.testing.assert_close(new(enlarged), old(images), atol=1e-4, rtol=1e-4)
    moved = create_backbone("mixer_c16_l3_p8x6", (32, 36), folder, **mlps)
    assert (moved.image_size, moved.grid) == ((32, 36), (4, 6))


@pytest.mark.parametrize("patch", [(16, 16), (12, 8), (4, 6)])
def test_stems_are_resized_as_timm_does_it(patch):
    stem = torch.randn(5, 3, 8, 8)
    expected = resample_patch_embed(stem, patch, interpolation="bilinear")
    torch.testing.assert_close(resize_patch(stem, patch), expected, atol=1e-4, rtol=1e-4)


def test_auto_is_exact_for_integers_and_pi_for_the_rest():
    def hidden(size):
        mixer = tiny()
        mixer.set_image_size(size)
        return mixer.config.tokens_mlp_dim

    assert (hidden((24, 32)), hidden((16, 16)), hidden(SIZE)) == (40, 10, 10)


def test_any_size_is_the_resized_network():
    mixer, resized, size = tiny(any_size=True), tiny(), (16, 12)
    resized.set_image_size(size, resize="pi")
    images = torch.randn(2, 3, *size)
    torch.testing.assert_close(mixer(images), resized(images), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mixer.feature_map(images), resized.feature_map(images))
    for one, other in zip(mixer.pyramid(images), resized.pyramid(images), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    with pytest.raises(InputError, match=r"17x12.*20x12"):
        mixer(torch.randn(2, 3, 17, 12))


def test_any_size_trains_all_token_mixing_weights_at_every_size():
    mixer = tiny(any_size=True).train()
    for size in ((8, 8), SIZE, (16, 24)):
        mixer.zero_grad()
        mixer(torch.randn(2, 3, *size)).square().sum().backward()
        for name, parameter in mixer.named_parameters():
            assert parameter.grad.abs().sum() > 0, name


def test_any_size_trains_where_it_was_first_used_in_inference_mode():
    mixer, images = tiny(any_size=True), torch.randn(1, 3, 40, 12)
    with torch.inference_mode():
        mixer(images)  # computes the maps of this grid, which are kept
    mixer(images).square().sum().backward()
    assert mixer.blocks[0].mlp_tokens.fc1.weight.grad.abs().sum() > 0


def test_frozen_and_evaluating_networks_stay_so():
    mixer = tiny().double()
    mixer.blocks[1].requires_grad_(False)
    mixer.set_image_size((16, 16))
    assert [p.requires_grad for p in mixer.blocks[1].parameters()] == [False] * 12
    assert mixer.blocks[0].mlp_tokens.fc1.weight.requires_grad
    assert mixer.blocks[0].mlp_tokens.fc1.weight.dtype == torch.float64
    assert not any(module.training for module in mixer.modules())


@pytest.mark.parametrize("trained", ["bias", "weight", "fc1.bias", "fc2.weight", "mlp_tokens.fc2"])
@pytest.mark.parametrize("size", [(16, 16), (24, 32)])
def test_each_parameter_stays_frozen_or_not_as_it_was(trained, size):
    mixer = tiny()
    for name, parameter in mixer.named_parameters():
        parameter.requires_grad_(trained in name)
    before = {name: p.requires_grad for name, p in mixer.named_parameters()}
    mixer.set_image_size(size)
    assert {name: p.requires_grad for name, p in mixer.named_parameters()} == before
    assert any(before.values())
    assert not all(before.values())


def test_modules_and_their_hooks_stay():
    mixer, calls = tiny(), []
    modules = dict(mixer.named_modules())
    for name in ("mlp_tokens", "mlp_tokens.fc1", "mlp_tokens.fc2"):
        layer = mixer.blocks[1].get_submodule(name)
        layer.register_forward_hook(lambda *args, name=name: calls.append(name))
    mixer.set_image_size((24, 32))
    assert dict(mixer.named_modules()) == modules
    mixer(torch.randn(1, 3, 24, 32))
    assert calls == ["mlp_tokens.fc1", "mlp_tokens.fc2", "mlp_tokens"]
    for block in mixer.blocks:
        for layer in (block.mlp_tokens.fc1, block.mlp_tokens.fc2):
            assert (layer.out_features, layer.in_features) == layer.weight.shape


def test_changed_layers_are_refused_before_anything_moves():
    mixer = tiny()
    prune.l1_unstructured(mixer.blocks[2].mlp_tokens.fc2, "weight", 0.5)
    with pytest.raises(InputError, match=r"changed fc2 \(Linear\).*remove pruning"):
        mixer.set_image_size((16, 16))
    assert (mixer.image_size, mixer.blocks[0].mlp_tokens.fc1.in_features) == (SIZE, 24)
    mixer.set_image_size(SIZE)  # no grid changes, nothing is resized


@pytest.mark.parametrize("length", [2, 3, 7, 14])
@pytest.mark.parametrize("new", [2, 3, 5, 13, 14, 28, 31])
def test_weights_of_an_axis_are_torchs_interpolation_and_its_inverse(length, new):
    write = bilinear_weights(length, new)
    fields = torch.randn(1, 4, 1, length, dtype=torch.float64)
    theirs = torch.nn.functional.interpolate(fields, (1, new), mode="bilinear", antialias=True)
    torch.testing.assert_close(fields @ write.T, theirs)
    read, same = axis_maps(length, new, "pi")
    torch.testing.assert_close(same, write)
    if new > length:
        torch.testing.assert_close(read, torch.linalg.pinv(write))
    else:
        torch.testing.assert_close(read, axis_maps(length, new, "area")[0])


def test_tokens_are_resampled_along_their_own_axes():
    """Two maps along rows and columns are the one big product over tokens."""
    (h, w), (high, wide) = (3, 4), (5, 2)
    rows, columns = torch.randn(high, h), torch.randn(wide, w)
    tokens = torch.randn(h * w, 2, 6)
    expected = torch.einsum("ts,sbc->tbc", torch.kron(rows, columns), tokens)
    torch.testing.assert_close(resample_tokens(tokens, rows, columns), expected)


def test_any_size_under_autocast():
    mixer = tiny(any_size=True)
    images = torch.randn(2, 3, 16, 12)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = mixer.forward_intermediates(images, [1], norm=False)["block_1"]
        at_home = mixer.forward_intermediates(torch.randn(2, 3, *SIZE), [1], norm=False)["block_1"]
    assert low.dtype == at_home.dtype
    full = mixer.forward_intermediates(images, [1], norm=False)["block_1"]
    torch.testing.assert_close(low.float(), full, atol=0.2, rtol=0.05)


def test_tokens_of_another_grid_need_any_size():
    tokens = torch.randn(2, 24 * 2, 16)
    assert tiny(any_size=True).forward_tokens(tokens, (6, 8)).shape == tokens.shape
    with pytest.raises(InputError, match="S = 24"):
        tiny().forward_tokens(tokens, (6, 8))


def test_errors_name_the_grids():
    with pytest.raises(InputError, match=r"3x8 to 4x8 is none.*pi"):
        tiny().set_image_size((16, 16), resize="exact")
    with pytest.raises(InputError, match=r"3x8 to 1x8.*2x2"):
        tiny().set_image_size((4, 16))
    with pytest.raises(InputError, match=r"'bicubic'.*area"):
        tiny().set_image_size((16, 16), resize="bicubic")
    with pytest.raises(InputError, match=r"14x16 is not a multiple of patch_size 4x2.*16x16"):
        tiny().set_image_size((14, 16))
    with pytest.raises(InputError, match=r"mixer_b16.*1x2.*32"):
        create_backbone("mixer_b16", (16, 32))
