"""The tutorials of docs/tutorials, run: their commands on a few tiny files, their Python as it is.

What a page calls PICTURES, paintings.csv, CLOUDS, ... is made here, and a training's words are cut
down by SMALL; everything else is run as it stands on the page. The other tutorials:
own_keypoints.md in tests/apps/pose/test_own_keypoints.py, fifth_app in tests/test_fifth_app.py,
scale.md in tests/core/training/test_machines.py and tests/core/pretraining.
"""

import csv
import importlib
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs/tutorials"
FEW = "--run.batch-size 4 --run.log-every 1 --run.schedule.warmup 0 --run.trackers"
STEPS = f"--run.steps 2 {FEW}"
NETWORK, TINY = "mixer_c256_l8_p8", "mixer_c16_l1_p8"  # of the pages, and here
SMALL = {  # by the first words of a command
    "core/pretrain.py unlabelled": f"{STEPS} --model.backbone {TINY} --train.on-device 32"
    " --model.sizes 16 32 --run.ema 0 --train.workers 0",
    "core/pretrain.py folder": f"--run.epochs 1 {FEW} --train.workers 0 --val.workers 0",
    "core/eval.py fewshot": "--shots 1 --seeds 1 --out fewshot --train.workers 0 --test.workers 0",
    "apps/style/train.py --model": f"{STEPS} --embedded.train 2 --embedded.val 1 --data.workers 0",
    "apps/style/train.py": f"{STEPS} --data.workers 0 --run.precision no",
    "apps/style/probe.py": "--data.workers 0",
    "apps/pointcloud/train.py": f"{STEPS} --data.workers 0 --data.outputs 64 --corruption.points 64"
    " --model.channels 16 --model.hourglasses 1 --model.voxel-length 0.25 --model.depth 1",
    "apps/crossview/train.py": f"{STEPS} --data.workers 0 --data.size 32 32 --model.width 4"
    " --model.blocks 1 --model.depth 1 --model.selection-width 4 --model.candidates 2",
}


def picture(path, seed, size=(32, 32)):
    """A file of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def cloud(path, seed, count=200):
    """A sphere of points."""
    path.parent.mkdir(parents=True, exist_ok=True)
    points = np.random.default_rng(seed).normal(size=(count, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    if path.suffix == ".ply":
        names = "".join(f"property float {axis}\n" for axis in "xyz")
        header = f"ply\nformat ascii 1.0\nelement vertex {count}\n{names}end_header\n"
        np.savetxt(path, points, header=header.rstrip("\n"), comments="")
    else:
        np.savetxt(path, points)


def make_pretrain():
    for i in range(6):
        picture(Path(f"PICTURES/{'ab'[i % 2]}/{i}.png"), i)
        for split in ("train", "val"):
            picture(Path(f"LABELLED/{split}/{'ab'[i % 2]}/{i}.png"), i)


def make_paintings():
    rows = [("path", "class", "split")]
    for i in range(12):
        picture(Path(f"p/{i}.jpg"), i)
        rows.append((f"p/{i}.jpg", "ab"[i % 2], "val" if i > 7 else "train"))
    with open("paintings.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    picture(Path("painting.jpg"), 99)


def make_scans():
    for i in range(4):
        cloud(Path(f"CLOUDS/{'val' if i > 2 else 'train'}/{i}.xyz"), i)
    cloud(Path("scan.ply"), 9)


def make_pairs():
    for i in range(10):
        for side in ("aerial", "ground"):
            picture(Path(f"PAIRS/{side}/{i:04d}.png"), i)
    picture(Path("aerial.png"), 3)


def fences(page, language):
    """The code blocks of a page."""
    return re.findall(rf"```{language}\n(.*?)```", (PAGES / f"{page}.md").read_text(), re.S)


def commands(page):
    """Script or module, and the words behind it."""
    for line in "".join(fences(page, "bash")).replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words:
            assert words[0] == "python", line
            yield words[1:]


def run(script, *words):
    """A script of ours, as it is typed, in this process."""
    line = " ".join([script, *words])
    small = next((more for start, more in SMALL.items() if line.startswith(start)), "")
    name = script.removesuffix(".py").replace("/", ".")
    # the kept weights are of the larger network
    words = line.replace(NETWORK, TINY).replace("--model.weights photos", "").split()[1:]
    sys.argv = [script, *words, *small.split()]
    importlib.import_module(name).main()


@pytest.mark.parametrize(
    ("page", "make", "results"),
    [
        ("pretrain", make_pretrain, ["runs/mine/checkpoints", "runs/mine_labelled/checkpoints"]),
        ("paintings", make_paintings, ["runs/paintings/eval.json", "runs/probe/probe.json"]),
        ("scans", make_scans, ["runs/scans/eval.json", "out/scan.ply", "out/scan.html"]),
        ("pairs", make_pairs, ["runs/pairs/eval.json", "runs/pairs/predictions/aerial.png"]),
    ],
)
def test_commands(page, make, results, tmp_path, monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    make()
    for words in commands(page):
        run(*words)
    for path in results:
        assert Path(path).exists(), path


def test_python_of_your_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in fences("your_project", "python"):
        exec(block, names)
    assert names["tokens"].shape == (2, 64, 256)
    assert [tuple(level.shape[:2]) for level in names["maps"]] == [(2, 256)] * 4
    assert names["again"].grid == (12, 8)
