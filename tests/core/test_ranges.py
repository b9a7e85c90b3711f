"""Numbers that no setting means are refused by name, whoever gives them, and --help shows which."""

import importlib
import math
import typing
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Annotated

import pytest

from core import InputError
from core.config import build, cli, to_plain
from core.eval import EVALUATIONS
from core.pretraining.config import PretrainConfig
from core.ranges import Range, Share, Shares, check_ranges
from core.training.run import Run
from core.training.session import build_accelerator
from tests.core.toy import toy_config, train

REFUSED = {
    "run.clip": [-1, math.nan, math.inf],
    "run.ema": [2, 1, -0.1],
    "run.seed": [-1],
    "run.steps": [-1],
    "run.epochs": [-1],
    "run.batch-size": [0, -1],
    "run.accumulate": [0, -2],
    "run.log-every": [0, -1],
    "run.eval-every": [-1],
    "run.save-every": [-1],
    "run.keep-best": [-1, 0],
    "run.schedule.warmup": [-1],
    "run.schedule.hold": [2],
    "run.schedule.final": [-1],
    "run.schedule.milestones": [2],
    "run.schedule.gamma": [0],
    "optim.lr": [-1, math.nan],
    "optim.weight-decay": [-1],
    "optim.momentum": [1],
    "optim.layer-decay": [0, 1.5],
    "augment.randaugment": [100, -1],
    "augment.flip": [1.1],
    "augment.erasing": [-1],
    "augment.mixup": [-1],
    "augment.margin": [0.5],
    "augment.shift": [-1, 1],
    "augment.label-smoothing": [1, -1],
    "held-out": [0],
    "train.workers": [-1, 100_000],
    "train.skip-bad": [-1],
    "train.buffer": [0],
    "train.retries": [-1],
    "train.on-device": [-1],
    "val.workers": [-1],
    "eval.batch-size": [0, -1],
    "model.stochastic-depth": [1, -1],
    "model.image-size": [0, -32],
    "fractals.classes": [0],
    "fractals.seed": [-1],
    "transfer.epochs": [0],
    "transfer.seeds": [-1],
}
CASES = [(name, value) for name, values in REFUSED.items() for value in values]


@pytest.mark.parametrize(("name", "value"), CASES)
def test_a_value_out_of_range_is_refused_by_its_name(name, value):
    with pytest.raises(InputError, match=rf"^--{name} is .*; choose ") as refusal:
        cli({"pretrain": PretrainConfig}, [f"--{name}={value}"])
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["--optim.betas", "--augment.crop-area"])
def test_each_number_of_several_is_checked(name):
    with pytest.raises(InputError, match=rf"^{name} is \(0.5, 1.5\)"):
        cli({"pretrain": PretrainConfig}, [name, "0.5", "1.5"])


def test_a_yaml_and_python_are_held_to_the_same(tmp_path):
    values = to_plain(PretrainConfig())
    values["run"]["clip"] = -1
    with pytest.raises(InputError, match=r"config.yaml: run: clip is -1.0; choose 0 or more"):
        build(PretrainConfig, values, "config.yaml")
    with pytest.raises(InputError, match=r"run\.ema is 2"):
        train(toy_config(tmp_path / "run", ema=2))
    assert not list(tmp_path.iterdir())


def test_help_shows_the_range(capsys):
    with pytest.raises(SystemExit):
        cli({"pretrain": PretrainConfig}, ["--help"])
    text = " ".join(capsys.readouterr().out.replace("│", "").split())
    assert "--run.clip FLOAT (0 or more)" in text
    assert "--optim.betas FLOAT FLOAT (0 to below 1)" in text
    assert "--augment.randaugment FLOAT (0 to 30)" in text
    assert "--transfer.seeds [INT ...] (0 or more)" in text
    assert "--fractals.classes INT (1 to 4,294,967,295)" in text
    assert "--augment.shuffle-seed INT (0 or more) of the order" in text


def plain_numbers(kind: type, prefix: str = "") -> list[str]:
    """Names of the numbers of a dataclass without a range."""
    found = []
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        if is_dataclass(hint):
            found += plain_numbers(hint, f"{prefix}{name}.")
        elif {hint, *typing.get_args(hint)} & {int, float} and not hasattr(hint, "__metadata__"):
            found.append(prefix + name)
    return found


