"""Comparisons of runs over seeds: what is shared by the apps' tables."""

import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from core import InputError
from core.app import comparing as compare
from core.training.files.folder import append_metrics
from core.training.session import Session


def test_the_noise_test_against_all_permutations():
    groups = [[0.1, 0.5], [0.7, 0.2], [0.9]]
    values = [value for group in groups for value in group]

    def spread(v):
        means = [(v[0] + v[1]) / 2, (v[2] + v[3]) / 2, v[4]]
        return max(means) - min(means)

    ways = [spread(order) >= spread(values) - 1e-12 for order in itertools.permutations(values)]
    assert 0.05 < np.mean(ways) < 0.95
    assert compare.noise_test(groups) == pytest.approx(np.mean(ways), abs=0.02)


def test_the_noise_test_tells_differences_from_noise(monkeypatch):
    monkeypatch.setattr(compare, "SHUFFLES", 400)
    rng = np.random.default_rng(0)
    apart = [(mean + rng.normal(size=4) * 0.1).tolist() for mean in (0, 1, 2)]
    assert compare.noise_test(apart) < 0.01
    assert compare.noise_test([[0.5] * 3] * 4) == 1
    same = [compare.noise_test(rng.normal(size=(4, 3)).tolist(), seed) for seed in range(60)]
    assert 0.4 < np.mean(same) < 0.6  # uniform
    assert np.mean(np.array(same) < 0.1) < 0.25


def test_a_table_by_hand():
    scores = {"small": {"plain": [0.5, 0.6], "new": [0.8, 0.7]}}
    first, group, best, other, verdict = compare.comparison_table("AP", (0, 1), scores).splitlines()
    assert (first, group) == ("AP, %, seeds 0, 1", "small")
    assert best.split() == ["new", "75.00", "+-", "7.07", "(80.00,", "70.00)"]
    assert other.split() == ["plain", "55.00", "+-", "7.07", "(50.00,", "60.00)"]
    assert "no more than seeds may" in verdict  # a third of the ways to deal four values
    assert compare.comparison_table("AP", (0,), {"small": {"plain": [0.5]}}).endswith("(50.00)")


def test_the_last_evaluation_counts(tmp_path):
    for step, value in ((1, 0.1), (2, 0.3)):
        append_metrics(tmp_path, {"step": step, "eval/AP": value})
        append_metrics(tmp_path, {"step": step, "loss": 1.0})
    assert compare.last_metric(tmp_path, "AP") == 0.3
    with pytest.raises(InputError, match="has no AR: choose one"):
        compare.last_metric(tmp_path, "AR")


def test_a_metric_in_a_unit_of_its_own_where_less_is_better():
    scores = {"shapes": {"a": [0.05], "b": [0.04]}}
    metric = compare.Metric("Chamfer", 1000, "1e-3", lower=True)
    first, _, best, other = compare.comparison_table(metric, (0,), scores).splitlines()
    assert first == "Chamfer, 1e-3, seeds 0"
    assert best.split() == ["b", "40.00", "(40.00)"]
    assert other.split() == ["a", "50.00", "(50.00)"]


def test_every_cell_is_trained_once_a_whole_seed_at_a_time(tmp_path, capsys):
    """Runs that are measured on two suites; the groups are trained apart."""
    jobs = []

    def train(group, row, seed):
        jobs.append((group, row, seed))
        run = SimpleNamespace(folder=tmp_path / f"{group}-{row}-{seed}", session=Session())
        run.folder.mkdir()
        append_metrics(run.folder, {"step": 1, "eval/AP": seed / 10})
        return run

    def measure(run):
        own = compare.last_evaluation(run.folder)
        return {"": own, "hard": {"AP": own["AP"] / 2, "AR": 1.0}}

    figures, _ = compare.train_all(("s", "l"), ("a", "b"), (1, 2), train, measure, "AP")
    assert jobs[:4] == [("s", "a", 1), ("s", "b", 1), ("l", "a", 1), ("l", "b", 1)]
    assert len(jobs) == 8
    assert list(figures) == ["s", "s hard", "l", "l hard"]
    assert figures["l hard"]["b"] == [{"AP": 0.05, "AR": 1.0}, {"AP": 0.1, "AR": 1.0}]
    assert "8 of 8: l hard b seed 2: AP 0.1000" in capsys.readouterr().out
    assert compare.scores_of(figures, "AR") == {
        g: {"a": [1.0, 1.0], "b": [1.0, 1.0]} for g in ("s hard", "l hard")
    }
    with pytest.raises(InputError, match=r"has no AQ: choose one of its figures \(AP\)"):
        compare.train_all(("x",), ("a",), (1,), train, watched="AQ")


def test_a_report_on_disk(tmp_path, capsys):
    figures = {"": {"a": [{"AP": 0.5, "t": 3.0}], "b": [{"AP": 0.25}]}}
    metrics = ["AP", compare.Metric("t", 1.0, "ms", lower=True, title="time"), "nobody"]
    compare.report(tmp_path, {"seeds": 1}, metrics, (0,), figures, ["a note"])
    record = json.loads((tmp_path / "compare.json").read_text())
    assert record["scores"] == {"AP": {"": {"a": [0.5], "b": [0.25]}}, "t": {"": {"a": [3.0]}}}
    assert record["figures"] == figures
    assert record["table"][-1] == "a note"
    assert "time, ms, seeds 0" in capsys.readouterr().out
    assert (tmp_path / "compare.png").stat().st_size > 1000
    with pytest.raises(InputError, match="no run has AQ"):
        compare.report(tmp_path, {}, ["AQ"], (0,), figures)


def test_what_took_long_is_measured_once_for_a_checkpoint(tmp_path):
    calls = []

    def measure():
        calls.append(1)
        return {"AP": 0.5}

    path = tmp_path / "measured.json"
    for checkpoint, count in (("a", 1), ("a", 1), ("b", 2)):
        figures = compare.remembered(path, Path(checkpoint), Session(), measure)
        assert (figures, len(calls)) == ({"AP": 0.5}, count)
