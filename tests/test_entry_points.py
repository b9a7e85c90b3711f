"""What scripts do when they are started, whatever they are about."""

import os
import subprocess
import sys
import sysconfig
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = [ROOT / "core/pretrain.py", *sorted(ROOT.glob("apps/*/train.py"))]
FOLDERS = sorted({path.parent for path in ROOT.glob("apps/*/*.py")} - {ROOT / "apps"})
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

    And no module of an app stands in for a library.
    """
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    words = [sys.executable, "-c", PROGRAM, str(script), str(ROOT / "apps")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "torch comes after the setting" in done.stdout


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_nothing_beside_a_script_has_the_name_of_a_library(folder):
    """A script's own folder is first on sys.path: `import NAME` in any library would find it."""
    names = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
    names -= {"__init__", "__main__", "__pycache__"}
    assert "train" in names
    # not sys.path, to which other tests may have added folders
    elsewhere = [sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib")]
    libraries = {name: PathFinder.find_spec(name, elsewhere) for name in names}
    taken = {name: spec.origin for name, spec in libraries.items() if spec}
    assert not taken
    assert not names & set(sys.stdlib_module_names)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_scripts_find_the_real_mmpose(folder):
    pytest.importorskip("mmpose")
    spec = PathFinder.find_spec("mmpose", [str(folder), *sys.path])
    assert not Path(spec.origin).is_relative_to(ROOT / "apps")  # a .venv may lie in the checkout
