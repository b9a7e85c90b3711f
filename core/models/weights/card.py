"""The model card of a saved backbone: what it is, how to open it, and the record of its run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from core.checkpoints import averaged_weights, find_checkpoint, read_info, weights_file
from core.files import json_lines
from core.models.shapes import times
from core.models.weights.reading import read_stored
from core.tables import Table

# Rows of about.jsonl, in this order; what a record lacks is left out.
ABOUT = ("from_step", "started", "command", "commit", "python", "torch", "processes", "hardware")

USE = """\
```python
from core import load_backbone

backbone = load_backbone("hub:<user>/<name>")  # this repository, or a folder with its files
tokens = backbone(images)  # {images} -> {tokens}
maps = backbone.feature_map(images)  # {maps}
```

Images have values in [0, 1], less the mean {mean}, divided by the standard deviation {std}
(`backbone.normalization`). `core` is the library that wrote this folder.
"""


def model_card(backbone: nn.Module, run: str | Path | None = None) -> str:
    """README.md for the Hub: front matter, code to load it, and what the run's record says.

    The run is that of `run` (its folder, or a checkpoint in it), else the one that
    `load_backbone` read the weights from. Every figure is the record's: metrics are called those
    of these weights only where the weights still equal the checkpoint. It quotes the command and
    the settings with their paths. Raises InputError where `run` holds no checkpoint.
    """
    origin = find_checkpoint(run) if run else Path(getattr(backbone, "origin", "") or ".")
    parts = [front_matter(backbone), f"# A {type(backbone).__name__} backbone", _what(backbone)]
    parts += ["## Use", USE.format(**shapes(backbone))]
    record = record_of(origin)
    if (origin / "config.json").is_file() and record.is_file():
        parts += training(backbone, origin, record)
    elif origin.name:
        parts += ["## Weights", f"Read from {code(origin.name)}, by `core.load_backbone`."]
    return chapters(parts)


def chapters(parts: Iterable[str]) -> str:
    """A document of these paragraphs and headings."""
    return "\n\n".join(part.strip() for part in parts) + "\n"


def record_of(checkpoint: Path) -> Path:
    """The settings of the run that a checkpoint is of."""
    return checkpoint.parent.parent / "config.yaml"


def front_matter(
    backbone: nn.Module, license: str = "apache-2.0", task: str = "image-feature-extraction"
) -> str:
    """What the Hub reads of a card. A model of timm has timm's license."""
    kind = type(backbone).__name__
    tags = {"Mixer": ["mlp-mixer"], "TimmBackbone": ["timm"]}.get(kind, [kind.lower()])
    timm = getattr(getattr(backbone, "model", None), "pretrained_cfg", None) or {}
    fields = {
        "library_name": "mixer-apps",
        "license": timm.get("license", license),
        "pipeline_tag": task,
        "tags": [*tags, "backbone", "pytorch"],
    }
    return f"---\n{_dump(fields)}---"


def _what(backbone: nn.Module) -> str:
    parameters = sum(p.numel() for p in backbone.parameters())
    return (
        f"Weights of an image backbone without a head, {parameters:,} parameters, for images of "
        f"{times(backbone.image_size)} pixels (height x width), a grid of {times(backbone.grid)}.\n"
        f"Its architecture, as in `config.json`:\n\n{architecture(backbone)}\n\n"
        "The license above is that of the library; see whether the data that the weights were "
        "trained on allow it."
    )


def architecture(backbone: nn.Module) -> str:
    """The description of a network, as yaml."""
    return _yaml(json.loads(json.dumps(backbone.describe())))


def shapes(backbone: nn.Module) -> dict[str, str]:
    """What the code of a card says of a network: its images, its tokens and maps, in words."""
    (height, width), (h, w), channels = backbone.image_size, backbone.grid, backbone.num_features
    mean, std = (list(values) for values in backbone.normalization)
    return {
        "images": f"(B, {len(mean)}, {height}, {width})",
        "tokens": f"(B, {h * w}, {channels})",
        "maps": f"(B, {channels}, {h}, {w})",
        "mean": str(mean),
        "std": str(std),
    }


