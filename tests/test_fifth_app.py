"""The app of docs/fifth_app: as short as its page says, and as whole as the four."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.test_every_app import check_app, run

ROOT = Path(__file__).resolve().parents[1]
FIFTH = ROOT / "docs" / "fifth_app"


@pytest.fixture
def app(tmp_path):
    """(entry points, PYTHONPATH) of a copy that lies as the page says."""
    folder = tmp_path / "project" / "apps" / "upright"
    shutil.copytree(FIFTH, folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "apps" / "__init__.py", folder.parent)
    return folder, os.pathsep.join([str(folder.parents[1]), str(ROOT)])


def test_its_length():
    lines = [line for path in FIFTH.glob("*.py") for line in path.read_text().splitlines()]
    assert len([line for line in lines if line.strip()]) <= 150


def test_it_is_an_app(app, tmp_path):
    check_app(app[0], tmp_path, path=app[1])


def test_it_learns_and_turns_pictures_of_ones_own(app, tmp_path):
    scripts, path = app
    words = ["demo", "--run.folder", "run", "--run.trackers"]
    run(tmp_path, sys.executable, scripts / "train.py", *words, path=path)
    assert "top-1 1.000" in run(tmp_path, sys.executable, scripts / "eval.py", "run", path=path)
    upside_down = Image.new("RGB", (60, 40), (30, 60, 20))  # the ground
    upside_down.paste((200, 220, 250), (0, 15, 60, 40))  # the sky, below
    upside_down.save(tmp_path / "holiday.png")
    run(tmp_path, sys.executable, scripts / "predict.py", "run", "holiday.png", path=path)
    picture = Image.open(tmp_path / "run/predictions/holiday.png")
    assert picture.size == (60, 40)
    assert picture.getpixel((30, 2)) == (200, 220, 250)
