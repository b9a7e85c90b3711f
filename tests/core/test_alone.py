"""core trains where only torch, timm, accelerate, numpy and safetensors are installed.

Kept weights open with even less.
"""

import os
import subprocess
import sys
from pathlib import Path

from core import create_backbone
from core.models.weights.keep import keep

ROOT = Path(__file__).resolve().parents[2]
MISSING = "numba matplotlib onnx onnxruntime tyro mmpose mmcv mmengine open3d datasets rich "
MISSING += "tensorboard cv2 hotcoco pycocotools"
# and what opening kept weights does without
TRAINING = "timm accelerate yaml PIL torchvision huggingface_hub"
PROGRAM = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        absent = name.split(".")[0] in missing
        return None if absent else self.finder.find_spec(name, path, target)

folder, kept, always, training = sys.argv[1:]
missing = {*always.split(), *training.split()}
sys.meta_path = [Without(finder) for finder in sys.meta_path]
import core, torch
from core.models.weights import names
from pathlib import Path

names.FOLDER = Path(kept)
mixer = core.create_backbone("mixer_c16_l1_p8", (16, 24), weights="photos")
print(core.list_weights()[0].name, *mixer(torch.zeros(1, 3, 16, 24)).shape)

missing = set(always.split())
from tests.core.toy import toy_config, train

assert "timm" not in sys.modules, "importing timm takes seconds"
core.create_backbone("mixer_c16_l1_p8", (16, 24))(torch.zeros(1, 3, 16, 24))
run = train(toy_config(folder, steps=3, ema=0.9, trackers=("tensorboard",)))
print("done", run.done)
"""


def test_core_runs_where_the_rest_is_not_installed(tmp_path):
    network = create_backbone("mixer_c16_l1_p8", (16, 24)).save_pretrained(tmp_path / "network")
    keep(network, "photos", "Nothing.", "None.", out=tmp_path / "kept")
    folders = [str(tmp_path / "run"), str(tmp_path / "kept")]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *folders, MISSING, TRAINING],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "ACCELERATE_USE_CPU": "1"},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("photos 1 6 16\n")
    assert done.stdout.endswith("done 3\n")
