"""The model card of a reconstruction network that is kept by a name."""

from __future__ import annotations

from pathlib import Path

from apps.pointcloud.models.base import Network
from core.models.weights.card import architecture, chapters, front_matter
from core.models.weights.evaluations import without_folders
from core.models.weights.kept_card import data_and_limits, measured, precision
from core.models.weights.names import About

USE = """\
```bash
python apps/pointcloud/predict.py {name} scan.ply
python apps/pointcloud/eval.py {name} --suite embedded
```
"""


def cloud_card(name: str, network: Network, about: About, checkpoint: Path) -> str:
    """README.md: use, data and terms, limits, figures, and the record of the run.

    network: before its rounding. Absolute paths in the record lose their folders.
    """
    front = front_matter(network, about.license, "other")
    parts = [front, f"# {name}: reconstruction of point clouds", _what(network), "## Use", USE]
    parts = [part.replace("{name}", name) for part in parts]
    parts += [*data_and_limits(about), "## Precision", precision(about, "place")]
    return without_folders(chapters([*parts, *measured(network, about, checkpoint)]))


def _what(network: Network) -> str:
    parameters = sum(p.numel() for p in network.parameters())
    return (
        "A sparse, noisy cloud in, a dense and clean one out, whatever its unit; "
        f"{parameters:,} parameters. As in `config.json`:\n\n{architecture(network)}"
    )
