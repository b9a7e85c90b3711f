"""What the evaluations share: the model and images on the command line, and where results go."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from core.config import to_plain
from core.data.loading import seed_everything
from core.models.backbone import create_backbone
from core.models.building import load_backbone


@dataclass(frozen=True)
class ModelConfig:
    """A backbone: by name, by what a file or folder holds, or both."""

    # mixer_b16, s2mlp_wide, convmlp_s, timm:<model>, ...; empty: what the weights hold
    name: str = ""
    # height and width in pixels; empty: what the weights were trained at, else 224
    image_size: tuple[int, ...] = ()
    # a file, folder or run; a named official set (imagenet1k, ...); "timm"; empty: random weights
    weights: str = ""

    @property
    def label(self) -> str:
        """The model in a table's row or a plot's legend."""
        size = "x".join(map(str, self.image_size))
        return " ".join(word for word in (self.name, self.weights, size) if word)


def open_backbone(config: ModelConfig) -> nn.Module:
    """The backbone of a ModelConfig, in evaluation mode. Without name and weights: mixer_s16.

    Random weights are the same in every process and run.
    """
    seed_everything(0)
    if config.weights and not config.name:
        return load_backbone(config.weights, image_size=config.image_size or None).eval()
    name, size = config.name or "mixer_s16", config.image_size or 224
    return create_backbone(name, size, weights=config.weights or None).eval()


def save_record(folder: str | Path, name: str, record: Any) -> Path:
    """Write `record` (dataclasses, dicts, numbers) to folder/name.json, atomically."""
    path = Path(folder) / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(to_plain(record), indent=2) + "\n")
    os.replace(partial, path)
    return path


def report_bad(path: str, reason: str) -> None:
    """Name an image that is left out: `on_bad` of a loader, on whichever process meets it."""
    print(f"left out: {path}: {reason}", file=sys.stderr, flush=True)
