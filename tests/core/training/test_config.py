"""Configurations: command line, yaml, and the words for what is wrong."""

from dataclasses import dataclass, fields, replace
from typing import ClassVar, Literal

import pytest
import torch

from core import InputError
from core.config import build, cli, entry_point, flatten, load_config, needs, read_yaml, save_config
from core.training.run_config import RunConfig


@dataclass(frozen=True)
class Inner:
    lr: float = 0.1
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Outer:
    inner: Inner = Inner()
    size: tuple[int, int] = (2, 3)
    factors: tuple[float, ...] = ()
    limit: int | None = None
    active: bool = False


def small() -> Outer:
    """The small one."""
    return Outer()


def large() -> Outer:
    """The large one."""
    return Outer(size=(20, 30))


PRESETS = {"small": small, "large": large}


def test_presets_and_overrides():
    assert cli(PRESETS, []) == Outer()
    assert cli(PRESETS, ["large"]).size == (20, 30)
    assert cli(PRESETS, ["large", "--inner.lr", "3", "--active"]) == Outer(
        inner=Inner(lr=3.0), size=(20, 30), active=True
    )
    assert cli(PRESETS, ["--size", "5", "6"]).size == (5, 6)


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(InputError, match=r"'smal'. Did you mean small\? Known: small, large"):
        cli(PRESETS, ["smal"])


def test_yaml_round_trip(tmp_path):
    config = Outer(Inner(1e-3, "b"), (7, 8), (0.5, 1.0), 4, True)
    save_config(config, tmp_path / "config.yaml")
    assert load_config(Outer, tmp_path / "config.yaml") == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sise: [1, 2]", "unknown field 'sise'. Did you mean size"),
        ("inner: {lr: fast}", "inner: lr is 'fast', expected a number"),
        ("inner: {kind: c}", "kind is 'c', expected one of a, b"),
        ("size: [1]", "size is .1., expected 2 values"),
        ("active: 1", "active is 1, expected bool"),
        ("inner: 3", "expected fields of Inner, got 3"),
        ("{", "is not yaml"),
        ("inner: {lr: 1, lr: 2}", "lr comes twice, in lines 1 and 1: keep one"),
        ("size: [1, 2]\ninner: {}\nsize: [3, 4]", "size comes twice, in lines 1 and 3"),
    ],
)
def test_wrong_yaml_is_named(tmp_path, text, message):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_config(Outer, tmp_path / "config.yaml")


def test_a_number_that_yaml_reads_as_a_string(tmp_path):
    (tmp_path / "config.yaml").write_text("inner: {lr: 1e-3}")
    assert load_config(Outer, tmp_path / "config.yaml").inner.lr == 1e-3


def test_a_mapping_that_takes_over_another_may_change_it(tmp_path):
    text = "a: &one {lr: 1, kind: a}\nb: &two {<<: *one, lr: 2}\nc: {<<: *two, kind: b}"
    (tmp_path / "merged.yaml").write_text(text)
    assert read_yaml(tmp_path / "merged.yaml")["c"] == {"lr": 2, "kind": "b"}


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"is missing: is .* the folder of a run"):
        load_config(Outer, tmp_path / "config.yaml")


def test_flat_scalars_for_trackers():
    flat = flatten(replace(Outer(), limit=None))
    assert flat["inner.lr"] == 0.1
    assert all(isinstance(value, bool | int | float | str) for value in flat.values())


def test_build_from_json_lists():
    assert build(Outer, {"size": [4, 5], "factors": [1]}, "x") == Outer(size=(4, 5), factors=(1.0,))


def test_a_name_of_two_lines_is_told_on_one(capsys):
    @entry_point
    def main():
        raise InputError("a\nb.png cannot be read")

    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err == "error: a\\nb.png cannot be read\n"


