"""Checkpoints that were killed amid a file operation, damaged, or strayed into: a whole one counts.

A kill is a child process that ends, without any clean-up, at one chosen operation on files.
"""

import json
import os
import re
import shutil
import stat
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from core import InputError
from core.app.runs import reopen
from core.checkpoints import SUMS, damage, find_checkpoint, list_checkpoints, step_of
from core.data.loading import BadSample
from core.evaluation.collect import collect
from core.training.files.checkpoint import (
    link_and_prune,
    load_weights,
    newest_whole,
    write_checkpoint,
)
from core.training.files.folder import read_metrics
from core.training.optim import ScheduleConfig, create_optimizer
from core.training.run import Run
from core.training.session import Session
from core.training.state import WholeState
from tests.core.toy import ToyConfig, ToyData, ToyNet, toy_config, toy_losses, train

OPERATIONS = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "os.chmod")
SCORES = {5: 0.5, 10: 0.9, 15: 0.1, 20: 0.7}


def save(run: Path, step: int) -> None:
    """A checkpoint as a run writes it, and what is pruned after it."""
    tensors = {"w": torch.full((3,), float(step))}
    whole = WholeState(
        {"model.safetensors": tensors, "ema.safetensors": tensors},
        {name: {"step": step} for name in ("optimizer", "d_optimizer")},
        run,
    )
    info = {"step": step, "metrics": {"score": SCORES[step]}}
    write_checkpoint(run, step, lambda folder: whole.write(info, folder))
    link_and_prune(run, "score", True, 1)


def killed_at(number: int, run: Path, step: int) -> bool:
    """Whether a child that saves was killed at its operation ``number``, not through before it."""
    if not (child := os.fork()):
        left = number

        def kill(event, args):
            nonlocal left
            writes = event == "open" and isinstance(args[2], int) and args[2] & os.O_CREAT
            if writes or event in OPERATIONS:
                left -= 1
                if left < 0:
                    os._exit(9)

        sys.addaudithook(kill)
        try:
            save(run, step)
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9)
    return status == 9


def test_a_kill_at_each_operation_of_a_save_and_of_its_prune(tmp_path):
    """5 is pruned by the save of 15 (the best is 10), as 15 is by that of 20."""
    begun = tmp_path / "begun"
    for step in (5, 10):
        save(begun, step)
    save(begun, 15)
    assert [step_of(path) for path in list_checkpoints(begun)] == [10, 15]
    number, killed = 0, True
    while killed:
        run = tmp_path / f"killed-{number}"
        shutil.copytree(begun, run, symlinks=True)
        killed = killed_at(number, run, 20)
        checkpoint = newest_whole(run, "score", True)
        step = step_of(checkpoint)
        assert step in (15, 20)
        assert not damage(checkpoint)
        assert float(load_file(checkpoint / "model.safetensors")["w"][0]) == step
        assert step_of(find_checkpoint(run)) == 10
        save(run, 20)  # what the run does when it has gone on
        names = sorted(path.name for path in (run / "checkpoints").iterdir())
        assert names == ["best", "last", "step-00000010", "step-00000020"]
        shutil.rmtree(run)
        number += 1
    assert number > 25


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


FILES = (
    "config.json",
    "model.safetensors",
    "ema.safetensors",
    "training_state/optimizer.pt",
    "training_state/d_optimizer.pt",
    SUMS,
)


SPOILT = [(file, spoil) for file in FILES for spoil in (flip, cut, empty, Path.unlink)]


# without its checksums a checkpoint is as older versions wrote it
@pytest.mark.parametrize(
    ("file", "spoil"), [case for case in SPOILT if case != (SUMS, Path.unlink)]
)
def test_the_newest_whole_one_is_taken_and_the_damaged_named(tmp_path, capsys, file, spoil):
    for step in (10, 15):
        save(tmp_path, step)
    spoil(tmp_path / "checkpoints/step-00000015" / file)
    assert step_of(newest_whole(tmp_path, "score", True)) == 10
    (note,) = capsys.readouterr().err.splitlines()
    assert "passed over" in note
    assert "step-00000015" in note
    assert (tmp_path / "checkpoints/last").resolve().name == "step-00000010"
    save(tmp_path, 15)
    assert step_of(newest_whole(tmp_path, "score", True)) == 15


