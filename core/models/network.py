"""A classifier as a configuration describes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import nn

from core.errors import InputError
from core.models.backbone import create_backbone
from core.models.classifier import Classifier, create_classifier, head_by_name
from core.ranges import Counts, Decay


@dataclass(frozen=True)
class ClassifierConfig:
    """A backbone, what it starts from, and its head."""

    RENAMED: ClassVar[dict[str, str]] = {"name": "backbone"}

    backbone: str = "mixer_s16"  # any name of core.create_backbone
    image_size: Counts = (224,)  # one number, or height and width
    # a file, folder, run or named set to start from, permuted:... one of them; empty: random
    weights: str = ""
    # of token mixing, where the weights have another grid
    resize: Literal["auto", "exact", "pi", "area", "bilinear"] = "auto"
    new_head: bool = False  # replace the head of the weights by a zero one
    head_bias: float = 0.0  # that a new head begins with; -6.9 for sigmoid over 1,000 classes
    stochastic_depth: Decay = 0.0  # of the last block, rising linearly; timm: its drop_path_rate
    grad_checkpointing: bool = False  # recompute blocks in the backward pass to save memory
    # several sizes: each step trains at one of them, drawn at random. Needs a mixer_ name, whose
    # token mixing is resized on the fly, and gives one checkpoint for all sizes between
    sizes: Counts = ()


def build_classifier(config: ClassifierConfig, classes: Sequence[str]) -> Classifier:
    """The classifier for `classes`, from the configuration's weights if it names some.

    Rows of a head that the weights hold go to its classes by their names, where it has names.
    Raises InputError for a class that it does not know, and for fewer than two classes.
    """
    if len(classes) < 2:
        one = ", ".join(classes)
        raise InputError(f"the training data are of one class, {one}: nothing to tell apart")
    head = {"new_head": config.new_head, "head_bias": config.head_bias}
    options = head | _options(config)
    network = create_classifier(config.backbone, config.image_size, len(classes), **options)
    if config.grad_checkpointing and _of_timm(config):
        network.backbone.model.set_grad_checkpointing()
    if network.classes:  # those of the head that the weights hold
        head = network.head.state_dict()
        head = head_by_name(head, network.classes, classes, config.weights)
        network.head.load_state_dict(head)
    network.classes = list(classes)
    return network


def build_backbone_of(config: ClassifierConfig) -> nn.Module:
    """The backbone alone, from the configuration's weights if it names some."""
    backbone = create_backbone(config.backbone, config.image_size, **_options(config))
    if config.grad_checkpointing and _of_timm(config):
        backbone.model.set_grad_checkpointing()
    return backbone


def _options(config: ClassifierConfig) -> dict[str, Any]:
    """What `create_backbone` takes, without what is not asked for."""
    if config.sizes and not config.backbone.startswith("mixer_"):
        raise InputError(
            f"model.sizes is for mixer_ names, whose grid can move, and not for {config.backbone}: "
            "empty it, --model.sizes with nothing behind; and with it, in core/pretrain.py, "
            "--growth.start --growth.equal steps"
        )
    rate = "drop_path_rate" if _of_timm(config) else "stochastic_depth"
    asked = {
        rate: config.stochastic_depth,
        "grad_checkpointing": config.grad_checkpointing and not _of_timm(config),
        "any_size": bool(config.sizes),
        "weights": config.weights,
        "resize": config.resize if config.weights else "",
    }
    return {name: value for name, value in asked.items() if value}


def _of_timm(config: ClassifierConfig) -> bool:
    return config.backbone.startswith(("timm:", "vit_"))
