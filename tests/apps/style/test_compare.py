"""compare.py: optimizers and ways of balancing, each over several seeds."""

import json
import os
from dataclasses import replace

import pytest
import torch
from torch import nn

from apps.style import compare
from apps.style.config import StyleConfig
from apps.style.presets import BALANCING, OPTIMIZERS, balanced
from core import InputError, create_backbone
from core.config import load_config
from core.data.augment import AugmentConfig
from core.data.images.files import decode
from core.models.sharing import save_backbone
from core.training.files.folder import read_metrics
from core.training.optim import create_optimizer
from core.training.optimistic import OptimisticAdam
from tests.apps.style.helpers import complaint, config_of


def test_a_comparison_goes_on_where_it_stopped(paintings, tmp_path, capsys):
    base = config_of("", paintings)
    config = replace(compare.debug(), base=base, out=str(tmp_path / "out"))
    folders = [tmp_path / "out/mixer_c16_l2_p8" / f"{o}-{s}" for o in ("adam", "sgd") for s in "01"]
    first = compare.compare(replace(config, seeds=(0,)))
    kept = {f: (f / "metrics.jsonl").read_text() for f in folders if f.exists()}
    times = {f: os.stat(f / "checkpoints/last/model.safetensors").st_mtime_ns for f in kept}
    assert [f.name for f in kept] == ["adam-0", "sgd-0"]
    scores = compare.compare(config)
    assert all((f / "metrics.jsonl").read_text() == text for f, text in kept.items())
    for folder, time in times.items():
        assert os.stat(folder / "checkpoints/last/model.safetensors").st_mtime_ns == time
    for optimizer in ("adam", "sgd"):
        values = scores["mixer_c16_l2_p8"][optimizer]
        assert values[0] == first["mixer_c16_l2_p8"][optimizer][0]
        folders = [tmp_path / f"out/mixer_c16_l2_p8/{optimizer}-{seed}" for seed in (0, 1)]
        rows = [row for folder in folders for row in read_metrics(folder)]
        assert values == [row["eval/top1"] for row in rows if "eval/top1" in row]
    record = json.loads((tmp_path / "out/compare.json").read_text())
    assert record["scores"]["top1"] == scores
    assert "permutation test" in record["table"][-1]
    assert record["table"][-1] in capsys.readouterr().out
    assert min(decode(str(tmp_path / "out/compare.png")).size) > 100


def test_starts_are_searched_on_training_paintings(paintings, tmp_path):
    weights = save_backbone(create_backbone("mixer_c16_l2_p8", 32), tmp_path / "weights")
    words = (f"permuted=permuted:{weights}",)
    config = compare.StartsConfig(
        words, (0.5, 1.0), 0.3, seeds=(0,), out=str(tmp_path / "out"), base=config_of("", paintings)
    )
    scores = compare.compare(config)[""]
    assert {row: len(values) for row, values in scores.items()} == {"scratch": 1, "permuted": 1}
    runs = {path.parent.name for path in (tmp_path / "out/search").glob("*/config.yaml")}
    assert len(runs) == 4
    tuned = load_config(StyleConfig, next((tmp_path / "out/search").glob("permuted-*/config.yaml")))
    final = load_config(StyleConfig, tmp_path / "out/permuted-0/config.yaml")
    assert (tuned.data.tune_share, final.data.tune_share) == (0.3, 0.0)
    assert final.model == replace(config.base.model, weights=words[0][9:], new_head=True)
    assert f"permuted-{final.optim.lr:g}" in runs
    assert (tmp_path / "out/compare.png").is_file()


