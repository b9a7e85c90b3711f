"""Compiled code has a place, also where the checkout and the home cannot be written."""

import os

import numba
import pytest

from core.compiled import keep_compiled, usual_places


@pytest.fixture
def untold(monkeypatch):
    """As where nobody has set NUMBA_CACHE_DIR."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")


def test_a_place_that_can_be_written_is_left_to_numba(tmp_path, untold):
    (tmp_path / "file").touch()
    keep_compiled([tmp_path / "file" / "no", tmp_path / "home" / "numba"])
    assert numba.config.CACHE_DIR == os.environ["NUMBA_CACHE_DIR"] == ""


def test_without_one_it_is_a_folder_of_this_process(tmp_path, untold, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    keep_compiled([tmp_path / "file" / "code", tmp_path / "file" / "home"])
    folder = numba.config.CACHE_DIR
    assert os.environ["NUMBA_CACHE_DIR"] == folder  # its workers' too
    assert os.path.dirname(folder) == str(tmp_path)
    assert os.stat(folder).st_mode & 0o77 == 0, "nobody else may put code there"


def test_the_usual_places(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    code, home = map(str, usual_places())
    assert code.endswith("core/__pycache__")
    assert home == "/somewhere/numba"