@pytest.mark.parametrize(
    ("file", "spoil"),
    [("model.safetensors", cut), ("training_state/optimizer.pt", empty), ("config.json", cut)],
)
def test_older_checkpoints_without_checksums_are_looked_at_too(tmp_path, file, spoil):
    for step in (10, 15):
        save(tmp_path, step)
        (tmp_path / f"checkpoints/step-{step:08d}" / SUMS).unlink()
    assert step_of(newest_whole(tmp_path, "score", True)) == 15
    spoil(tmp_path / "checkpoints/step-00000015" / file)
    assert step_of(newest_whole(tmp_path, "score", True)) == 10


def test_strays_are_passed_over_and_nothing_whole_is_an_error(tmp_path, capsys):
    save(tmp_path, 10)
    (tmp_path / "checkpoints/step-00000099").mkdir()
    (tmp_path / "checkpoints/step-00000012").write_text("a file")
    assert step_of(find_checkpoint(tmp_path, "last")) == 10
    assert step_of(newest_whole(tmp_path, "score", True)) == 10
    assert capsys.readouterr().err.count("passed over") == 4  # the file and the folder, each twice
    flip(tmp_path / "checkpoints/step-00000010/model.safetensors")
    with pytest.raises(InputError, match=r"no whole checkpoint.*choose another --run.folder"):
        newest_whole(tmp_path, "score", True)
    with pytest.raises(InputError, match=r"model.safetensors is not what was written"):
        find_checkpoint(tmp_path)


def test_a_best_one_that_is_damaged_gives_its_place_to_the_next(tmp_path):
    for step in (10, 15):
        save(tmp_path, step)
    flip(tmp_path / "checkpoints/step-00000010/model.safetensors")
    flip(tmp_path / "checkpoints/step-00000015/model.safetensors")
    save(tmp_path, 20)
    assert step_of(newest_whole(tmp_path, "score", True)) == 20
    with pytest.raises(InputError, match="step-00000010 is damaged"):
        find_checkpoint(tmp_path)  # an evaluation of another one would pass for the best's


