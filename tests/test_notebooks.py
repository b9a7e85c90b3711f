"""The notebooks, run: their cells in turn, in this process and a folder of its own."""

import json
import os
from pathlib import Path

import pytest

pytest.importorskip("mmpose")
pytest.importorskip("plotly")

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
APPS = sorted(path.parent.name for path in ROOT.glob("apps/*/train.py"))


def cells(path, kind):
    """The sources of all cells of a kind, "code" or "markdown"."""
    found = json.loads(path.read_text())["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == kind]


def test_every_app_has_one():
    assert [path.stem for path in NOTEBOOKS] == APPS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_keeps_no_outputs(path):
    for cell in json.loads(path.read_text())["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_top_to_bottom(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)  # data is drawn in this process, with no others
    names = {}
    for number, source in enumerate(cells(path, "code"), 1):
        exec(compile(source, f"{path.name}, cell {number}", "exec"), names)
    made = Path(os.getcwd())
    assert made.parent == tmp_path, "it writes nowhere else"
    assert list(made.rglob("*.png")) or list(made.rglob("*.jpg"))
