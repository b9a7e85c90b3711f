"""Each app by its entry points: train 2 steps, resume to 4, evaluate, predict."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.checkpoints import find_checkpoint, step_of
from core.training.folder import read_metrics

ROOT = Path(__file__).resolve().parents[1]
APPS = sorted(path.parent.name for path in ROOT.glob("apps/*/train.py"))


def run(folder, *words):
    """A command in ``folder``, as a user types it; returns what it printed."""
    environment = {**os.environ, "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_there_are_apps():
    assert "pose" in APPS


@pytest.mark.parametrize("app", APPS)
def test_train_resume_evaluate_predict(app, tmp_path):
    scripts = ROOT / "apps" / app
    accelerate = Path(sys.executable).with_name("accelerate")
    words = ["debug", "--run.folder", "run"]
    run(tmp_path, accelerate, "launch", scripts / "train.py", *words, "--run.steps", 2)
    assert step_of(find_checkpoint(tmp_path / "run", "last")) == 2
    run(
        tmp_path,
        accelerate,
        "launch",
        scripts / "train.py",
        *words,
        "--run.steps",
        4,
        "--run.resume",
    )
    assert step_of(find_checkpoint(tmp_path / "run", "last")) == 4
    assert [r["step"] for r in read_metrics(tmp_path / "run") if "loss" in r] == [1, 2, 3, 4]
    printed = run(tmp_path, sys.executable, scripts / "eval.py", "run")
    assert "step-0000000" in printed
    run(tmp_path, sys.executable, scripts / "predict.py", "run")
    assert list((tmp_path / "run/pictures").glob("*.png"))