@pytest.mark.parametrize(
    "error",
    [
        InputError("no such thing"),
        OSError(28, "No space left"),
        MemoryError("Unable to allocate 9 TiB\nfor an array"),
        torch.OutOfMemoryError("CUDA out of memory.\nTried hard"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_entry_points_end_with_one_line(error, capsys):
    @entry_point
    def main():
        raise error

    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_other_errors_keep_their_traceback():
    @entry_point
    def main():
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        main()


@dataclass(frozen=True)
class Moved:
    RENAMED: ClassVar[dict[str, str]] = {
        "rate": "inner.lr",
        "old.deep": "size_of",
        "old.b": "b",
        "both": "b inner.lr",
    }
    inner: Inner = Inner()
    size_of: int = 1
    b: int = 2


@dataclass(frozen=True)
class Holder:
    base: Moved = Moved()


def test_old_files_open_where_settings_have_moved(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("rate: 0.5\nold:\n  deep: 7\n  b: 8\ninner:\n  kind: b\n")
    assert load_config(Moved, path) == Moved(Inner(0.5, "b"), 7, 8)
    path.write_text("base:\n  rate: 0.5\n")
    assert load_config(Holder, path) == Holder(Moved(Inner(0.5)))
    path.write_text("rate: 0.5\ninner:\n  lr: 3.0\n")
    assert load_config(Moved, path).inner.lr == 3.0  # the new name wins
    path.write_text("both: 3\nb: 4\n")
    assert load_config(Moved, path) == Moved(Inner(3.0), b=4)  # one setting of then is two now
    path.write_text("rate: 0.5\ninner: 3\n")
    with pytest.raises(InputError, match="inner: expected fields of Inner, got 3"):
        load_config(Moved, path)
    path.write_text("old:\n  deep: 7\n  other: 1\n")
    with pytest.raises(InputError, match="unknown field 'old'"):
        load_config(Moved, path)
    path.write_text("kind: b\nlrr: 1.0\n")
    known = ", ".join(field.name for field in fields(Inner))  # the same words every time
    with pytest.raises(InputError, match=f"Known: {known}$"):
        load_config(Inner, path)


@pytest.mark.parametrize("words", [["--rate", "1"], ["--rate=1"]])
def test_an_old_option_says_the_new_one(words):
    with pytest.raises(InputError, match=r"--rate is now --inner.lr"):
        cli({"moved": Moved}, words)
    with pytest.raises(InputError, match=r"--base.old.deep is now --base.size-of"):
        cli({"holder": Holder}, ["--base.old.deep", "3"])
    with pytest.raises(InputError, match=r"--base.both is now --base.b and --base.inner.lr"):
        cli({"holder": Holder}, ["--base.both", "3"])
    assert cli({"moved": Moved}, ["--inner.lr", "2"]).inner.lr == 2.0


def test_help_all_prints_every_setting(capsys):
    with pytest.raises(SystemExit) as ended:
        cli(PRESETS, ["large", "--help-all"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "[PRESET]" in shown
    assert all(f"--{name}" in shown for name in ("inner.lr", "size", "factors", "limit", "active"))


def epochs() -> RunConfig:
    """By epochs."""
    return RunConfig(epochs=3.0)


def outer_run() -> "WithRun":
    """The same, as a section."""
    return WithRun(epochs())


@dataclass(frozen=True)
class WithRun:
    run: RunConfig


@pytest.mark.parametrize(
    ("words", "steps", "passes"),
    [
        ([], 0, 3),
        (["--run.steps", "7"], 7, 0),
        (["--run.steps=7"], 7, 0),
        (["--run.epochs", "2"], 0, 2),
        (["--run.steps", "7", "--run.epochs", "2"], 7, 2),  # both said: Run refuses it
        (["--run.steps", "0"], 0, 3),
    ],
)
def test_steps_stand_in_for_epochs(words, steps, passes):
    run = cli({"outer_run": outer_run}, ["outer_run", *words]).run
    assert (run.steps, run.epochs) == (steps, passes)


@needs("factors", "limit")
def either() -> Outer:
    """Needs one of two."""
    return Outer()


def test_a_preset_says_what_it_cannot_do_without():
    message = "the preset either needs --factors or --limit"
    with pytest.raises(InputError, match=message):
        cli({"either": either}, ["either"])
    assert cli({"either": either}, ["either", "--limit", "3"]).limit == 3


def test_ctrl_c_is_one_line(capsys):
    @entry_point
    def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "stopped by Ctrl-C\n"
