"""Runs on streams: which images are trained on before and after a stop, and when a stream ends."""

import os
from collections import Counter

import pytest

from core.checkpoints import list_checkpoints
from core.training.files.folder import read_metrics
from tests.core.data import stream_toy
from tests.core.data.stream_toy import numbers, trained_on, write_parquet, write_shards
from tests.core.launch import launch

LENGTHS = [9, 14, 3, 22]  # 48 images, 6 steps of 8


@pytest.fixture
def train(tmp_path):
    """Start the app on data of a root, in a run's folder."""
    cache = {"MIXER_CACHE": str(tmp_path / "cache")}

    def start(root, name, *words, processes=2):
        data = ["--data.root", root, "--data.stream", "--run.folder", tmp_path / name]
        return launch(
            stream_toy.main, *data, *words, processes=processes, environment=cache, timeout=120
        )

    return start


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_kill_9_on_two_processes_of_two_workers(tmp_path, train, kind):
    """Step 7 lies in the second epoch, after the save at step 4."""
    root = tmp_path / "set"
    if kind == "tar":
        write_shards(root, LENGTHS)
    else:
        root = write_parquet(root, LENGTHS)
    whole = train(root, "whole", "--run.accumulate", 2)
    assert whole.returncode == 0, whole.output
    expected = trained_on(tmp_path / "whole")
    assert Counter(numbers(expected.values())) == Counter(dict.fromkeys(range(48), 2))
    half = [batch for (_, index), batch in expected.items() if index < 12]
    assert sorted(numbers(half)) == list(range(48))

    killed = train(root, "cut", "--run.accumulate", 2, "--kill-at", 7)
    assert killed.returncode != 0
    resumed = train(root, "cut", "--run.accumulate", 2, "--run.resume")
    assert resumed.returncode == 0, resumed.output
    assert trained_on(tmp_path / "cut") == expected, "the same images with the same randomness"


def test_other_processes_and_workers_go_on_with_the_rest(tmp_path, train):
    """45 images: step 4 leaves 13 of the first epoch to other lanes, step 8 some of the second."""
    write_shards(tmp_path / "set", [9, 14, 22])
    turns = [(4, 2, 2, 1), (8, 1, 0, 2), (17, 2, 1, 1)]
    for steps, processes, workers, accumulate in turns:
        words = ["--run.steps", steps, "--workers", workers, "--run.accumulate", accumulate]
        done = train(tmp_path / "set", "run", *words, "--run.resume", processes=processes)
        assert done.returncode == 0, done.output
    texts = [path.read_text() for path in tmp_path.glob("run/images-*.txt")]
    lines = [line.split() for text in texts for line in text.splitlines()]
    seen = Counter(int(float(n)) for line in lines for n in line[1::2])
    assert sum(seen.values()) == 17 * 8
    assert set(seen.values()) <= {3, 4}, "3 epochs are 135 images, this is one more"
    assert sum(count == 4 for count in seen.values()) == 1


@pytest.mark.parametrize("processes", [1, 2])
def test_a_stream_that_ends_leaves_the_last_step_and_can_go_on(tmp_path, train, processes):
    """Each lane reads little ahead, so that some steps are finished before image 30 fails."""
    write_shards(tmp_path / "set", LENGTHS)
    words = ["--run.accumulate", 2, "--run.save-every", 100, "--data.buffer", 2]
    whole = train(tmp_path / "set", "whole", *words, processes=processes)
    assert whole.returncode == 0, whole.output

    failing = ["--fail-at", 30, "--fail-times", -1, "--data.retries", 1]
    ended = train(tmp_path / "set", "run", *words, *failing, processes=processes)
    assert ended.returncode == 2, ended.output
    (kept,) = list_checkpoints(tmp_path / "run")
    line = next(line for line in ended.output.splitlines() if line.startswith("error:"))
    assert "hung up. 1 retries did not help" in line
    assert f"Go on from {kept} with --run.resume" in line
    assert [row["step"] for row in read_metrics(tmp_path / "run")] == list(
        range(1, int(kept.name[-8:]) + 1)
    )

    resumed = train(tmp_path / "set", "run", *words, "--run.resume", processes=processes)
    assert resumed.returncode == 0, resumed.output
    assert trained_on(tmp_path / "run") == trained_on(tmp_path / "whole")


def test_other_data_than_the_checkpoint_has_read(tmp_path, train):
    write_shards(tmp_path / "set", [9, 14])
    assert train(tmp_path / "set", "run", "--run.steps", 2, processes=1).returncode == 0
    write_shards(tmp_path / "set", [9, 15])
    changed = train(tmp_path / "set", "run", "--run.resume", processes=1)
    assert changed.returncode == 2
    assert "24 samples in 2 shards" in changed.output
    assert "the run read 23 samples in 2 shards" in changed.output
    assert not os.path.exists(tmp_path / "run/checkpoints/step-00000004")
