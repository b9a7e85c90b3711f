"""The model card of a keypoint network that is kept by a name."""

from __future__ import annotations

from pathlib import Path

from apps.pose.models.network import PoseNet
from core.models.weights.card import architecture, chapters, front_matter
from core.models.weights.evaluations import without_folders
from core.models.weights.kept_card import data_and_limits, measured, precision
from core.models.weights.names import About
from core.sizes import times
from core.tables import Table

USE = """\
```bash
python apps/pose/predict.py {name} photo.jpg --detector FILE.onnx
python apps/pose/eval.py {name} --data.sets coco=FOLDER
python apps/pose/export.py {name} --output pose.onnx
accelerate launch apps/pose/train.py PRESET --model.weights {name}
```
"""


def pose_card(name: str, network: PoseNet, about: About, checkpoint: Path) -> str:
    """README.md: use, keypoints, data and terms, limits, figures, and the record of the run.

    network: before its rounding. Absolute paths in the record lose their folders.
    """
    front = front_matter(network.backbone, about.license, "keypoint-detection")
    parts = [front, f"# {name}: keypoints of people", _what(network), "## Use", USE]
    parts = [part.replace("{name}", name) for part in parts]
    parts += ["## Keypoints", _keypoints(network)]
    parts += [*data_and_limits(about), "## Precision", precision(about, "output")]
    return without_folders(chapters([*parts, *measured(network.backbone, about, checkpoint)]))


def _what(network: PoseNet) -> str:
    parameters = sum(p.numel() for p in network.parameters())
    return (
        f"Top-down: a crop of {times(network.config.image_size)} pixels (height x width) around a "
        f"person gives {len(network.keypoints)} keypoints by a {network.config.head} head; "
        f"{parameters:,} parameters. The backbone, as in `config.json`:\n\n"
        f"{architecture(network.backbone)}"
    )


def _keypoints(network: PoseNet) -> str:
    """A row for each: its number, mirror image and OKS sigma."""
    known = network.keypoints
    sigmas = known.sigmas or [None] * len(known)
    rows = [(i, name, known.names[known.swap[i]], sigmas[i]) for i, name in enumerate(known.names)]
    columns = ("", "keypoint", "mirrored", "sigma")
    return Table("", columns, rows, forms={"sigma": "{:.3f}"}).markdown()
