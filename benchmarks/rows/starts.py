"""From the start of a process to what was asked for: an import, a forward pass, a first step.

The kept network stands beside timm's of the same sizes with random weights, which reads nothing
(create_model has no name for these sizes: the class itself, which spares timm the look-up).
`import torch` alone says how much of both is PyTorch's own. A run's first step is that of the
`debug` preset of each app, its embedded data drawn on the way, beside an earlier checkout.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.rows.pairs import ROOT, Row, Settings, alone, costs, process, processes_in_turn
from core.profiling.timing import Work

OURS = """
import torch
from core import create_backbone
network = create_backbone("mixer_c256_l8_p8", 64, weights="photos").eval()
with torch.inference_mode():
    network(torch.zeros(1, 3, 64, 64))
"""
TIMMS = """
import timm, torch
sizes = {"embed_dim": 256, "num_blocks": 8, "patch_size": 8, "img_size": 64, "num_classes": 0}
network = timm.models.mlp_mixer.MlpMixer(**sizes).eval()
with torch.inference_mode():
    network(torch.zeros(1, 3, 64, 64))
"""
FIRST_STEP = """
import os, runpy, sys
from core.training.run import Run
Run.step = lambda *_: os._exit(0)
script, *words = sys.argv[1:]
sys.argv = [script, *words]
runpy.run_path(script, run_name="__main__")
sys.exit("no step was taken")
"""


def imports(settings: Settings) -> Iterator[Row]:
    """`import core` and the first forward pass, beside timm's; `import torch` beside both."""
    programs = {
        "import core": "import core",
        "from core import Mixer": "from core import Mixer",
        "import timm": "import timm",
        "import torch": "import torch",
        "kept weights, first forward": OURS,
        "timm's, first forward": TIMMS,
    }
    works = {name: process(name, ["-c", program]) for name, program in programs.items()}
    processes_in_turn(settings, list(works.values()))
    core, mixer, timm, torch, ours, timms = works.values()
    yield costs(Row("import core", "import timm", 0.5), core, timm)
    yield costs(Row("from core import Mixer", "import timm", 0.5), mixer, timm)
    yield costs(Row("from core import Mixer", "import torch"), mixer, torch)
    yield costs(Row("kept weights, first forward", "timm's", 0.5), ours, timms)
    yield costs(Row("timm's, first forward", "import torch"), timms, torch)


def first_steps(settings: Settings) -> Iterator[Row]:
    """Of each app; without an earlier checkout the seconds alone."""
    apps = sorted(path.parent.name for path in ROOT.glob("apps/*/train.py"))
    for app in apps[-1:] if settings.smallest else apps:
        with tempfile.TemporaryDirectory() as folder:
            what = f"apps/{app}: start to the first step of debug"
            row = Row(what, "before", 0.5, at_least=False)
            ours = _first_step("ours", app, Path(folder, "ours"), ROOT)
            if not settings.before:
                processes_in_turn(settings, [ours])
                yield alone(row, ours)
                continue
            before = _first_step("before", app, Path(folder, "before"), settings.before)
            processes_in_turn(settings, [ours, before])
            yield costs(row, ours, before)


def _first_step(name: str, app: str, folder: Path, checkout: str | Path) -> Work:
    """Its data lies in the folder of its side, and is drawn in the first, unmeasured start."""
    folder.mkdir()
    script = Path(checkout, f"apps/{app}/train.py")
    words = ["-c", FIRST_STEP, script, "debug"]
    return process(name, words, folder=folder, checkout=str(checkout))
