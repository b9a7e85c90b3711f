"""What the app's networks have in common."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from apps.pointcloud.config import ModelConfig
from core.config import to_plain
from core.errors import InputError


class Network(nn.Module):
    """Packed clouds (N, 3), (N,) to packed clouds {"points": (P, 3), "batch": (P,), ...}.

    counts: the settings that have to be 1 or more. Raises InputError where one is not.
    """

    def __init__(self, config: ModelConfig, counts: tuple[str, ...]):
        super().__init__()
        for name in counts:
            if getattr(config, name) < 1:
                raise InputError(f"model.{name} is {getattr(config, name)}; choose 1 or more")
        self.config = config
        # of the training inputs (`spacing.spacing_of`), in their unit; 0 where it is not known
        self.register_buffer("spacing", torch.zeros(()))

    def describe(self) -> dict[str, Any]:
        """What a checkpoint keeps, to build this network again."""
        return {"app": "pointcloud", "model": to_plain(self.config)}
