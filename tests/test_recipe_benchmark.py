"""benchmarks/recipe.py in a small form: rows of equal time, and what was done is not done again."""

import json

import pytest

from benchmarks import recipe
from core.checkpoints import latest_checkpoint, step_of
from tests.core.data.packed_toy import write_packed


@pytest.fixture
def words(tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "ROUNDS", 1)
    monkeypatch.setattr(recipe, "TRIAL", 1)
    write_packed(tmp_path)
    sizes = ["--model", "mixer_c16_l1_p8", "--side", "24", "--held", "24", "--steps", "4"]
    return ["--photos", str(tmp_path), "--out", str(tmp_path / "out"), *sizes]


def test_rows_take_as_long_as_the_base_and_go_on(words, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "cost.json").write_text(json.dumps({"muon": 1.0, "growing pictures": 0.5}))
    recipe.main([*words, "--rows", "muon", "growing pictures", "--seeds", "0"])
    assert step_of(latest_checkpoint(out / "muon-0")) == 4
    assert step_of(latest_checkpoint(out / "growing_pictures-0")) == 8
    record = json.loads((out / "compare.json").read_text())
    assert "growing pictures 0.50" in capsys.readouterr().out
    monkeypatch.setattr(recipe, "train", lambda config, keep: recipe.Run(config.run, config))
    recipe.main([*words, "--rows", "muon", "--seeds", "0"])
    again = json.loads((out / "compare.json").read_text())
    assert again["figures"][""]["muon"] == record["figures"][""]["muon"]


def test_costs_are_measured_and_fractals_come_first(words, tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "SHARE", 0.25)
    monkeypatch.setattr(recipe, "cost", lambda *_: {"muon": 1.0, "fractals first": 1.0})
    small = recipe.small_fractals(4)
    monkeypatch.setattr(recipe, "small_fractals", lambda _: small)
    recipe.main([*words, "--rows", "fractals first", "--seeds", "3"])
    first = latest_checkpoint(tmp_path / "out" / "fractals_first-3-fractals")
    assert step_of(first) == 1
    assert step_of(latest_checkpoint(tmp_path / "out" / "fractals_first-3")) == 2
    monkeypatch.undo()
    monkeypatch.setattr(recipe, "ROUNDS", 1)
    monkeypatch.setattr(recipe, "TRIAL", 1)
    options = recipe.parse(words)
    costs = recipe.cost(options, {"muon": recipe.base(options)})
    assert 0 < costs["muon"] < 5
    assert recipe.cost(options, {}) == costs
    later = recipe.cost(options, {"muon": recipe.base(options), "all": recipe.base(options)})
    assert later["muon"] == costs["muon"]
    assert later["all"] > 0
