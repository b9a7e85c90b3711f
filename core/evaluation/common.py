"""What the evaluations share: the backbone and the batch on the command line, and bad images."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from core.data.loading import seed_everything
from core.models.backbone import create_backbone
from core.models.building import load_backbone
from core.ranges import Count, Counts
from core.sizes import times

DEFAULT_BACKBONE = "mixer_s16"  # where neither a name nor weights are given


@dataclass(frozen=True)
class BackboneConfig:
    """A backbone: by name, by what a file or folder holds, or both."""

    RENAMED: ClassVar[dict[str, str]] = {"name": "backbone"}

    # mixer_b16, s2mlp_wide, convmlp_s, timm:<model>, ...; empty: what the weights hold
    backbone: str = ""
    # height and width in pixels; empty: 224, or without a name what the weights were trained at
    image_size: Counts = ()
    # a file, folder or run; a name (`python -m core.models.weights` lists them); "timm";
    # empty: random weights
    weights: str = ""

    @property
    def label(self) -> str:
        """The model in a table's row or a plot's legend."""
        words = (self.backbone, self.weights, times(self.image_size))
        return " ".join(word for word in words if word)


@dataclass(frozen=True)
class EvalConfig:
    """How an evaluation goes through its images."""

    # images at a time, of each process
    batch_size: Count = 64


def open_backbone(config: BackboneConfig) -> nn.Module:
    """The backbone of a configuration, in evaluation mode. Without name and weights: mixer_s16.

    Random weights are the same in every process and run.
    """
    seed_everything(0)
    if config.weights and not config.backbone:
        return load_backbone(config.weights, image_size=config.image_size or None).eval()
    name, size = config.backbone or DEFAULT_BACKBONE, config.image_size or 224
    return create_backbone(name, size, weights=config.weights or None).eval()


def report_bad(path: str, reason: str) -> None:
    """Name an image that is left out: `on_bad` of a loader, on whichever process meets it."""
    print(f"left out: {path}: {reason}", file=sys.stderr, flush=True)
