"""A backbone and a linear head: images (B, 3, H, W) -> logits (B, n).

The features are the mean over the tokens after the last norm, as in MLP-Mixer; a model of timm
keeps timm's own pooling. Parameters are named backbone.*, head.weight and head.bias, so that
`load_backbone` opens a classifier's folder too.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from core.errors import InputError
from core.models.backbone import create_backbone, open_weights
from core.models.building import backbone_from_description, build_backbone
from core.models.weights.reading import read_stored
from core.models.weights.stored import Head, StoredModel


class Classifier(nn.Module):
    """Any backbone with a linear head whose kernel is zero, as the official Mixer begins.

    `head_bias` is what the head's biases begin with: -6.9 for the sigmoid loss over 1,000 classes
    (big_vision's `mlp_mixer_i1k.py`), else 0. `classes` are the names of the classes, if known.
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int,
        classes: Sequence[str] | None = None,
        head_bias: float = 0.0,
    ):
        super().__init__()
        if num_classes < 1 or (classes is not None and len(classes) != num_classes):
            raise InputError(f"num_classes is {num_classes}, for {len(classes or ())} class names")
        self.backbone, self.num_classes = backbone, num_classes
        self.classes = None if classes is None else list(classes)
        width = getattr(backbone, "pooled_features", backbone.num_features)
        self.head = nn.Linear(width, num_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, head_bias)

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C), what the head sees."""
        return pooled(self.backbone, images)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> logits (B, n)."""
        return self.head(self.features(images))

    def tokens_and_logits(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) -> tokens (B, S, C) of the backbone, logits (B, n): the backbone runs once.

        Twice where it has a pooling of its own and no `tokens_and_pooled`.
        """
        if hasattr(self.backbone, "tokens_and_pooled"):
            tokens, features = self.backbone.tokens_and_pooled(images)
        else:
            tokens = self.backbone(images)
            own = hasattr(self.backbone, "pooled")
            features = self.backbone.pooled(images) if own else tokens.mean(1)
        return tokens, self.head(features)

    def describe(self) -> dict[str, Any]:
        """What `from_description` builds the same network from; JSON can hold it."""
        head = {"num_classes": self.num_classes, "classes": self.classes}
        return {"backbone": self.backbone.describe(), "head": head}

    @classmethod
    def from_description(cls, info: dict[str, Any], source: str = "the description") -> Classifier:
        """The network whose `describe()` this was, with random weights; ``source`` names it."""
        if not isinstance(info.get("head"), dict) or "num_classes" not in info["head"]:
            raise InputError(f"{source} describes no classifier: it has no head.num_classes")
        classes = info["head"].get("classes")
        backbone = backbone_from_description(info["backbone"])
        return cls(backbone, info["head"]["num_classes"], classes)


def pooled(backbone: nn.Module, images: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, C): one vector an image, by the backbone's own way if it has one."""
    if hasattr(backbone, "pooled"):
        return backbone.pooled(images)
    return backbone(images).mean(1)  # over the tokens (B, S, C)


def create_classifier(
    name: str,
    image_size: int | Sequence[int],
    num_classes: int | None = None,
    weights: str | Path | None = None,
    new_head: bool = False,
    classes: Sequence[str] | None = None,
    head_bias: float = 0.0,
    **options,
) -> Classifier:
    """A backbone by name (`create_backbone`; options are passed on) with a classification head.

    The head is the one that the weights hold. A zero head takes its place with `new_head`, or
    where the weights have none; that is printed, and needs `num_classes`. Raises InputError where
    `num_classes` is not that of the stored head.
    """
    stored = open_weights(name, weights, image_size, **options) if weights else None
    head = stored.head if stored and not new_head else None
    if head:
        _check_count(head, num_classes, stored.origin)
    elif num_classes is None:
        what = (
            f"{stored.origin} holds no classification head" if stored else f"{name} has no weights"
        )
        raise InputError(f"{'a new head' if new_head else what}: give num_classes")
    backbone = create_backbone(name, image_size, stored, **options)
    if head:
        return _with_head(backbone, head, classes or stored.classes, stored.origin)
    if stored:
        _say_replaced(stored, num_classes)
    return Classifier(backbone, num_classes, classes, head_bias)


def load_classifier(path: str | Path | StoredModel, image_size=None) -> Classifier:
    """The classifier that a file or folder holds: what `load_backbone` opens, with a head.

    Raises InputError where there is no head.
    """
    stored = path if isinstance(path, StoredModel) else read_stored(path, image_size)
    if stored.head is None:
        raise InputError(f"{stored.origin} holds no classification head: give a fine-tuned model")
    backbone = build_backbone(stored, image_size)
    return _with_head(backbone, stored.head, stored.classes, stored.origin)


def _with_head(backbone: nn.Module, head: Head, classes, source) -> Classifier:
    count, width = head["weight"].shape
    classifier = Classifier(backbone, count, classes)
    if width != classifier.head.in_features:
        raise InputError(
            f"{source}: its head takes {width} features, the backbone has "
            f"{classifier.head.in_features}"
        )
    classifier.head.load_state_dict(head)
    return classifier


def head_by_name(head: Head, theirs: Sequence[str], ours: Sequence[str], source: str) -> Head:
    """The head with its rows in the order of our classes. Raises InputError for one it lacks."""
    row = {name: i for i, name in enumerate(theirs)}
    if unknown := [name for name in ours if name not in row]:
        gone = sorted(set(theirs) - set(ours))
        raise InputError(
            f"{source} holds a head that knows no class {unknown[0]!r}, but {', '.join(gone[:5])}: "
            "name the classes as they were, or ask for new_head, which begins at zero"
        )
    rows = [row[name] for name in ours]
    return {name: values[rows] for name, values in head.items()}


def _check_count(head: Head, num_classes: int | None, weights) -> None:
    stored = len(head["bias"])
    if num_classes not in (None, stored):
        raise InputError(
            f"{weights} holds a head for {stored} classes, num_classes is {num_classes}: leave it "
            "out, or ask for new_head, which begins at zero"
        )


def _say_replaced(stored: StoredModel, num_classes: int) -> None:
    """Print, on one process, that what the network answers is not what the weights had learnt."""
    had = f"{len(stored.head['bias'])} classes" if stored.head else "no classes (it had none)"
    if int(os.environ.get("RANK", 0)) == 0:
        print(
            f"{stored.origin}: the head for {had} is replaced by a zero head for "
            f"{num_classes} classes"
        )
