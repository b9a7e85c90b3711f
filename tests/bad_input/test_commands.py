"""Every entry point given bad input (`table.py`): one line, status 2, and nothing left behind."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.ranges import check_ranges
from core.training.checkpoint import remove_whole
from tests.bad_input.scene import build
from tests.bad_input.table import CASES, PROCESSES
from tests.core.test_ranges import plain_numbers

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return build(tmp_path_factory.mktemp("scene"))


def everything(folder):
    """Each path, and of files what is in them: size and time."""
    found = {}
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        found[str(path)] = (state.st_size, state.st_mtime_ns) if path.is_file() else None
    return found


@pytest.fixture
def before(scene):
    """What the folder holds; what a command leaves there is deleted, for the tests that follow."""
    state = everything(scene)
    yield state
    for path in sorted(everything(scene).keys() - state.keys()):
        remove_whole(Path(path))


def check_words(status, printed, said):
    """One line is the error, for a person; argparse and tyro have a form of their own."""
    assert status == 2, printed
    assert "Traceback" not in printed
    if "usage:" in printed or "╭" in printed:
        assert re.search(said, printed)
        return
    lines = printed.splitlines()
    (error,) = [line for line in lines if line.startswith("error: ")]
    assert len(error) < 1000, "for a person"
    assert re.search(said, " ".join(lines))


@pytest.mark.parametrize(("main", "words", "said"), CASES)
def test_bad_input_is_one_line_and_leaves_nothing(
    main, words, said, scene, before, monkeypatch, capfd
):
    monkeypatch.chdir(scene)
    monkeypatch.setattr(sys, "argv", ["main", *words.split()])
    with pytest.raises(SystemExit) as end:
        importlib.import_module(main).main()
    printed = capfd.readouterr()
    check_words(end.value.code, printed.out + printed.err, said)
    assert everything(scene) == before


@pytest.mark.parametrize(("main", "words", "said"), PROCESSES)
def test_as_a_process(main, words, said, scene, before):
    command = [sys.executable, "-m", main, *words.split()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "1"}
    done = subprocess.run(
        command, cwd=scene, env=environment, capture_output=True, text=True, timeout=120
    )
    check_words(done.returncode, done.stdout + done.stderr, said)
    assert everything(scene) == before


@pytest.mark.parametrize(
    "config",
    [
        "apps.crossview.config.CrossViewConfig",
        "apps.pointcloud.config.PointCloudConfig",
        "apps.pose.config.PoseConfig",
        "apps.style.config.StyleConfig",
    ],
)
def test_no_number_of_an_app_is_without_a_range(config):
    module, name = config.rsplit(".", 1)
    kind = getattr(importlib.import_module(module), name)
    assert set(plain_numbers(kind)) <= {"model.head_bias"}  # any number is a bias
    check_ranges(kind())
