"""benchmarks/all.py in its smallest form: the groups that start no process, and what is left.

Figures say nothing there; that every row has one does.
"""

import ast
import json
import sys
from dataclasses import asdict

import pytest

from benchmarks import all as speed
from benchmarks.rows import GROUPS
from benchmarks.rows.pairs import ROOT, Row, Settings, costs, faster, process, processes_in_turn
from core.errors import InputError
from core.profiling.timing import Work

SMALLEST = ("--smallest", "--threads", "1")


@pytest.mark.parametrize("name", ["hidden", "gan_step"])
def test_a_group_gives_its_rows(name, tmp_path):
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps({"group": name, "rows": []}))
    speed.measure(name, speed.parse([*SMALLEST, "--out", str(tmp_path)]))
    record = json.loads(path.read_text())
    assert record["machine"]["threads"] == 1
    assert record["rows"]
    for row in record["rows"]:
        assert not row["error"]
        assert row["low"] <= row["figure"] <= row["high"]
        assert isinstance(row["met"], bool)


def work(name, *rates):
    return Work(name, None, 1, rates=list(rates))


def test_ratios_are_of_rounds_and_costs_are_of_time():
    ours, theirs = work("ours", 2.0, 6.0, 4.0), work("theirs", 1.0, 2.0, 4.0)
    row = faster(Row("a", "b", 1.5), ours, theirs)
    assert (row.low, row.figure, row.high, row.met) == (1.5, 2.0, 2.5, True)
    row = costs(Row("a", "b", 0.4), ours, theirs)
    assert (row.figure, row.at_least, row.met) == (0.5, False, False)
    assert Row("a", "b").met is None
    failed = faster(Row("a", "b", 1.0), Work("ours", None, 1, error="no"), theirs)
    assert (failed.figure, failed.met, failed.error) == (None, None, "no")


def test_a_command_that_fails_says_why():
    works = [process("good", ["-c", "1"]), process("bad", ["-c", "raise SystemExit('no way')"])]
    good, bad = processes_in_turn(Settings(smallest=True), works)
    assert len(good.rates) == 1
    assert "no way" in bad.error


def test_the_table(tmp_path):
    row = Row("this", "that", 2.0, figure=1.0, low=0.5, high=1.5, sides={"ours": (3, 2, 4)})
    record = {"group": "pose", "busy_cores": 0.25, "rows": [asdict(row) | {"met": row.met}]}
    (tmp_path / "pose.json").write_text(json.dumps(record | {"error": "stopped after 1 minutes"}))
    page = speed.report(tmp_path)
    assert "| this | that | >= 2 | 1.000 | 0.500 to 1.500 | no | ours 3" in page
    assert "0.25 cores busy" in page
    assert "Not all of it: stopped after 1 minutes." in page


def test_other_work_on_the_machine_is_refused(monkeypatch):
    monkeypatch.setattr(speed.os, "getloadavg", lambda: (1.3, 0, 0))
    with pytest.raises(InputError, match=r"load average is 1\.3"):
        speed.run(speed.parse([]))
    with pytest.raises(InputError, match=r"no group 'pos'\. Did you mean pose"):
        speed.chosen("mixer,pos")


def test_a_group_that_takes_too_long_is_stopped(tmp_path, monkeypatch):
    script = tmp_path / "sleeps.py"
    script.write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(speed, "__file__", str(script))
    monkeypatch.setattr(sys, "argv", ["all.py"])
    options = speed.parse(["--threads", "1"])
    assert speed.apart("pose", options, 0.3) == "stopped after 0 minutes"


def test_every_group_has_its_function():
    """Read, not imported: that takes seconds."""
    for name, group in GROUPS.items():
        source = (ROOT / f"benchmarks/rows/{group.module}.py").read_text()
        functions = {n.name for n in ast.parse(source).body if isinstance(n, ast.FunctionDef)}
        assert group.function in functions, name
