"""Saving and sharing: one folder format, on disk, in the Hub's cache and in what is pushed."""

import copy
import json
import pickle
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
import yaml
from torch import nn

from core import InputError, Mixer, create_backbone, load_backbone
from core.checkpoints import find_checkpoint
from core.models.networks.convmlp import ConvMLP
from core.models.networks.s2mlp import S2MLP
from core.models.networks.timm_backbone import TimmBackbone
from core.models.sharing import save_backbone
from core.models.weights.card import model_card
from core.models.weights.reading import read_stored
from core.training.optim import OptimConfig, create_optimizer
from core.training.run import Run, RunConfig

SMALL = "mixer_c16_l2_p8"


def small() -> Mixer:
    return create_backbone(SMALL, (16, 24))


def in_the_cache(backbone, cache: Path, repo="user/name") -> Path:
    """A repository as huggingface_hub's cache has it."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    place = cache / f"models--{repo.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(commit)
    (place / "snapshots").mkdir()
    return save_backbone(backbone, place / "snapshots" / commit)


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """An empty Hub cache, and no way out."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def assert_same_state(first: nn.Module, second: nn.Module):
    first, second = first.state_dict(), second.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def front_matter(card: str) -> dict:
    return yaml.safe_load(card.split("---\n")[1])


def test_save_pretrained_and_back(tmp_path):
    mixer = small()
    folder = mixer.save_pretrained(tmp_path / "mixer")
    names = ["README.md", "config.json", "model.safetensors"]
    assert sorted(path.name for path in folder.iterdir()) == names
    again = Mixer.from_pretrained(str(folder))
    assert_same_state(again, mixer)
    assert not again.training
    assert again.describe() == mixer.describe()
    assert Mixer.from_pretrained(folder, image_size=(32, 48)).grid == (4, 6)
    with pytest.raises(InputError, match="exists already"):
        mixer.save_pretrained(folder)


def test_models_of_timm(tmp_path):
    backbone = create_backbone("timm:resnet18", (32, 64))
    folder = backbone.save_pretrained(tmp_path / "resnet")
    assert_same_state(TimmBackbone.from_pretrained(folder), backbone)
    assert "timm" in front_matter((folder / "README.md").read_text())["tags"]


def test_another_class_is_refused(tmp_path):
    folder = small().save_pretrained(tmp_path / "mixer")
    with pytest.raises(InputError, match=r"holds a Mixer, no S2MLP.*Mixer\.from_pretrained"):
        S2MLP.from_pretrained(folder)


def test_from_the_cache_of_the_hub(tmp_path):
    mixer = small()
    in_the_cache(mixer, tmp_path)
    again = Mixer.from_pretrained("user/name", cache_dir=tmp_path, local_files_only=True)
    assert_same_state(again, mixer)
    with pytest.raises(InputError, match="user/name is no folder"):
        Mixer.from_pretrained("user/name", cache_dir=tmp_path, local_files_only=True, revision="v2")


def test_hub_names_wherever_weights_are_asked_for(offline):
    mixer = small()
    in_the_cache(mixer, offline)
    assert_same_state(load_backbone("hub:user/name"), mixer)
    assert_same_state(create_backbone(SMALL, (16, 24), weights="hub:user/name"), mixer)
    assert read_stored("hub:user/name").head is None
    resnet = create_backbone("timm:resnet18", 32)
    in_the_cache(resnet, offline, "user/resnet")
    ours = create_backbone("timm:resnet18", 32, weights="hub:user/resnet")
    assert_same_state(ours, resnet)


