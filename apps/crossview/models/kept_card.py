"""The model card of a cross-view generator that is kept by a name."""

from __future__ import annotations

from pathlib import Path

from apps.crossview.models.network import Generator
from core.models.weights.card import architecture, chapters, front_matter
from core.models.weights.evaluations import without_folders
from core.models.weights.kept_card import data_and_limits, measured, precision
from core.models.weights.names import About
from core.sizes import times

USE = """\
```bash
python apps/crossview/predict.py {name} aerial.png{map}
python apps/crossview/eval.py {name}
```
"""


def view_card(name: str, network: Generator, about: About, checkpoint: Path) -> str:
    """README.md: use, data and terms, limits, figures, and the record of the run.

    network: before its rounding. Absolute paths in the record lose their folders.
    """
    trained = getattr(network.first, "backbone", network)
    front = front_matter(trained, about.license, "image-to-image")
    use = USE.replace("{map}", " --map street_map.png" if network.needs_map else "")
    parts = [front, f"# {name}: the other view", _what(network), "## Use", use]
    parts = [part.replace("{name}", name) for part in parts]
    parts += [*data_and_limits(about), "## Precision", precision(about, "value")]
    return without_folders(chapters([*parts, *measured(network, about, checkpoint)]))


def _what(network: Generator) -> str:
    parameters = sum(p.numel() for p in network.parameters())
    sees = "and a map of the wanted view" if network.needs_map else "and nothing else"
    return (
        f"A picture of {times(network.size)} pixels (height x width) {sees} gives the other view; "
        f"{parameters:,} parameters. As in `config.json`:\n\n{architecture(network)}"
    )