def test_each_way_of_balancing_is_alone():
    base = replace(compare.debug().base, sampling="square_root")
    base = replace(base, augment=AugmentConfig(mixup=0.3, label_smoothing=0.2))
    config = replace(compare.debug(), base=base, balancing=tuple(BALANCING), optimizers=("sgd",))
    runs = {row: compare.one_run(config, "mixer_c16_l2_p8", row, 0) for row in compare.rows(config)}

    def settings(run):
        return run.loss.name, run.sampling, run.augment.label_smoothing, run.augment.mixup

    plain = settings(runs["sgd plain"])
    assert plain == ("plain", "plain", 0.0, 0.0)
    for way in BALANCING:
        changed = [a != b for a, b in zip(settings(runs[f"sgd {way}"]), plain, strict=True)]
        assert sum(changed) == (way != "plain")
    assert len({run.run.folder for run in runs.values()}) == len(BALANCING)
    assert compare.one_run(replace(config, balancing=()), "m", "sgd", 0).augment == base.augment


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--optimizers", "adam", "adamx"], "optimizers: no 'adamx'. Did you mean adam"),
        (["--models", "mixer_c16_l2_p8", "mixer_b17"], "mixer_b17"),
        (["--balancing", "focl"], "balancing: no 'focl'. Did you mean focal"),
        (["--base.model.weights", "/nope"], "/nope does not exist; weights are"),
        (["--seeds", 1, 1], "seeds are (1, 1): give one at least, and none twice"),
    ],
)
def test_a_comparison_of_what_does_not_exist(tmp_path, command, words, expected):
    done = command(compare.main, "debug", *words, "--out", tmp_path / "out")
    assert expected in complaint(done)
    assert not (tmp_path / "out").exists()


def test_the_six_optimizers_are_those_of_torch():
    made = {n: create_optimizer(c, nn.Linear(2, 2)) for n, c in OPTIMIZERS.items()}
    assert {name: type(optimizer) for name, optimizer in made.items()} == {
        "adam": torch.optim.Adam,
        "optimistic_adam": OptimisticAdam,
        "adamax": torch.optim.Adamax,
        "mgd": torch.optim.SGD,
        "sgd": torch.optim.SGD,
        "rmsprop": torch.optim.RMSprop,
    }
    momentum = {n: o.defaults["momentum"] for n, o in made.items() if "momentum" in o.defaults}
    assert momentum == {"mgd": 0.9, "sgd": 0, "rmsprop": 0}
    assert not any(made[name].defaults["nesterov"] for name in ("mgd", "sgd"))
    assert made["rmsprop"].defaults["alpha"] == 0.99
    assert not any(g["weight_decay"] for o in made.values() for g in o.param_groups)


def test_a_cell_is_the_base_with_its_own_backbone_optimizer_and_seed(tmp_path):
    config = replace(compare.debug(), out=str(tmp_path))
    run = compare.one_run(config, "vit_c16_l2_p8", "rmsprop", 5)
    assert run.model == replace(config.base.model, backbone="vit_c16_l2_p8")
    assert run.optim == OPTIMIZERS["rmsprop"]
    assert (run.run.seed, run.run.resume) == (5, True)
    assert run.run.folder == str(tmp_path / "vit_c16_l2_p8/rmsprop-5")
    same = replace(run, model=config.base.model, optim=config.base.optim, run=config.base.run)
    assert same == config.base


def test_each_model_begins_with_its_own_weights(tmp_path):
    models = ("mixer_c16_l1_p8", "vit_c16_l1_p8")
    config = compare.CompareConfig(models=models, weights=("photos", ""), out=str(tmp_path))
    started = [compare.one_run(config, model, "adam", 0).model for model in models]
    assert [(each.weights, each.new_head) for each in started] == [("photos", True), ("", False)]
    with pytest.raises(InputError, match="1 weights for 2 models"):
        compare.check(replace(config, weights=("photos",)))


def test_ways_of_balancing_are_what_their_names_say():
    base = compare.debug().base
    for way in ("plain", "weighted", "logit_adjusted", "focal"):
        assert balanced(base, way).loss.name == way
    assert balanced(base, "square_root").sampling == "square_root"
    assert balanced(base, "label_smoothing").augment.label_smoothing == 0.1
    assert balanced(base, "mixup").augment.mixup == 0.2
