"""A run on one page."""

import html
import json
import re
from urllib.parse import unquote

import pytest
from PIL import Image

from core import InputError
from core.app.overview import SHOWN, write_overview

START = {
    "from_step": 0,
    "command": "apps/pose/train.py demo --run.folder <here>",
    "commit": "",
    "hardware": "2 CPU cores",
    "started": "2026-01-02T03:04:05+0000",
}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "a & b"
    folder.mkdir()
    (folder / "about.jsonl").write_text(json.dumps(START) + '\n{"cut')
    rows = [{"step": step, "loss": 1 / step} for step in (1, 2, 3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_page_of_what_is_there(run):
    text = write_overview(run).read_text()
    assert "apps/pose/train.py demo --run.folder &lt;here&gt;" in text
    assert "a &amp; b" in text
    assert "commit" not in text
    assert f"python apps/pose/predict.py '{run}' FILE" in html.unescape(text)
    assert "Figures" not in text
    assert "Predictions" not in text
    assert (run / "pictures" / "curves.png").is_file()


def test_figures_and_predictions_evenly(run):
    figures = {"generator": {"AP": 0.5}, "median": {"AP": 0.25}}
    (run / "eval.json").write_text(json.dumps({"data": "val.json", "figures": figures}))
    (run / "predictions").mkdir()
    for name in ("sheet", *(f"a #{i}%" for i in range(2 * SHOWN))):
        Image.new("RGB", (4, 4)).save(run / "predictions" / f"{name}.png")
    text = write_overview(run).read_text()
    assert "<tr><td>generator.AP</td><td>0.5</td></tr>" in text
    assert "<tr><td>median.AP</td><td>0.25</td></tr>" in text
    shown = re.findall('src="(predictions/[^"]*)"', text)
    assert len(set(shown)) == SHOWN
    assert "predictions/sheet.png" not in shown
    assert all((run / unquote(place)).is_file() for place in shown)


def test_what_kept_networks_made(run):
    for app in ("pose", "crossview"):
        (run / "kept" / app).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(run / "kept" / app / "one.png")
    text = write_overview(run).read_text()
    assert re.findall('src="(kept/[^"]*)"', text) == ["kept/crossview/one.png", "kept/pose/one.png"]


def test_without_figures_and_beside_other_scripts(tmp_path):
    for command in ("benchmarks/recipe.py --steps 3", "core/pretrain.py photos"):
        (tmp_path / "about.jsonl").write_text(json.dumps({"command": command}))
        text = write_overview(tmp_path).read_text()
        assert "Curves" not in text
        assert "eval.py" not in text
        assert ("predict.py" in text) == command.startswith("core")


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"is no folder of a run"):
        write_overview(tmp_path)
    assert not list(tmp_path.iterdir())
