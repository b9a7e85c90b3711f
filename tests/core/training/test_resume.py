"""A run that is killed and resumed gives the losses of one that was not."""

import signal

import pytest
import torch
from safetensors.torch import load_file

from core.training.files.folder import read_metrics
from tests.core import toy
from tests.core.launch import launch

OPTIONS = ["--run.accumulate", 2, "--run.ema", 0.99, "--run.steps", 20, "--workers", 1]


def losses(folder):
    return {row["step"]: row["loss"] for row in read_metrics(folder) if "loss" in row}


@pytest.mark.parametrize("processes", [1, 2])
def test_kill_9_in_the_middle_of_an_epoch(tmp_path, processes):
    """44 samples at 8 a step: step 13 is in the middle of the third epoch, after a save at 10."""
    whole = launch(toy.main, "--run.folder", tmp_path / "whole", *OPTIONS, processes=processes)
    assert whole.returncode == 0, whole.output
    words = ["--run.folder", tmp_path / "cut", *OPTIONS]
    killed = launch(toy.main, *words, "--kill_at", 13, processes=processes)
    assert killed.returncode != 0
    assert max(losses(tmp_path / "cut")) < 20
    resumed = launch(toy.main, *words, "--run.resume", processes=processes)
    assert resumed.returncode == 0, resumed.output

    expected, got = losses(tmp_path / "whole"), losses(tmp_path / "cut")
    assert list(got) == list(range(1, 21)), "each step is recorded exactly once"
    assert max(abs(expected[step] - got[step]) for step in expected) <= 1e-6
    for name in ("model.safetensors", "ema.safetensors"):
        a = load_file(tmp_path / "whole/checkpoints/last" / name)
        b = load_file(tmp_path / "cut/checkpoints/last" / name)
        for key in a:
            torch.testing.assert_close(a[key], b[key], rtol=0, atol=1e-6)


def test_sigterm_saves_stops_and_can_go_on(tmp_path):
    words = ["--run.folder", tmp_path / "run", "--run.steps", 12]
    stopped = launch(toy.main, *words, "--term_at", 7)
    assert stopped.returncode == 128 + signal.SIGTERM
    assert "stopped at step 7 of 12" in stopped.output
    assert (tmp_path / "run/checkpoints/last").resolve().name == "step-00000007"
    assert launch(toy.main, *words, "--run.resume").returncode == 0
    assert launch(toy.main, "--run.folder", tmp_path / "whole", "--run.steps", 12).returncode == 0
    assert losses(tmp_path / "run") == pytest.approx(losses(tmp_path / "whole"), abs=1e-6)


def test_two_processes_stop_at_the_same_step(tmp_path):
    words = ["--run.folder", tmp_path / "run", "--run.steps", 12, "--run.log-every", 2]
    stopped = launch(toy.main, *words, "--term_at", 5, processes=2)
    assert stopped.returncode != 0
    assert (tmp_path / "run/checkpoints/last").resolve().name == "step-00000006"


def test_one_and_two_processes_take_the_same_steps(tmp_path):
    """Same samples, same masked mean, same weights (no dropout: its draws differ by process)."""
    words = ["--run.steps", 8, "--dropout", 0, "--run.accumulate", 2]
    for processes in (1, 2):
        folder = ["--run.folder", tmp_path / str(processes)]
        done = launch(toy.main, *folder, *words, processes=processes)
        assert done.returncode == 0, done.output
    assert losses(tmp_path / "1") == pytest.approx(losses(tmp_path / "2"), abs=1e-6)
