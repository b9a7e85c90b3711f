"""What scripts do when they are started, whatever they are about."""

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

script, apps = sys.argv[1:]
sys.path[0] = os.path.dirname(script)  # as `python SCRIPT` has it
sys.meta_path.insert(0, Watch())
runpy.run_path(script, run_name="script")
for name, module in list(sys.modules.items()):
    file = getattr(module, "__file__", None) or ""
    assert name.startswith("apps") or not file.startswith(apps), (name, file)
"""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports(script):
    """OpenMP's threads, if they spin, take the cores of the loader's processes.

    And no module of an app stands in for a library, as apps/pose/mmpose would from the script's
    folder.
    """
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    words = [sys.executable, "-c", PROGRAM, str(script), str(ROOT / "apps")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "torch comes after the setting" in done.stdout
