"""--help on one screen: read from the sources, so that it has to agree with what is imported."""

import dataclasses
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from core.help import changed_most, preset_lines

ROOT = Path(__file__).resolve().parents[2]
APPS = sorted(path.parent.name for path in ROOT.glob("apps/*/train.py"))
PRETRAINING = [f"core/pretraining/{n}.py" for n in ("presets", "photographs", "recipes")]
OF = {f"apps/{app}/train.py": ([f"apps/{app}/presets.py"], f"apps/{app}/config.py") for app in APPS}
OF["core/pretrain.py"] = (
    [*PRETRAINING, "core/pretraining/unlabelled/config.py"],
    "core/pretraining/config.py",
)
ROOM = "apps/pointcloud/classification"
OF["apps/pointcloud/classify.py"] = [f"{ROOM}/presets.py"], f"{ROOM}/config.py"
PROGRAM = """
import runpy, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        assert name not in ("torch", "tyro", "numpy"), name

script, *sys.argv[1:] = sys.argv[1:]
sys.argv[0] = script
sys.meta_path.insert(0, Watch())
runpy.run_path(script, run_name="__main__")
"""


@pytest.mark.parametrize("script", OF)
def test_it_lists_the_presets_and_real_settings(script):
    files, config = OF[script]
    module = importlib.import_module(script.removesuffix(".py").replace("/", "."))
    lines = [line for file in files for line in preset_lines(ROOT / file)]
    assert {name for name, _ in lines} == set(module.PRESETS)
    assert all(meaning for _, meaning in lines)
    assert lines[0][0] == next(iter(module.PRESETS))
    settings = changed_most(ROOT / config)
    assert len(settings) == 10
    for name, comment in settings:
        value = next(iter(module.PRESETS.values()))()
        for part in name.split("."):
            assert part in {field.name for field in dataclasses.fields(value)}, name
            value = getattr(value, part)
        assert comment, name


@pytest.mark.parametrize("words", [["--help"], ["debug", "-h"]])
def test_it_comes_before_anything_slow(words):
    script = str(ROOT / "apps/pose/train.py")
    command = [sys.executable, "-c", PROGRAM, script, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"usage: {script} [PRESET]" in done.stdout
    assert "--help-all" in done.stdout
    assert len(done.stdout.splitlines()) < 36


def test_an_inherited_field_and_comments_above(tmp_path):
    path = tmp_path / "config.py"
    path.write_text(
        "class Base:\n    # what the field\n    # is about\n    root: str = ''\n"
        "    lr: float = 1  # a\n"
        "class Part(Base):\n    pass\n"
        "class Whole:\n    part: Part = Part()\n"
        "CHANGED_MOST = ('part.root', 'part.lr')\n"
    )
    assert changed_most(path, ()) == [("part.root", "what the field is about"), ("part.lr", "a")]
