"""Networks as timm's train.py, Lightning, DDP, DeepSpeed and timm's Hub folders keep them."""

import json

import pytest
import torch
from safetensors.torch import save_file

from core import InputError, load_backbone
from core.models.classifier import load_classifier

TIMM = "mixer_b16_224"


@pytest.fixture(scope="module")
def state():
    from timm.models.mlp_mixer import MlpMixer

    torch.manual_seed(0)
    return MlpMixer(
        num_classes=5, img_size=32, patch_size=8, num_blocks=1, embed_dim=32
    ).state_dict()


def prefixed(state, prefix):
    return {prefix + name: value for name, value in state.items()}


WRAPPED = {
    "model_best.pth.tar": lambda s: {"state_dict": s, "epoch": 1, "arch": TIMM},
    "last.ckpt": lambda s: {"state_dict": prefixed(s, "model."), "pytorch-lightning_version": "2"},
    "deepspeed.pt": lambda s: {"module": prefixed(s, "module."), "ds_version": "0.15"},
    "ddp.pth": lambda s: prefixed(s, "module."),
    "compiled.pth": lambda s: prefixed(s, "module._orig_mod."),
    "backbone.pth": lambda s: prefixed(s, "backbone."),
    "encoder.pth": lambda s: prefixed(s, "model.encoder."),
    "loss.ckpt": lambda s: {
        "state_dict": {**prefixed(s, "model."), "criterion.weight": torch.ones(5)}
    },
}


@pytest.mark.parametrize("name", WRAPPED)
def test_what_a_trainer_keeps_is_the_network_in_it(tmp_path, state, name):
    torch.save(WRAPPED[name](state), tmp_path / name)
    classifier = load_classifier(tmp_path / name)
    assert torch.equal(classifier.backbone.stem.weight, state["stem.proj.weight"])
    assert torch.equal(classifier.head.weight, state["head.weight"])


def hub_folder(folder, state, mean, std):
    save_file(state, folder / "model.safetensors")
    config = {"tag": "some", "mean": mean, "std": std}
    info = {"architecture": TIMM, "num_classes": 5, "pretrained_cfg": config}
    (folder / "config.json").write_text(json.dumps(info))
    return folder


def test_a_hub_folder_of_timm_opens(tmp_path, state):
    folder = hub_folder(tmp_path, state, [0.5] * 3, [0.5] * 3)
    for path in (folder, folder / "model.safetensors"):
        assert torch.equal(load_backbone(path).stem.weight, state["stem.proj.weight"])


def test_another_normalization_is_refused_with_the_way_out(tmp_path, state):
    folder = hub_folder(tmp_path, state, [0.0] * 3, [1.0] * 3)
    for path in (folder, folder / "model.safetensors"):
        with pytest.raises(InputError, match=r"create_backbone\('timm:mixer_b16_224.some', ..., w"):
            load_backbone(path)
