"""A backbone and a linear head: images (B, 3, H, W) -> logits (B, n).

The features are the mean over the tokens after the last norm, as in MLP-Mixer; a model of timm
keeps timm's own pooling. Parameters are named backbone.*, head.weight and head.bias, so that
`load_backbone` opens a classifier's folder too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from core.errors import InputError
from core.models.backbone import backbone_from_description, create_backbone
from core.models.networks.timm_backbone import TimmBackbone, is_timm, timm_name
from core.models.weights.formats import read_state_dict
from core.models.weights.reading import find_checkpoint, find_weights, load_backbone, read_head


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
        self.head = nn.Linear(backbone.num_pooled_features, num_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, head_bias)

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C), what the head sees."""
        return self.backbone.forward_pooled(images)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> logits (B, n)."""
        return self.head(self.features(images))

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
    weights = find_weights(name, weights) if weights else None
    stored = _stored_head(name, weights) if weights else None
    kept = stored is not None and not new_head
    if kept:
        _check_count(stored, num_classes, weights)
    elif num_classes is None:
        what = f"{weights} holds no classification head" if weights else f"{name} has no weights"
        raise InputError(f"{'a new head' if new_head else what}: give num_classes")
    backbone = create_backbone(name, image_size, weights, **options)
    if kept:
        return _with_head(backbone, stored, classes or _stored_classes(weights), weights)
    if weights:
        _say_replaced(stored, num_classes, weights)
    return Classifier(backbone, num_classes, classes, head_bias)


def load_classifier(path: str | Path, image_size=None) -> Classifier:
    """The classifier that a file or folder holds: what `load_backbone` opens, with a head.

    Raises InputError where there is no head.
    """
    path = find_weights("", path)
    head = read_head(path)
    if head is None:
        raise InputError(f"{path} holds no classification head: give a fine-tuned model")
    return _with_head(load_backbone(path, image_size), head, _stored_classes(path), path)


def _with_head(backbone: nn.Module, head: dict[str, Tensor], classes, source) -> Classifier:
    count, width = head["weight"].shape
    classifier = Classifier(backbone, count, classes)
    if width != classifier.head.in_features:
        raise InputError(
            f"{source}: its head takes {width} features, the backbone has "
            f"{classifier.head.in_features}"
        )
    classifier.head.load_state_dict(head)
    return classifier


def _stored_head(name: str, weights: str | Path) -> dict[str, Tensor] | None:
    """{"weight", "bias"} or None; `weights` as `create_backbone` takes them."""
    if is_timm(weights):
        return _timm_head(timm_name(name, weights))
    if name.startswith("timm:") and not Path(weights).is_dir():
        return _timm_file_head(name, weights)
    return read_head(weights)


def _timm_head(name: str) -> dict[str, Tensor] | None:
    """The head of what timm downloads, None where it is pretrained without one."""
    import timm  # slow to import

    config = timm.get_pretrained_cfg(name.removeprefix("timm:"))
    count = config.num_classes if config else 1  # the next line complains of an unknown model
    head = TimmBackbone(name, None, True, num_classes=count).model.get_classifier()
    linear = isinstance(head, nn.Linear)
    return {key: value.detach() for key, value in head.state_dict().items()} if linear else None


def _timm_file_head(name: str, file: str | Path) -> dict[str, Tensor] | None:
    import timm  # slow to import

    config = timm.get_pretrained_cfg(name.removeprefix("timm:"))
    place = config.classifier if config else None
    state = read_state_dict(file) if isinstance(place, str) else {}
    head = {key: state.get(f"{place}.{key}") for key in ("weight", "bias")}
    return None if None in head.values() else head


def _stored_classes(path: str | Path) -> list[str] | None:
    """The names of the classes in a folder or run of ours, if it has them."""
    if not Path(path).is_dir():
        return None
    file = find_checkpoint(path) / "config.json"
    head = json.loads(file.read_text()).get("head")
    return head.get("classes") if isinstance(head, dict) else None


def _check_count(head: dict[str, Tensor], num_classes: int | None, weights) -> None:
    stored = len(head["bias"])
    if num_classes not in (None, stored):
        raise InputError(
            f"{weights} holds a head for {stored} classes, num_classes is {num_classes}: leave it "
            "out, or ask for new_head, which begins at zero"
        )


def _say_replaced(stored: dict[str, Tensor] | None, num_classes: int, weights) -> None:
    """Print, on one process, that what the network answers is not what the weights had learnt."""
    had = f"{len(stored['bias'])} classes" if stored else "no classes (it had none)"
    if int(os.environ.get("RANK", 0)) == 0:
        print(f"{weights}: the head for {had} is replaced by a zero head for {num_classes} classes")