def test_no_number_is_without_a_range():
    assert plain_numbers(PretrainConfig) == ["model.head_bias"]  # any number is a bias
    for name in EVALUATIONS:
        room = "profiling" if name in ("throughput", "memory") else "evaluation"
        config = importlib.import_module(f"core.{room}.{name}").Config
        # the block -1 is the last
        assert plain_numbers(config) == (["blocks"] if name == "mixing" else [])
        check_ranges(config())


@pytest.mark.parametrize("app", ["pose", "style", "pointcloud", "crossview"])
def test_no_number_of_an_app_is_without_a_range(app):
    """But the biases; and the presets keep to theirs."""
    presets = importlib.import_module(f"apps.{app}.presets").PRESETS
    for make in presets.values():
        check_ranges(config := make())
    assert all(name.endswith("bias") for name in plain_numbers(type(config)))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mixing", "--blocks -1 1 --units 0"),
        ("shuffle", "--patch 0 --shots 0"),
        ("fewshot", "--shots 0 1"),
        ("grids", "--limit 0"),
        ("throughput", "--batch-size 0"),
    ],
)
def test_what_a_comment_gives_a_meaning_is_taken(name, words):
    room = "profiling" if name == "throughput" else "evaluation"
    config = importlib.import_module(f"core.{room}.{name}").Config
    cli({name: config}, words.split())


@dataclass(frozen=True)
class Some:
    share: Share = 0.5
    pair: Annotated[tuple[float, ...], Range(0, 1, above=True, below=True)] = (0.5,)


@pytest.mark.parametrize(
    ("values", "right"),
    [
        ({"share": 0.0}, True),
        ({"share": 1}, True),
        ({"share": -1e-9}, False),
        ({"share": math.nan}, False),
        ({"pair": ()}, True),
        ({"pair": (0.1, 0.9)}, True),
        ({"pair": (0.1, 1.0)}, False),
        ({"pair": (0.0,)}, False),
    ],
)
def test_ends_of_a_range(values, right):
    some = replace(Some(), **values)
    assert {field.name for field in fields(some)} == {"share", "pair"}
    if right:
        check_ranges(some)
    else:
        with pytest.raises(InputError):
            check_ranges(some)


def test_a_metric_that_is_none_is_no_best(tmp_path):
    config = toy_config(tmp_path / "run", steps=4, eval_every=2, best="wieght")
    with pytest.raises(InputError, match=r"run.best is wieght.*Did you mean weight\?.*Go on from"):
        train(config)


def test_a_warm_up_longer_than_the_run_is_said(tmp_path, capsys):
    config = toy_config(tmp_path / "run", steps=2)
    schedule = replace(config.run.schedule, warmup=10.0)
    train(replace(config, run=replace(config.run, schedule=schedule)))
    note = "note: run.schedule.warmup is 10 steps, and the run has 2"
    assert capsys.readouterr().out.splitlines()[1].startswith(note)


def test_fp16_on_a_cpu_and_a_tracker_that_nobody_knows():
    with pytest.raises(InputError, match="fp16 needs a GPU"):
        build_accelerator("fp16")
    with pytest.raises(InputError, match=r"no 'tensorbord'. Did you mean tensorboard\?"):
        build_accelerator(trackers=("tensorbord",))


def test_a_run_that_is_told_both_or_neither(tmp_path):
    neither = toy_config(tmp_path / "run", steps=0)
    run = Run(neither.run, neither)  # a probe trains nothing
    with pytest.raises(InputError, match=r"give either --run.steps or --run.epochs, above 0"):
        run.total_steps([0])
    both = toy_config(tmp_path / "run", steps=2, epochs=1.0)
    with pytest.raises(InputError, match=r"give either --run.steps or --run.epochs, not both"):
        Run(both.run, both)


def test_two_numbers_of_a_range_stand_in_their_order():
    @dataclass(frozen=True)
    class Config:
        area: Shares = (0.1, 0.9)

    check_ranges(Config())
    check_ranges(Config((0.5, 0.5)))
    with pytest.raises(
        InputError, match=r"--least\.area is \(0.9, 0.1\): the smaller one comes first"
    ):
        check_ranges(Config((0.9, 0.1)), "--least.")
