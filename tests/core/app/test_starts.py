"""Comparisons of starts: what is trained from what, by which learning rate, and what is said."""

import itertools
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from core import InputError, create_backbone
from core.app import comparing
from core.app.comparing import Metric, sign_flip_test
from core.app.start_tables import controls, hours_of
from core.app.starts import Starts, Trial, compare_starts
from core.config import save_config
from core.models.sharing import save_backbone
from core.training.files.folder import append_metrics, training_seconds
from core.training.meter import NotFinite
from core.training.optim import OptimConfig
from core.training.run_config import RunConfig
from core.training.session import Session


@dataclass(frozen=True)
class Base:
    """A training of which nothing but its score matters."""

    weights: str = ""
    tune_share: float = 0.0
    optim: OptimConfig = OptimConfig(lr=1e-2)
    run: RunConfig = field(default_factory=lambda: RunConfig(steps=10, batch_size=4))


@dataclass(frozen=True)
class BaseStarts(Starts):
    base: Base = field(default_factory=Base)


def begin(base, weights, tune_share):
    return replace(base, weights=weights, tune_share=tune_share)


class Trainings:
    """Writes what a run leaves; scores are best at 1e-2 from random weights, else at 3e-3."""

    def __init__(self):
        self.done = []

    def __call__(self, config):
        folder = Path(config.run.folder)
        if not folder.exists():
            self.done.append(config)
            folder.mkdir(parents=True)
            save_config(config, folder / "config.yaml")
            score = 0.5 if "permuted" in config.weights else 0.8 if config.weights else 0.4
            best = 3e-3 if config.weights else 1e-2
            score += 0.01 * config.run.seed - 0.1 * (config.optim.lr != best)
            append_metrics(folder, {"step": 10, "images_per_second": 0.5})
            append_metrics(folder, {"step": 10, "eval/AP": score, "eval/error": 1 - score})
        if config.optim.lr > 0.02:
            raise InputError("diverged") from NotFinite(3)
        return SimpleNamespace(folder=folder, session=Session())


@pytest.fixture(autouse=True)
def few_shuffles(monkeypatch):
    """Of the test of the range, which is not looked at here."""
    monkeypatch.setattr(comparing, "SHUFFLES", 10)


@pytest.fixture
def weights(tmp_path):
    """Two folders of weights of one kind."""
    for name in ("a", "b"):
        save_backbone(create_backbone("mixer_c16_l1_p8", 16), tmp_path / name)
    return str(tmp_path / "a"), str(tmp_path / "b")


@pytest.fixture
def config(weights, tmp_path):
    a, b = weights
    words = (f"kept={a}", f"kept={b}", f"shuffled=permuted:{a}", f"shuffled=permuted:{b}")
    return BaseStarts(words, seeds=(0, 1, 2, 3), out=str(tmp_path / "out"))


def trial(train, *names, **options):
    metrics = [Metric(name, lower=name == "error") for name in names or ["AP"]]
    return Trial(begin, build=lambda run: None, train=train, metrics=metrics, **options)


def test_rows_are_searched_alike_and_their_seeds_dealt_to_the_pretrainings(config, weights):
    train = Trainings()
    told = trial(train, floors=lambda session: ["floor, nothing: 0"])
    figures = compare_starts(config, told)[""]
    search = [c for c in train.done if c.tune_share]
    final = [c for c in train.done if not c.tune_share]
    assert {c.tune_share for c in search} == {0.1}
    assert {c.run.seed for c in search} == {0}
    rates = [c.optim.lr for c in search]
    assert rates == [3e-3, 1e-2, 3e-2] * 3
    assert {(c.weights, c.optim.lr) for c in final if not c.weights} == {("", 1e-2)}
    started = {(Path(c.run.folder).name, c.weights) for c in final}
    for seed in range(4):
        assert (f"kept-{seed}", weights[seed % 2]) in started
        assert (f"shuffled-{seed}", f"permuted:{weights[seed % 2]}") in started
    assert {c.optim.lr for c in final if c.weights} == {3e-3}
    assert [values["AP"] for values in figures["kept"]] == pytest.approx([0.8, 0.81, 0.82, 0.83])
    before = len(train.done)
    assert compare_starts(config, told)[""] == figures
    assert len(train.done) == before

    said = table_of(config)
    assert said["kept less scratch"] == "+40.00 +- 0.00 0.125 +40.00 (2, 0.500), +40.00 (2, 0.500)"
    assert said["kept less shuffled"].startswith("+30.00 +- 0.00 0.125")
    assert said["scratch 0.01"] == "0.003: 30.00, 0.01: 40.00, 0.03: diverged 1.33 0.00"
    assert "floor, nothing: 0" in said


def table_of(config):
    """The lines of compare.json: what stands before the first two blanks, and the rest."""
    lines = json.loads(Path(config.out, "compare.json").read_text())["table"]
    split = [re.split(r"(?<=\S)  +(?=\S)", line.strip()) for line in lines]
    said = {words[0]: " ".join(words[1:]) for words in split}
    return said | {" ".join(words[:2]): " ".join(words[2:]) for words in split}


