"""Weight files that are damaged, foreign or hostile: one line that names the file and the fault."""

import json
import os
import pickle
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from core import InputError, create_backbone, load_backbone
from core.checkpoints import find_checkpoint
from core.models.sharing import save_backbone
from core.models.weights.reading import read_stored

LINEN = Path(__file__).parents[2] / "fixtures" / "mixer_tiny_linen.npz"
SMALL = "mixer_c16_l2_p8"


def refused(open_it, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        open_it()
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


def write_npz(path: Path, **changes) -> Path:
    """The tiny official file; None takes a key out."""
    arrays = {**np.load(LINEN), **{k.replace("__", "/"): v for k, v in changes.items()}}
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    return path


def folder_of(tmp_path: Path) -> Path:
    return save_backbone(create_backbone(SMALL, (16, 24)), tmp_path / "mixer")


KERNEL = np.load(LINEN)["MixerBlock_1/channel_mixing/Dense_0/kernel"]
BAD_ARRAYS = {
    "missing": ({"MixerBlock_1__LayerNorm_0__bias": None}, ["missing blocks.1.norm1.bias"]),
    "missing in block 0": (
        {"MixerBlock_0__token_mixing__Dense_0__kernel": None},
        ["holds no Mixer", "no blocks.0.mlp_tokens.fc1.weight"],
    ),
    "extra": ({"extra__kernel": np.ones((2, 2), np.float32)}, ["unexpected extra.weight"]),
    "misshapen": (
        {"MixerBlock_1__channel_mixing__Dense_0__kernel": KERNEL[:, :-1]},
        ["blocks.1.mlp_channels.fc1.weight is", "expected"],
    ),
    "flat stem": ({"stem__kernel": np.ones((3, 4), np.float32)}, ["stem.weight is 4x3", "4 axes"]),
    "integers": ({"stem__bias": np.ones(3, int)}, ["int64", "stem/bias"]),
    "bfloat16": ({"stem__bias": np.ones(3, "V2")}, ["V2", "stem/bias"]),
}


@pytest.mark.parametrize("fault", BAD_ARRAYS)
def test_npz_of_wrong_arrays(tmp_path, fault):
    changes, words = BAD_ARRAYS[fault]
    path = write_npz(tmp_path / "wrong.npz", **changes)
    refused(lambda: load_backbone(path), "wrong.npz", *words)


def test_npz_of_a_vit(tmp_path):
    block = "Transformer/encoderblock_0"
    arrays = {
        "cls": (1, 1, 8),
        "embedding/kernel": (4, 4, 3, 8),
        "embedding/bias": (8,),
        f"{block}/LayerNorm_0/scale": (8,),
        f"{block}/MlpBlock_3/Dense_0/kernel": (8, 32),
        "head/kernel": (8, 10),
        "head/bias": (10,),
    }
    path = tmp_path / "ViT-B_16.npz"
    np.savez(path, **{k: np.zeros(shape, np.float32) for k, shape in arrays.items()})
    words = ["ViT-B_16.npz holds no Mixer", "has no blocks.0", "Transformer.encoderblock_0"]
    refused(lambda: load_backbone(path), *words)


@pytest.mark.parametrize("kind", [".npz", ".safetensors", ".pth"])
@pytest.mark.parametrize("damage", ["empty", "short", "truncated", "changed"])
def test_damaged_files(tmp_path, kind, damage):
    path = tmp_path / f"damaged{kind}"
    state = {f"stem.{i}": torch.randn(50, 50) for i in range(3)}
    if kind == ".npz":
        path.write_bytes(LINEN.read_bytes())
    elif kind == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    content = bytearray(path.read_bytes())
    keep = {"empty": 0, "short": 3, "truncated": len(content) // 2, "changed": len(content)}
    content = content[: keep[damage]]
    if damage == "changed":  # npz has checksums; the others lose their table of contents
        place = 600 if kind == ".npz" else 0 if kind == ".safetensors" else len(content) - 60
        content[place : place + 60] = bytes(60)
    path.write_bytes(content)
    for open_it in (load_backbone, read_stored):
        refused(lambda open_it=open_it: open_it(path), f"damaged{kind} cannot be read")


INSTEAD = {
    "": "it is empty",
    "version https://git-lfs.github.com/spec/v1\noid sha256:ab\n": "git lfs pull",
    "\n<!DOCTYPE html><title>404</title>": "download it again",
}


@pytest.mark.parametrize("kind", [".npz", ".safetensors", ".pth"])
@pytest.mark.parametrize("content", INSTEAD)
def test_what_lies_there_in_place_of_weights_is_said(tmp_path, kind, content):
    path = tmp_path / f"given{kind}"
    path.write_text(content)
    refused(lambda: load_backbone(path), f"given{kind} cannot be read", INSTEAD[content])


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        ([torch.ones(3)], "no state dict"),
        (None, "no state dict"),
        (torch.ones(3), "no state dict"),
        (torch.nn.Linear(2, 2), "Linear, which are never run: where it was made, save"),
        ({"best": Decimal(1), "at": Path("a")}, "decimal.Decimal"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])  # not: as torch did before 1.6
def test_what_was_saved_in_place_of_a_state_dict_is_said(tmp_path, saved, words, zipped):
    torch.save(saved, tmp_path / "given.pth", _use_new_zipfile_serialization=zipped)
    refused(lambda: load_backbone(tmp_path / "given.pth"), "given.pth cannot be read", words)


def test_text_in_place_of_weights(tmp_path):
    (tmp_path / "given.pth").write_text("hello")
    refused(lambda: load_backbone(tmp_path / "given.pth"), "nothing that torch saved")


class Payload:
    """Unpickling this creates a file."""

    def __init__(self, proof: Path):
        self.proof = proof

    def __reduce__(self):
        return os.mkdir, (str(self.proof),)


def test_nothing_is_unpickled(tmp_path):
    proof, payload = tmp_path / "executed", Payload(tmp_path / "executed")
    torch.save({"stem.proj.weight": payload}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps({"state_dict": payload}, 2))
    torch.save({"stem.proj.weight": payload}, tmp_path / "c.bin")
    np.savez(tmp_path / "d.npz", x=np.array([payload], dtype=object))
    write_npz(tmp_path / "e.npz", stem__bias=np.array([payload], dtype=object))
    for name in ("a.pth", "b.pth", "c.bin", "d.npz", "e.npz"):
        for open_it in (load_backbone, read_stored):
            refused(lambda n=name, f=open_it: f(tmp_path / n), f"{name} cannot be read")
    refused(
        lambda: create_backbone("timm:resnet18", 32, weights=tmp_path / "a.pth"),
        "a.pth cannot be read",
    )
    assert not proof.exists()
    pickle.loads((tmp_path / "b.pth").read_bytes())  # the payload is a live one
    assert proof.exists()


def test_config_with_an_unknown_field(tmp_path):
    folder = folder_of(tmp_path)
    file = folder / "config.json"
    description = json.loads(file.read_text())["backbone"]
    file.write_text(json.dumps({"backbone": {**description, "depth": 3}}))
    refused(lambda: load_backbone(folder), str(folder), "'depth'", "num_blocks")
    refused(lambda: create_backbone(SMALL, 16, folder), str(folder), "'depth'", "num_blocks")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["config.json", "cannot be read"]),
        ("[1]", ["config.json", "backbone"]),
        ('{"backbone": 3}', ["config.json", "backbone"]),
        ('{"backbone": {"name": "vgg"}}', ["mixer", "vgg", "describes no known backbone"]),
        ('{"backbone": {"name": "mixer"}}', ["mixer", "image_size"]),
    ],
)
def test_config_of_something_else(tmp_path, text, words):
    folder = folder_of(tmp_path)
    (folder / "config.json").write_text(text)
    refused(lambda: load_backbone(folder), str(folder), *words)


def test_truncated_weights_in_a_folder(tmp_path):
    file = folder_of(tmp_path) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    refused(lambda: load_backbone(file.parent), "model.safetensors cannot be read")


def test_a_best_link_that_dangles(tmp_path):
    checkpoint = tmp_path / "run" / "checkpoints" / "step-00000020"
    checkpoint.parent.mkdir(parents=True)
    save_backbone(create_backbone(SMALL, (16, 24)), checkpoint)
    (checkpoint.parent / "best").symlink_to("step-00000010")
    words = ["checkpoints/best points at step-00000010", "give one of the folders beside it"]
    refused(lambda: load_backbone(tmp_path / "run"), *words)
    refused(lambda: find_checkpoint(tmp_path / "run"), *words)
    assert load_backbone(checkpoint).grid == (2, 3)
    assert find_checkpoint(tmp_path / "run", "last") == checkpoint
