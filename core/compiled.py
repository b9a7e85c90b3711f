"""numba's `njit`, with a place for what it compiles where its usual ones cannot be written.

These are `__pycache__` beside the code, then the user's cache. A package that an administrator has
installed, used by somebody without a home (a container, a scheduler), has neither: compiled code
then lies in a temporary folder until the process ends. Its workers find it there.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numba
from numba import njit as njit


def usual_places() -> list[Path]:
    """Where numba looks for room, unless NUMBA_CACHE_DIR is set."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return [Path(__file__).parent / "__pycache__", Path(home, "numba")]


def keep_compiled(places: Iterable[Path]) -> None:
    """Let numba write to a temporary folder, unless one of these can be written to."""
    if numba.config.CACHE_DIR or any(map(_can_be_written, places)):
        return
    folder = tempfile.mkdtemp(prefix="numba-")  # nobody else can put code there
    atexit.register(_remove, folder, os.getpid())
    os.environ["NUMBA_CACHE_DIR"] = numba.config.CACHE_DIR = folder


def _can_be_written(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _remove(folder: str, process: int) -> None:
    if os.getpid() == process:  # not a worker that was forked
        shutil.rmtree(folder, ignore_errors=True)


keep_compiled(usual_places())
