"""Every entry point given bad input (`table.py`): one line, status 2, and nothing left behind."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.training.files.checkpoint import remove_whole
from tests.bad_input.scene import build
from tests.bad_input.table import CASES, PROCESSES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder, and what it holds."""
    folder = build(tmp_path_factory.mktemp("scene"))
    return folder, everything(folder)


@pytest.fixture
def scene(built, monkeypatch):
    """The folder, as the current one. What a command changes in it fails its test, and is deleted,
    for the tests that follow."""
    folder, before = built
    monkeypatch.chdir(folder)
    yield folder
    after = everything(folder)
    for path in sorted(after.keys() - before.keys()):
        remove_whole(Path(path))
    assert after == before


def everything(folder):
    """Each path, and of files what is in them: size and time."""
    found = {}
    for place, folders, files in os.walk(folder):
        found |= dict.fromkeys((f"{place}/{name}" for name in folders), None)
        for name in files:
            state = os.lstat(f"{place}/{name}")
            found[f"{place}/{name}"] = (state.st_size, state.st_mtime_ns)
    return found


def check_words(status, printed, said):
    """One line is the error, for a person; argparse and tyro have a form of their own."""
    assert said, "what a case expects"
    assert status == 2, printed
    assert "Traceback" not in printed
    if "usage:" in printed or "╭" in printed:
        assert re.search(said, printed)
        return
    lines = printed.splitlines()
    (error,) = [line for line in lines if line.startswith("error: ")]
    assert len(error) < 1000, "for a person"
    assert re.search(said, " ".join(lines))


@pytest.mark.usefixtures("scene")
@pytest.mark.parametrize(("main", "words", "said"), CASES)
def test_bad_input_is_one_line_and_leaves_nothing(main, words, said, monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["main", *words.split()])
    with pytest.raises(SystemExit) as end:
        importlib.import_module(main).main()
    printed = capfd.readouterr()
    check_words(end.value.code, printed.out + printed.err, said)


@pytest.mark.parametrize(("main", "words", "said"), PROCESSES)
def test_as_a_process(main, words, said, scene):
    command = [sys.executable, "-m", main, *words.split()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "1"}
    done = subprocess.run(
        command, cwd=scene, env=environment, capture_output=True, text=True, timeout=120
    )
    check_words(done.returncode, done.stdout + done.stderr, said)