def test_the_folder_s_own_mode_is_that_of_all(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for mode in (0o750, 0o2775):
        folder.chmod(mode)
        save(tmp_path, 10)
        for path in (folder / "step-00000010").rglob("*"):
            assert stat.S_IMODE(path.stat().st_mode) == (mode if path.is_dir() else mode & 0o666)


def test_a_run_goes_on_from_the_newest_whole_one(tmp_path, fresh, capsys):
    run = tmp_path / "run"
    options = {"save_every": 3, "schedule": ScheduleConfig("constant", warmup=0.0)}
    train(toy_config(run, steps=9, best="weight", eval_every=3, keep_best=9, **options))
    newest = run / "checkpoints/step-00000009"
    flip(newest / "training_state/optimizer.pt")
    with open(run / "metrics.jsonl", "ab") as file:
        file.write(b'\xff{"step": \n[1]\n{"loss": 2}\n')
    (run / "config.yaml").write_bytes(b"run: [\xff")
    fresh()
    train(toy_config(run, steps=12, resume=True, **options))
    assert "step-00000009: optimizer.pt is not what was written" in capsys.readouterr().err
    assert [row["step"] for row in read_metrics(run) if "loss" in row] == [*range(1, 13)]
    assert step_of(run / "checkpoints/last") == 12
    fresh()
    whole = tmp_path / "whole"
    train(toy_config(whole, steps=12, **options))
    last = "checkpoints/last/model.safetensors"
    expected, got = load_file(whole / last), load_file(run / last)
    assert all(torch.equal(expected[name], got[name]) for name in expected)


def test_an_evaluation_says_which_checkpoint_is_damaged(tmp_path, monkeypatch):
    build = classmethod(lambda cls, *_: ToyNet())
    monkeypatch.setattr(ToyNet, "from_description", build, raising=False)
    train(toy_config(tmp_path / "run", steps=1))
    reopen(tmp_path / "run", ToyConfig, ToyNet, Session())
    flip(tmp_path / "run/checkpoints/step-00000001/model.safetensors")
    with pytest.raises(InputError, match=r"step-00000001: model.safetensors is not|no whole"):
        reopen(tmp_path / "run", ToyConfig, ToyNet, Session())


def test_a_start_that_fails_leaves_no_folder(tmp_path, fresh):
    with pytest.raises(InputError, match="bad sample"):
        train(toy_config(tmp_path / "runs/a", steps=3, bad=tuple(range(44))))
    assert not list(tmp_path.iterdir())
    fresh()
    Run(toy_config(tmp_path / "runs/b").run)
    assert not list(tmp_path.iterdir())


def test_what_an_app_writes_before_the_first_step_is_the_runs_own(tmp_path, fresh):
    config = toy_config(tmp_path / "run", steps=1)
    run = Run(config.run, config)
    run.prepare(model=ToyNet())
    run.folder.mkdir()
    (run.folder / "probe.json").write_text("{}")
    run.log({"score": 1.0})
    run.finish()
    fresh()
    with pytest.raises(InputError, match="exists already"):
        Run(config.run, config)


@pytest.mark.parametrize("where", ["training", "evaluation"])
def test_a_bad_sample_costs_no_step(tmp_path, where):
    """The seventh micro-batch cannot be read; or what is evaluated at step 6."""
    config = toy_config(tmp_path / "run", steps=20, save_every=0, samples=64, bad=(3,))
    with pytest.raises(InputError, match=r"truncated.*Go on from .*step-0000.*with --run.resume"):
        train(config) if where == "training" else _train_evaluated(tmp_path / "run")
    rows = read_metrics(tmp_path / "run")
    done = max(row["step"] for row in rows)
    assert done > 0
    assert step_of(tmp_path / "run/checkpoints/last") == done


def _train_evaluated(folder: Path) -> None:
    class Bad(ToyData):
        def __getitem__(self, i):
            raise BadSample("a.png", "truncated")

    config = toy_config(folder, steps=20, save_every=0)
    run, network = Run(config.run, config), ToyNet()
    loader = run.loader(ToyData(config))
    optimizer = create_optimizer(config.optim, network)
    model, optimizer = run.prepare(model=network, optimizer=optimizer)
    for batch in run.steps(loader):
        run.backward(*toy_losses(model(batch["x"]), batch, True))
        run.step(optimizer)
        if run.done == 6:
            with run.evaluating():
                collect(run.session, Bad(config), lambda batch: {}, 4)


def test_the_info_of_a_checkpoint_lists_its_files(tmp_path):
    save(tmp_path, 10)
    checkpoint = tmp_path / "checkpoints/step-00000010"
    lines = (checkpoint / SUMS).read_text().splitlines()
    assert sorted(line.split("  ")[1] for line in lines) == sorted(FILES[:-1])
    assert json.loads((checkpoint / "config.json").read_text())["step"] == 10


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda weight: weight.int(), "is int32, and holds no fractions"),
        (lambda weight: weight * float("nan"), "is not finite, as of a run that diverged"),
        (lambda weight: weight / 0, "is not finite, as of a run that diverged"),
    ],
)
def test_weights_of_no_use_are_refused_by_name(tmp_path, change, said):
    network, path = torch.nn.Linear(2, 1), tmp_path / "model.safetensors"
    weights = network.state_dict()
    save_file({**weights, "weight": change(weights["weight"])}, path)
    with pytest.raises(InputError, match=f"model.safetensors: weight {said}"):
        load_weights(network, path)


def test_a_best_that_points_at_itself_is_one_line(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for name, target in (("best", "last"), ("last", "last")):
        (tmp_path / "checkpoints" / name).symlink_to(target)
    with pytest.raises(InputError, match="which is no checkpoint"):
        find_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"step": "many"}, "its step is 'many'"),
        ({"step": True}, "its step is True"),
        ({"step": -1}, "its step is -1"),
        ({"metrics": [1]}, r"its metrics are \[1\]"),
    ],
)
def test_an_info_that_no_training_writes_is_passed_over(tmp_path, change, said):
    for step in (10, 15):
        save(tmp_path, step)
    info = tmp_path / "checkpoints/step-00000015/config.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | change))
    assert re.search(said, damage(info.parent))
    assert step_of(newest_whole(tmp_path, "score", True)) == 10
    link_and_prune(tmp_path, "score", True, 1)  # what the run does when it has gone on
