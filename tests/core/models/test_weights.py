"""Weights: golden values of the official code, timm as an oracle, and our own folders."""

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.models.mlp_mixer import MlpMixer
from torch import nn

from core import InputError, Mixer, MixerConfig, load_backbone
from core.checkpoints import find_checkpoint
from core.models.building import build_backbone
from core.models.sharing import save_backbone
from core.models.weights.formats import from_timm, read_npz
from core.models.weights.reading import read_stored
from core.models.weights.stored import StoredModel

FIXTURES = Path(__file__).parents[2] / "fixtures"
LINEN, OLD = FIXTURES / "mixer_tiny_linen.npz", FIXTURES / "mixer_tiny_old.npz"


def tiny(**changes) -> Mixer:
    sizes = {"image_size": (8, 12), "patch_size": (4, 2), "hidden_dim": 16, "num_blocks": 2}
    mlps = {"tokens_mlp_dim": 10, "channels_mlp_dim": 24}
    return Mixer(MixerConfig(**{**sizes, **mlps, **changes})).eval()


def tiny_timm(**options):
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "num_blocks": 2}
    return MlpMixer(**{**sizes, **options}).eval()


def assert_same_state(first, second):
    first, second = first.state_dict(), second.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def write_run(folder: Path, backbone, checkpoints=("last",), ema: float | None = None) -> Path:
    """A run as training writes it; the EMA weights are the others plus `ema`."""
    for name in checkpoints:
        path = folder / "checkpoints" / name
        path.mkdir(parents=True)
        (path / "config.json").write_text(json.dumps({"backbone": backbone.describe(), "lr": 1}))
        state = {f"backbone.{k}": v for k, v in backbone.state_dict().items()}
        state["head.weight"] = torch.zeros(2, 2)
        save_file(state, path / "model.safetensors")
        if ema is not None:
            save_file({k: v + ema for k, v in state.items()}, path / "ema.safetensors")
    return folder


@pytest.mark.parametrize("path", [LINEN, OLD])
def test_official_logits(path):
    golden = np.load(FIXTURES / "mixer_tiny_io.npz")
    images = torch.from_numpy(golden["images_nhwc"]).permute(0, 3, 1, 2)
    mixer, stored = load_backbone(path), read_npz(path)
    logits = mixer(images).mean(1) @ stored.head["weight"].T + stored.head["bias"]
    np.testing.assert_allclose(logits.detach(), golden["logits"], atol=1e-5)
    assert stored.description == mixer.describe()
    assert (mixer.image_size, mixer.grid, mixer.config.gelu) == ((40, 40), (5, 5), "tanh")


def test_old_layout_with_the_extra_axes_of_real_files(tmp_path):
    arrays = dict(np.load(OLD))
    arrays = {k: v[None] if "_phase_" in k else v for k, v in arrays.items()}
    np.savez(tmp_path / "old.npz", **arrays)
    assert_same_state(load_backbone(tmp_path / "old.npz"), load_backbone(OLD))


def test_timm_b16_gives_the_features_of_timm():
    torch.manual_seed(0)
    theirs = timm.create_model("mixer_b16_224").eval()
    stored = from_timm(theirs.state_dict())
    ours = build_backbone(stored).eval()
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        expected = theirs.forward_features(images)
        torch.testing.assert_close(ours(images), expected, atol=1e-5, rtol=1e-5)
        for block in ours.blocks:
            block.mlp_tokens.approximate = block.mlp_channels.approximate = "tanh"
        assert (ours(images) - expected).abs().max() > 5e-5
    assert stored.head["weight"].shape == (1000, 768)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_timm_files(tmp_path, suffix):
    theirs, path = tiny_timm(), tmp_path / f"mixer{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": {f"module.{k}": v for k, v in theirs.state_dict().items()}}, path)
    else:
        save_file(theirs.state_dict(), path)
    ours, images = load_backbone(path).eval(), torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(ours(images), theirs.forward_features(images))
    assert ours.config.gelu == "exact"


