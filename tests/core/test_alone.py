"""core trains where only torch, timm, accelerate, numpy and safetensors are installed."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MISSING = "numba matplotlib onnx onnxruntime tyro mmpose mmcv mmengine open3d datasets rich "
MISSING += "tensorboard cv2 hotcoco pycocotools"
PROGRAM = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        absent = name.split(".")[0] in sys.argv[2].split()
        return None if absent else self.finder.find_spec(name, path, target)

sys.meta_path = [Without(finder) for finder in sys.meta_path]
import core, torch
from tests.core.toy import toy_config, train

assert "timm" not in sys.modules, "importing timm takes seconds"
core.create_backbone("mixer_c16_l1_p8", (16, 24))(torch.zeros(1, 3, 16, 24))
run = train(toy_config(sys.argv[1], steps=3, ema=0.9, trackers=("tensorboard",)))
print("done", run.done)
"""


def test_core_runs_where_the_rest_is_not_installed(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "run"), MISSING],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "ACCELERATE_USE_CPU": "1"},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("done 3\n")
