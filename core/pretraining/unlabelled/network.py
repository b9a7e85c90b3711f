"""A backbone with the projector that is thrown away after pretraining."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from core.data.views import Views
from core.errors import InputError
from core.models.classifier import pooled
from core.models.network import ClassifierConfig, build_backbone_of


class ViewNetwork(nn.Module):
    """Views of pictures -> embeddings (B, V, D), those of the global views first.

    Parameters are named backbone.* and projector.*, so that `load_backbone` opens its run. The
    projector has layer norms where the authors' has batch norms: an embedding then depends on its
    own picture alone, so that the step is the same however its batch is shared out.
    """

    def __init__(self, backbone: nn.Module, widths: tuple[int, ...]):
        super().__init__()
        if not widths:
            raise InputError(f"lejepa.projector is {widths}: give the widths of its layers")
        self.backbone = backbone
        self.projector = projector(
            getattr(backbone, "pooled_features", backbone.num_features), widths
        )

    def forward(self, views: Views) -> Tensor:
        """{"global": (B, Vg, 3, H, W), "local": (B, Vl, 3, h, w)} -> (B, Vg + Vl, D)."""
        return torch.cat([self.embed(images) for images in views.values()], 1)

    def embed(self, images: Tensor) -> Tensor:
        """(B, V, 3, H, W) -> (B, V, D)."""
        embeddings = self.projector(pooled(self.backbone, images.flatten(0, 1)))
        return embeddings.view(*images.shape[:2], -1)

    def describe(self) -> dict[str, Any]:
        """What is needed to build the backbone again."""
        return {"backbone": self.backbone.describe()}


def projector(features: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Linear layers (B, features) -> (B, widths[-1]), layer norm and GELU between them."""
    layers: list[nn.Module] = []
    for width in widths[:-1]:
        layers += [nn.Linear(features, width), nn.LayerNorm(width), nn.GELU()]
        features = width
    return nn.Sequential(*layers, nn.Linear(features, widths[-1]))


def build_network(config: ClassifierConfig, widths: tuple[int, ...]) -> ViewNetwork:
    """The network as a configuration describes it, from its weights if it names some."""
    return ViewNetwork(build_backbone_of(config), widths)