def test_names_are_those_of_timm():
    expected = [name.replace("stem.proj", "stem") for name in tiny_timm(num_classes=0).state_dict()]
    assert list(tiny().state_dict()) == expected


def test_non_square_grid_needs_the_image_size(tmp_path):
    path = tmp_path / "wide.pth"
    torch.save(tiny_timm(img_size=(32, 48)).state_dict(), path)
    with pytest.raises(InputError, match=r"24 tokens.*image_size"):
        load_backbone(path)
    assert load_backbone(path, image_size=(32, 48)).grid == (4, 6)
    with pytest.raises(InputError, match=r"24 tokens.*4x4 = 16"):
        load_backbone(path, image_size=32)


def write_official(mixer: Mixer, path: Path, old: bool) -> Path:
    """The arrays as flax names and lays them out, written with no code of the reader."""
    arrays, state = {}, {k: v.detach().numpy() for k, v in mixer.state_dict().items()}
    stem, final = ("embedding", "Mixer/encoder_norm") if old else ("stem", "pre_head_layer_norm")
    arrays[f"{stem}/kernel"] = np.einsum("chij->ijhc", state["stem.weight"])
    arrays[f"{stem}/bias"] = state["stem.bias"]
    arrays[f"{final}/scale"], arrays[f"{final}/bias"] = state["norm.weight"], state["norm.bias"]
    for i in range(len(mixer.blocks)):
        block = f"Mixer/encoderblock_{i}" if old else f"MixerBlock_{i}"
        for j in (0, 1):
            arrays[f"{block}/LayerNorm_{j}/scale"] = state[f"blocks.{i}.norm{j + 1}.weight"]
            arrays[f"{block}/LayerNorm_{j}/bias"] = state[f"blocks.{i}.norm{j + 1}.bias"]
            for axis in ("token", "channel"):
                kernel = state[f"blocks.{i}.mlp_{axis}s.fc{j + 1}.weight"].T
                bias = state[f"blocks.{i}.mlp_{axis}s.fc{j + 1}.bias"]
                if old:
                    place = f"{block}/{axis}_mixing_phase_0"
                    arrays[f"{place}/kernel{j + 1}"], arrays[f"{place}/bias{j + 1}"] = kernel, bias
                else:
                    place = f"{block}/{axis}_mixing/Dense_{j}"
                    arrays[f"{place}/kernel"], arrays[f"{place}/bias"] = kernel, bias
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("grid", [(3, 5), (5, 3), (2, 8)])
def test_an_odd_mixer_is_known_by_the_shapes_of_its_arrays(tmp_path, old, grid):
    sizes = {"hidden_dim": 24, "num_blocks": 3, "tokens_mlp_dim": 10, "channels_mlp_dim": 40}
    size = (4 * grid[0], 2 * grid[1])
    mixer = tiny(image_size=size, patch_size=(4, 2), **sizes)
    for parameter in mixer.parameters():
        nn.init.normal_(parameter, std=0.5)
    loaded = load_backbone(write_official(mixer, tmp_path / "odd.npz", old), image_size=size)
    assert loaded.config == mixer.config
    images = torch.randn(2, 3, *size)
    torch.testing.assert_close(loaded(images), mixer(images), atol=1e-5, rtol=1e-5)


def test_heads(tmp_path):
    for path in (LINEN, OLD):
        golden, head = np.load(path), read_stored(path).head
        np.testing.assert_array_equal(head["weight"], golden["head/kernel"].T)
        np.testing.assert_array_equal(head["bias"], golden["head/bias"])
    theirs = tiny_timm(num_classes=7)
    torch.save(theirs.state_dict(), tmp_path / "timm.pth")
    assert torch.equal(read_stored(tmp_path / "timm.pth").head["weight"], theirs.head.weight)
    torch.save(tiny_timm(num_classes=0).state_dict(), tmp_path / "bare.pth")
    assert read_stored(tmp_path / "bare.pth").head is None
    assert read_stored(save_backbone(tiny(), tmp_path / "ours")).head is None
    averaged = write_run(tmp_path / "run", tiny(), ema=1.0)
    assert read_stored(averaged).head is None  # head.weight, and no head.bias: no classifier's
    file = averaged / "checkpoints" / "last" / "ema.safetensors"
    save_file({**load_file(file), "head.bias": torch.ones(2)}, file)
    assert torch.equal(read_stored(averaged).head["weight"], torch.ones(2, 2))
    with pytest.raises(InputError, match="does not exist"):
        read_stored(tmp_path / "none")


