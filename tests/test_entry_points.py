"""What training scripts do when they are started, whatever they train."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = [ROOT / "core/pretrain.py", *sorted(ROOT.glob("apps/*/train.py"))]
PROGRAM = """
import os, runpy, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            assert os.environ.get("OMP_WAIT_POLICY") == "PASSIVE", "torch came first"
            print("torch comes after the setting")

sys.meta_path.insert(0, Watch())
runpy.run_path(sys.argv[1], run_name="script")
"""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_openmp_is_told_to_wait_passively_before_torch_loads_it(script):
    """Spinning threads take the cores of the loader's processes."""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    words = [sys.executable, "-c", PROGRAM, str(script)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "torch comes after the setting" in done.stdout