def test_offline_says_the_way_out(offline):
    for open_it in (lambda: load_backbone("hub:user/name"), lambda: S2MLP.from_pretrained("u/n")):
        with pytest.raises(InputError) as caught:
            open_it()
        words = "config.json and model.safetensors of https://huggingface.co/"
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """HfApi, writing into a folder."""

    class Api:
        def __init__(self, token=None):
            self.token = token

        def create_repo(self, repo_id, private, exist_ok):
            if self.token != "right":
                raise PermissionError("401 Client Error\nno such token")
            (tmp_path / repo_id).parent.mkdir(parents=True, exist_ok=True)
            Api.asked = {"private": private, "exist_ok": exist_ok}
            return SimpleNamespace(repo_id=repo_id)

        def upload_folder(self, repo_id, folder_path, commit_message, revision, create_pr):
            shutil.copytree(folder_path, tmp_path / repo_id)
            Api.asked |= {"revision": revision, "create_pr": create_pr, "message": commit_message}
            return f"https://hub/{repo_id}/commit/1"

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    return tmp_path


def test_push_to_hub(hub):
    mixer = small()
    assert mixer.push_to_hub("user/name", token="right") == "https://hub/user/name/commit/1"
    assert_same_state(load_backbone(hub / "user/name"), mixer)
    assert (hub / "user/name/README.md").is_file()
    with pytest.raises(InputError, match=r"user/name could not.*401.*`hf auth login`") as caught:
        mixer.push_to_hub("user/name")
    assert "\n" not in str(caught.value)


def test_words_of_a_push_reach_the_hub(hub):
    words = {"private": True, "branch": "v2", "create_pr": True, "commit_message": "ours"}
    small().push_to_hub("user/other", token="right", **words)
    assert huggingface_hub.HfApi.asked == {
        "private": True,
        "exist_ok": True,
        "revision": "v2",
        "create_pr": True,
        "message": "ours",
    }


def test_a_backbone_is_the_module_that_it_was(tmp_path):
    mixer = load_backbone(save_backbone(small(), tmp_path / "mixer"))
    assert mixer.origin == str(tmp_path / "mixer")
    for same in (copy.deepcopy(mixer), pickle.loads(pickle.dumps(mixer))):
        assert_same_state(same, mixer)
        assert same.origin == mixer.origin
    assert all(isinstance(value, torch.Tensor) for value in mixer.state_dict().values())
    assert "origin" not in repr(mixer)
    assert repr(mixer).startswith("Mixer(\n  (stem): Conv2d(3, 16")
    added = {"origin", "save_pretrained", "push_to_hub", "from_pretrained"}
    assert all(added <= vars(kind).keys() for kind in (Mixer, S2MLP, ConvMLP, TimmBackbone))
    assert not added & set(dir(nn.Module()))
    with torch.device("meta"):
        assert create_backbone(SMALL, 16).stem.weight.is_meta


def test_importing_core_leaves_the_hub_alone():
    program = "import core, sys; assert not {'huggingface_hub', 'timm'} & sys.modules.keys()"
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True)
    assert done.returncode == 0, done.stderr


# ---- model cards -----------------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = small()
        self.head = nn.Linear(16, 5)

    def forward(self, images):
        return self.head(self.backbone(images).mean(1))

    def describe(self):
        return {"backbone": self.backbone.describe(), "head": {"num_classes": 5}}


@dataclass(frozen=True)
class Config:
    data: dict = field(default_factory=lambda: {"root": "some/images"})
    run: RunConfig = field(default_factory=RunConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)


def train(folder: Path, scores=(0.25, 0.75, 0.5), ema=0.0) -> Path:
    """A real run of one step for each score."""
    settings = {"trackers": (), "batch_size": 2, "best": "accuracy", "ema": ema}
    config = Config(run=RunConfig(str(folder), steps=len(scores), **settings))
    run = Run(config.run, config)
    data = [{"image": torch.randn(3, 16, 24), "label": i % 5} for i in range(8)]
    model = Net()
    model, optimizer = run.prepare(model=model, optimizer=create_optimizer(config.optim, model))
    for batch in run.steps(run.loader(data)):
        loss = nn.functional.cross_entropy(model(batch["image"]), batch["label"], reduction="none")
        run.backward({"ce": loss})
        run.step(optimizer)
        run.log({"accuracy": scores[run.done - 1], "count": run.done})
        run.save()
    run.finish()
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return train(tmp_path_factory.mktemp("runs") / "small")