def training(backbone: nn.Module, checkpoint: Path, record: Path) -> list[str]:
    """The chapters that a run's folder fills; record: its config.yaml."""
    from core.config import read_yaml  # here, so that weights open where yaml is not installed

    same = _unchanged(backbone, checkpoint)
    average = checkpoint / weights_file("model", ema=True)
    averaged = " (the moving average)" if average.is_file() else ""
    words = f"The weights are those of checkpoint `{checkpoint.name}`{averaged} of the run below."
    if not same:
        words = (
            f"The weights began as those of checkpoint `{checkpoint.name}`{averaged} of the run "
            "below and **were changed since**: its metrics are not theirs."
        )
    config = read_yaml(record)
    starts = [_start(row) for row in json_lines(record.with_name("about.jsonl"))]
    parts = ["## Training", words, *starts]
    if "data" in config:
        parts += ["Data:", _yaml(config.pop("data"))]
    parts += ["Settings:", _yaml(config)]
    metrics = _metrics(checkpoint, record.with_name("metrics.jsonl"), config.get("run", {}), same)
    return [*parts, "## Metrics", metrics]


def _unchanged(backbone: nn.Module, checkpoint: Path) -> bool:
    """Whether the backbone (or a network without one) still holds what the checkpoint does."""
    mine, saved = backbone.state_dict(), load_file(averaged_weights(checkpoint))
    if mine.keys() != saved.keys() and "backbone" in read_info(checkpoint):
        saved = read_stored(checkpoint).state
    return mine.keys() == saved.keys() and all(
        mine[name].dtype == value.dtype and torch.equal(mine[name].cpu(), value)
        for name, value in saved.items()
    )


def _start(row: dict) -> str:
    """A run that was resumed has one of these for each start."""
    lines = [f"- {name.replace('_', ' ')}: {code(row[name])}" for name in ABOUT if name in row]
    return "\n".join(lines)


def _metrics(checkpoint: Path, metrics: Path, settings: dict, same: bool) -> str:
    """A table: one column each for the checkpoint, the last evaluation and the best one."""
    rows = [(row["step"], _evaluated(row)) for row in json_lines(metrics) if _evaluated(row)]
    columns = {}
    if (info := read_info(checkpoint)).get("metrics"):
        whose = "these weights" if same else "the checkpoint, before the change"
        columns[f"{whose} (step {info['step']})"] = info["metrics"]
    if rows:
        columns[f"last evaluation (step {rows[-1][0]})"] = rows[-1][1]
    scored = [row for row in rows if settings.get("best") in row[1]]
    if scored:
        choose = max if settings["best_is"] == "max" else min
        step, best = choose(scored, key=lambda row: row[1][settings["best"]])
        columns[f"best {settings['best']} (step {step})"] = best
    if not columns:
        return "The record holds no evaluation."
    names = dict.fromkeys(name for values in columns.values() for name in values)
    rows = [[name, *(values.get(name) for values in columns.values())] for name in names]
    return Table("", ["metric", *columns], rows, form="{:.6g}").markdown()


def _evaluated(row: dict) -> dict:
    return {k.removeprefix("eval/"): v for k, v in row.items() if k.startswith("eval/")}


def code(value: Any) -> str:
    """A value as it is, on one line: what is in it is no Markdown and no HTML."""
    text = " ".join(str(value).split())
    fence = "`" * (_longest_ticks(text) + 1)
    pad = " " if text[:1] == "`" or text[-1:] == "`" else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _yaml(values) -> str:
    text = _dump(values)
    fence = "`" * max(3, _longest_ticks(text) + 1)
    return f"{fence}yaml\n{text}{fence}"


def _longest_ticks(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _dump(values) -> str:
    import yaml  # here, so that weights open where it is not installed

    return yaml.safe_dump(values, sort_keys=False)
