"""What the app's networks have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from apps.pointcloud.config import ModelConfig
from core.app.kept import KeptNetworks
from core.config import to_plain
from core.errors import InputError
from core.ranges import check_ranges


class Network(nn.Module):
    """Packed clouds (N, 3), (N,) to packed clouds {"points": (P, 3), "batch": (P,), ...}.

    Raises InputError where a setting is out of its range.
    """

    SAID_ANEW: ClassVar = ("model.smoothing",)  # what an evaluation may say of a trained network
    KEPT: ClassVar = KeptNetworks(Path(__file__).parents[1] / "weights", "scans")

    def __init__(self, config: ModelConfig):
        super().__init__()
        check_ranges(config, "model.")
        self.config = config
        # of the training inputs (`spacing.spacing_of`), in their unit; 0 where it is not known
        self.register_buffer("spacing", torch.zeros(()))

    def smooth_over(self, points: int) -> None:
        """Change `model.smoothing`. Raises InputError where the network has no second pass."""
        if points:
            raise InputError(f"model.smoothing is {points}: a network of voxels has no second pass")

    def describe(self) -> dict[str, Any]:
        """What a checkpoint keeps, to build this network again."""
        return {"app": "pointcloud", "model": to_plain(self.config)}