def test_a_card_without_a_run():
    card = model_card(small())
    assert front_matter(card) == {
        "library_name": "mixer-apps",
        "license": "apache-2.0",
        "pipeline_tag": "image-feature-extraction",
        "tags": ["mlp-mixer", "backbone", "pytorch"],
    }
    parameters = sum(p.numel() for p in small().parameters())
    for words in (f"{parameters:,} parameters", "16x24 pixels", "(B, 6, 16)", "load_backbone("):
        assert words in card
    assert "## Training" not in card
    assert "## Metrics" not in card


def test_the_card_of_a_run(run, tmp_path):
    backbone = load_backbone(run)
    assert backbone.origin == str(run / "checkpoints" / "step-00000002")
    card = (backbone.save_pretrained(tmp_path / "shared") / "README.md").read_text()
    about = json.loads((run / "about.jsonl").read_text())
    for name in ("command", "commit", "torch", "python", "started"):
        assert f"- {name}: `{about[name]}`" in card
    assert "root: some/images" in card
    assert "best: accuracy" in card
    lines = card.splitlines()
    head = "| metric | these weights (step 2) | last evaluation (step 3) | best accuracy (step 2) |"
    table = lines[lines.index(head) :]
    assert table[2:] == ["| accuracy | 0.75 | 0.5 | 0.75 |", "| count | 2 | 3 | 2 |"]
    assert model_card(backbone, run) == card


def test_the_card_of_changed_weights_claims_no_metric(run):
    backbone = load_backbone(run)
    with torch.no_grad():
        backbone.norm.bias += 1
    moved = load_backbone(run, image_size=(32, 48))
    for changed in (backbone, moved, load_backbone(run).half()):
        card = model_card(changed)
        assert "these weights (step" not in card
        assert "**were changed since**" in card
        assert "the checkpoint, before the change (step 2)" in card


def test_the_card_names_the_moving_average(tmp_path):
    backbone = load_backbone(train(tmp_path / "run", scores=(0.5,), ema=0.9))
    assert "`step-00000001` (the moving average) of the run" in model_card(backbone)


def test_the_card_holds_no_more_than_the_record(run, tmp_path):
    copied = shutil.copytree(run, tmp_path / "run", symlinks=True)
    (copied / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "los')
    (copied / "about.jsonl").unlink()
    last = find_checkpoint(copied, "last")
    info = json.loads((last / "config.json").read_text())
    (last / "config.json").write_text(json.dumps({**info, "metrics": {}}))
    card = model_card(load_backbone(last))
    assert card.endswith("## Metrics\n\nThe record holds no evaluation.\n")
    assert "command" not in card
    with pytest.raises(InputError, match="holds no checkpoint"):
        model_card(small(), tmp_path)


def test_no_html_and_no_markdown_of_a_record_reaches_the_card(run, tmp_path):
    """Somebody else's run: a newline would end a line of code, backticks its quotation."""
    copied = tmp_path / "run"
    shutil.copytree(run, copied, symlinks=True)
    bad = "x\n\n<img src=x onerror=alert(1)> `` ` <b>"
    row = json.loads((run / "about.jsonl").read_text()) | {"command": bad, "hardware": bad}
    (copied / "about.jsonl").write_text(json.dumps(row) + "\n")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["run"]["folder"] = "a\n```\n<script>"
    (copied / "config.yaml").write_text(yaml.safe_dump(config))
    metrics = {"step": 1, "eval/<i>|": 0.5}
    (copied / "metrics.jsonl").write_text(json.dumps(metrics) + "\n")
    card = model_card(load_backbone(copied))
    assert "- command: ```x <img src=x onerror=alert(1)> `` ` <b>```" in card
    outside = re.sub(r"(?ms)^(`{3,})\w+\n.*?^\1$", "", card)
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", outside)
    assert "<" not in outside
    assert r"&lt;i>\|" in card


def test_the_head_of_a_run(run):
    head = read_stored(run).head
    assert head["weight"].shape == (5, 16)
    assert head["bias"].shape == (5,)