def test_save_and_load(tmp_path):
    mixer = tiny(gelu="exact", in_channels=4, dropout=0.1)
    folder = save_backbone(mixer, tmp_path / "new" / "mixer")
    names = ["README.md", "config.json", "model.safetensors"]
    assert sorted(p.name for p in folder.iterdir()) == names
    assert [p.name for p in folder.parent.iterdir()] == ["mixer"]
    loaded = load_backbone(folder)
    assert loaded.config == mixer.config
    assert_same_state(loaded, mixer)
    with pytest.raises(InputError, match="exists already"):
        save_backbone(mixer, folder)


def test_a_failed_save_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("core.models.sharing.save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save_backbone(tiny(), tmp_path / "mixer")
    assert not list(tmp_path.iterdir())


def test_runs_and_checkpoints(tmp_path):
    mixer = tiny()
    last = write_run(tmp_path / "last_only", mixer)
    assert_same_state(load_backbone(last), mixer)
    assert_same_state(load_backbone(last / "checkpoints" / "last"), mixer)
    averaged = load_backbone(write_run(tmp_path / "ema", mixer, ema=1.0))
    torch.testing.assert_close(averaged.norm.bias, mixer.norm.bias + 1)
    both = write_run(tmp_path / "both", mixer, ("best", "last"))
    best = both / "checkpoints" / "best" / "model.safetensors"
    save_file({name: value + 2 for name, value in load_file(best).items()}, best)
    torch.testing.assert_close(load_backbone(both).norm.bias, mixer.norm.bias + 2)
    newest = write_run(tmp_path / "unlinked", mixer, ("step-00000900", "step-00001000"))
    assert find_checkpoint(newest).name == "step-00001000"
    (tmp_path / "empty" / "checkpoints").mkdir(parents=True)
    with pytest.raises(InputError, match="holds no checkpoint"):
        load_backbone(tmp_path / "empty")


def test_missing_unexpected_and_misshapen_keys_are_named():
    mixer = tiny()
    state = mixer.state_dict()
    state["extra"] = state.pop("norm.bias")
    state["stem.bias"] = torch.zeros(5)
    with pytest.raises(InputError) as caught:
        build_backbone(StoredModel(mixer.describe(), state, origin="FILE"))
    for words in ("FILE", "missing norm.bias", "unexpected extra", "stem.bias is 5, expected 16"):
        assert words in str(caught.value)


@pytest.mark.parametrize("name", ["a.npz", "a.safetensors", "a.pth", "a.txt"])
def test_missing_and_corrupt_files(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(InputError, match=rf"{name} does not exist.*\.npz"):
        load_backbone(path)
    path.write_bytes(b"not weights\n" * 9)
    with pytest.raises(InputError, match=rf"{name}.*\.npz.*\.safetensors") as caught:
        load_backbone(path)
    assert "\n" not in str(caught.value)


def test_files_of_something_else(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"x": 1}, tmp_path / "numbers.pth")
    torch.save({"x": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="no state dict"):
        load_backbone(tmp_path / "numbers.pth")
    for name, words in (
        ("a.npz", "no Mixer"),
        ("list.pth", "cannot be read"),
        ("other.pth", "no Mixer"),
    ):
        with pytest.raises(InputError, match=words):
            load_backbone(tmp_path / name)


def test_broken_folders(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        load_backbone(tmp_path)
    folder = save_backbone(tiny(), tmp_path / "mixer")
    (folder / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(InputError, match=r"model\.safetensors cannot be read"):
        load_backbone(folder)
    (folder / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r'config\.json has no "backbone"'):
        load_backbone(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"no model\.safetensors"):
        load_backbone(folder)