def test_a_lower_metric_and_no_search(config):
    train = Trainings()
    compare_starts(replace(config, lr_factors=(0.3,)), trial(train, "error"))
    assert {c.optim.lr for c in train.done} == {3e-3}
    assert not any(c.tune_share for c in train.done)
    said = table_of(config)
    assert "Differences in error, %, by seed; less is better" in said
    assert said["kept less scratch"].startswith("-50.00")


def test_the_first_metric_decides_and_the_others_stand_below(config):
    told = trial(Trainings(), "AP", "error")
    compare_starts(config, told)
    lines = json.loads(Path(config.out, "compare.json").read_text())["table"]
    titles = [line for line in lines if line.startswith("Differences")]
    assert titles == [
        "Differences in AP, %, by seed",
        "Differences in error, %, by seed; less is better",
    ]
    assert sum(line.startswith("p: ") for line in lines) == 1
    assert table_of(config)["scratch 0.01"].startswith("0.003: 30.00")  # chosen by AP


def test_a_search_on_another_share_is_refused(config):
    compare_starts(config, trial(Trainings()))
    with pytest.raises(InputError, match=r"was trained with tune_share 0.1, and 0.2 is asked"):
        compare_starts(replace(config, tune_share=0.2), trial(Trainings()))


def test_a_run_of_another_start_is_refused(config, weights):
    compare_starts(replace(config, lr_factors=(0.3,)), trial(Trainings()))
    other = replace(config, lr_factors=(0.3,), weights=(f"kept={weights[1]}",))
    with pytest.raises(InputError, match=r"kept-0 was trained with weights .*a, and .*b is asked"):
        compare_starts(other, trial(Trainings()))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"weights": ("kept",)}, "--weights kept: expected NAME=VALUE"),
        ({"weights": ("scratch=W",)}, "which is there by itself"),
        ({"weights": ("a/b=W",)}, "cannot be the name of a row"),
        ({"weights": ("x=/nope",)}, "/nope does not exist"),
        ({"weights": ("x=permuted:",)}, "say which are permuted"),
        ({"seeds": (0, 2)}, "the 2 pretrainings of kept take turns"),
        ({"seeds": ()}, "seeds are"),
        ({"seeds": tuple(range(17))}, "16 at most"),
        ({"lr_factors": (3.0, 4.0)}, "scratch diverged at each of 0.03, 0.04"),
    ],
)
def test_starts_that_cannot_be(config, changes, expected):
    with pytest.raises(InputError, match=expected):
        compare_starts(replace(config, **changes), trial(Trainings()))


def test_weights_that_do_not_fit_are_refused_before_any_training(config):
    def build(run):
        raise InputError("another network")

    train = Trainings()
    with pytest.raises(InputError, match="another network"):
        compare_starts(config, replace(trial(train), build=build))
    assert not train.done


def test_the_sign_flip_test_against_all_signs():
    differences = [0.3, 0.2, -0.1, 0.25]
    ways = itertools.product((1, -1), repeat=4)
    sums = [sum(s * d for s, d in zip(signs, differences, strict=True)) for signs in ways]
    expected = sum(abs(value) >= 0.65 - 1e-9 for value in sums) / 16
    assert 2 / 16 < expected < 1
    assert sign_flip_test(differences) == expected
    assert sign_flip_test([0.1] * 6) == 2**-5
    assert sign_flip_test([0.1, 0.1, 0.1]) == 0.25
    assert sign_flip_test([0.0, 0.0]) == 1


def test_controls_are_the_same_weights_permuted():
    rows = {"scratch": [""], "p": ["a", "b"], "f": ["c"], "x": ["permuted:a", "permuted-1:b"]}
    assert controls(rows) == {"p": "x"}
    assert controls({**rows, "x": ["permuted:b", "permuted:a"]}) == {}


def test_the_time_of_a_pretraining_is_that_of_its_steps(tmp_path):
    save_config(Base(), tmp_path / "config.yaml")
    for step, rate in ((6, 2.0), (10, 0.5)):
        append_metrics(tmp_path, {"step": step, "images_per_second": rate})
        append_metrics(tmp_path, {"step": step, "eval/AP": 0.5})
    assert training_seconds(tmp_path) == 6 * 4 / 2 + 4 * 4 / 0.5
    checkpoint = tmp_path / "checkpoints/step-00000010"
    save_backbone(create_backbone("mixer_c16_l1_p8", 16), checkpoint)
    (tmp_path / "checkpoints/last").symlink_to(checkpoint.name)
    assert hours_of(f"permuted:{checkpoint}") == pytest.approx(44 / 3600)
    assert (hours_of(""), hours_of("photos"), hours_of("imagenet1k")) == (0.0, None, None)


def test_weights_without_the_record_of_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_backbone(create_backbone("mixer_c16_l1_p8", 16), tmp_path / "a")
    assert (hours_of("a"), hours_of(str(tmp_path / "a"))) == (None, None)
