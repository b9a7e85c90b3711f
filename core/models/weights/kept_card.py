"""The model card of weights that are kept by a name (`names.py`)."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from core.models.networks.mixer import Mixer
from core.models.shapes import times
from core.models.weights.card import (
    architecture,
    chapters,
    front_matter,
    record_of,
    shapes,
    training,
)
from core.models.weights.evaluations import without_folders
from core.models.weights.names import About, network_of
from core.models.weights.stored import Head
from core.tables import Table

BACKBONE = """\
```python
from core import create_backbone

backbone = create_backbone("{network}", {size}, weights="{name}")
tokens = backbone(images)  # {images} -> {tokens}
maps = backbone.feature_map(images)  # {maps}
```
"""
CLASSIFIER = """\
```python
from core.models.classifier import load_classifier

classifier = load_classifier("{name}", {size})
logits = classifier(images)  # {images} -> (B, {classes})
```
"""
PIXELS = """\
Images are RGB with values in [0, 1], less the mean {mean}, divided by the standard deviation {std}
(`backbone.normalization`). No network connection is needed, and no other library than torch, numpy
and safetensors.
"""


def kept_card(name: str, network: Mixer, about: About, head: Head | None, checkpoint: Path) -> str:
    """README.md: use, data and terms, limits, figures, and the record of the run.

    network: before its rounding, so that its run's metrics are its own. head: the one that is kept.
    Absolute paths in the record lose their folders: they are those of one machine.
    """
    kind = network_of(network.describe())
    parts = [front_matter(network, about.license), f"# {name}: {kind}"]
    classes = len(head["bias"]) if head else 0
    parts += [_what(network, classes), "## Use", *_use(name, network, classes)]
    parts += ["## Image sizes", _sizes(network, about)]
    parts += ["## Data", about.trained_on, f"Terms: {about.terms}"]
    parts += ["## Not for", _limits(network, about), "## Precision", precision(about)]
    return without_folders(chapters([*parts, *measured(network, about, checkpoint)]))


def measured(network: nn.Module, about: About, checkpoint: Path) -> list[str]:
    """The last chapters of every card: the record of the run, and what was evaluated afterwards.

    network: as `training` takes it, before its rounding.
    """
    parts = []
    if (record := record_of(checkpoint)).is_file():
        parts += training(network, checkpoint, record)
        parts.append("Measured before the weights were rounded.")
    if about.evaluations:
        parts += ["## Evaluations", *evaluation_tables(about)]
    return parts


def data_and_limits(about: About) -> list[str]:
    """The chapters of an app's card on what its network learnt from, and what it is not for."""
    parts = ["## Data", about.trained_on, f"Terms: {about.terms}"]
    if about.limits:
        parts += ["## Not for", "\n".join(f"- {limit}" for limit in about.limits)]
    return parts


def _what(network: Mixer, classes: int) -> str:
    parameters = sum(p.numel() for p in network.parameters())
    head = f"a head of {classes} classes" if classes else "no head"
    return (
        f"A Mixer of {parameters:,} parameters with {head}. Its architecture, as in "
        f"`config.json`:\n\n{architecture(network)}"
    )


def _use(name: str, network: Mixer, classes: int) -> list[str]:
    height, width = network.image_size
    words = shapes(network) | {
        "name": name,
        "network": network_of(network.describe()),
        "size": height if height == width else (height, width),
        "classes": classes,
    }
    snippets = [BACKBONE, CLASSIFIER, PIXELS] if classes else [BACKBONE, PIXELS]
    return [snippet.format(**words) for snippet in snippets]


def _sizes(network: Mixer, about: About) -> str:
    sizes = ", ".join(map(times, about.image_sizes))
    if network.any_size:
        takes = f"every multiple of its patch, {times(network.stride)}"
        return f"Trained at {sizes} pixels (height x width); it takes {takes}."
    return f"Trained at {sizes} pixels (height x width); another size resizes its token mixing."


def _limits(network: Mixer, about: About) -> str:
    """What was given, and what follows from how it was trained."""
    smallest, largest = min(about.image_sizes), max(about.image_sizes)
    span = times(smallest) if smallest == largest else f"{times(smallest)} to {times(largest)}"
    beyond = f"Image sizes other than {span}, unless measured: training saw none."
    return "\n".join(f"- {limit}" for limit in (*about.limits, beyond))


def precision(about: About, outputs: str = "feature") -> str:
    """What is stored, and what its rounding changes; outputs: what one of them is called."""
    return (
        f"Stored in {about.precision} and computed in float32. On noise, no {outputs} "
        f"differs from that of the unrounded weights by more than {about.rounding:.2g} of the "
        f"largest {outputs}."
    )


def evaluation_tables(about: About) -> list[str]:
    """A table for each file."""
    return [
        Table(title, ["figure", "value"], list(values.items()), form="{:.6g}").markdown()
        for title, values in about.evaluations.items()
    ]
