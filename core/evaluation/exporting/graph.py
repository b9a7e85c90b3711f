"""What an exported file computes of images, and what it says of itself.

Of a backbone the tokens; of a classifier its logits too, from one pass through the backbone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from core.models.classifier import Classifier

Size = tuple[int, int]  # (H, W) of images
Outputs = Tensor | Sequence[Tensor]  # tokens (B, S, C); of a classifier (tokens, logits (B, n))


class WithLogits(nn.Module):
    """A classifier that gives the tokens of its backbone beside its logits."""

    def __init__(self, classifier: Classifier):
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) -> tokens (B, S, C), logits (B, n)."""
        return self.classifier.tokens_and_logits(images)


def graph_of(network: nn.Module) -> nn.Module:
    """What is written of a network, in evaluation mode: a backbone itself, or `WithLogits`."""
    return (WithLogits(network) if isinstance(network, Classifier) else network).eval()


def backbone_of(network: nn.Module) -> nn.Module:
    """The backbone of a classifier, or the network itself."""
    return network.backbone if isinstance(network, Classifier) else network


def output_names(network: nn.Module) -> list[str]:
    """The outputs of a file, in order."""
    return ["tokens", "logits"] if isinstance(network, Classifier) else ["tokens"]


def as_tuple(outputs: Outputs) -> tuple[Tensor, ...]:
    """One tensor or several, as several."""
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)


def metadata(network: nn.Module) -> dict[str, str]:
    """What a user of the file needs to know: JSON by name, for pixels in [0, 1].

    classes, of a classifier: the names in the order of the logits, null where they are not known.
    """
    backbone = backbone_of(network)
    mean, std = backbone.normalization
    values = {"image_size": backbone.image_size, "mean": mean, "std": std, "grid": backbone.grid}
    values["description"] = backbone.describe()
    if isinstance(network, Classifier):
        values["classes"] = network.classes
    return {name: json.dumps(value) for name, value in values.items()}


def noise(network: nn.Module, batch: int, size: Size | None = None) -> Tensor:
    """Unit normal images (B, 3, H, W), the same for the same B and size (None: the network's)."""
    backbone = backbone_of(network)
    generator = torch.Generator().manual_seed(batch)
    channels = len(backbone.normalization[0])
    return torch.randn(batch, channels, *(size or backbone.image_size), generator=generator)


def free_batch():
    """The first axis of images, left free."""
    return torch.export.Dim("batch", min=1, max=65536)


def free_axes(network: nn.Module) -> dict[int, Any]:
    """The axes of (B, 3, H, W) that a program leaves free: with `any_size` whole patches too."""
    backbone, axes = backbone_of(network), {0: free_batch()}
    if not getattr(backbone, "any_size", False):
        return axes
    rows, columns = (torch.export.Dim(name, min=2, max=4096) for name in ("rows", "columns"))
    return {**axes, 2: backbone.stride[0] * rows, 3: backbone.stride[1] * columns}


def other_sizes(network: nn.Module) -> list[Size]:
    """A larger and a smaller one to compare a program at, where the size is free."""
    backbone = backbone_of(network)
    if not getattr(backbone, "any_size", False):
        return []
    (h, w), (ph, pw) = backbone.grid, backbone.stride
    return [((h + 1) * ph, (w + 3) * pw), (2 * ph, max(2, w - 1) * pw)]
