"""Distillation: a network learns what a trained one says of the same pictures.

    logits      KL divergence of the student's classes from the teacher's, at a temperature, times
                its square (Hinton et al. 2015, arXiv 1503.02531)
    features    squared error of the student's pooled features, through a linear projection where
                widths differ, to the teacher's. These are scaled to mean 0 and variance 1 over
                their entries, for a loss that does not depend on the teacher's scale.

Both see the same crop, mixed as it is: "function matching", which Beyer et al. 2021 (arXiv
2106.05237) find decisive, with long training. The teacher gets it at its own size and by its own
normalization. Its weight in the loss may be 1: then labels are neither looked at nor needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import InputError
from core.models.backbone import create_backbone, open_weights
from core.models.classifier import Classifier, create_classifier
from core.models.network import ClassifierConfig, build_backbone_of, build_classifier
from core.pretraining.sizes import shrunk
from core.ranges import Counts, Positive, PositiveShare
from core.sizes import as_pair
from core.training.session import Session


@dataclass(frozen=True)
class DistillConfig:
    """A trained network to learn from."""

    teacher: str = ""  # any name of core.create_backbone; empty: none
    weights: str = ""  # the teacher's: a file, folder, run or named set
    of: Literal["logits", "features"] = "logits"
    # of the teacher in the loss; 1: pictures need no labels
    weight: PositiveShare = 0.5
    temperature: Positive = 1.0  # of logits; higher: the unlikely classes count for more
    # of the teacher; empty: that of its weights
    image_size: Counts = ()

    @property
    def alone(self) -> bool:
        """Whether labels have no part in the loss."""
        return bool(self.teacher) and self.weight == 1

    @property
    def headless(self) -> bool:
        """Whether no head is learnt either."""
        return self.alone and self.of == "features"


class Teacher:
    """A frozen classifier, or backbone, on the session's device."""

    def __init__(self, config: DistillConfig, session: Session):
        self.config, self.session = config, session
        with torch.random.fork_rng(devices=[]):  # the student begins as it would without a teacher
            network = _open(config)
        self.network = network.to(session.device).eval().requires_grad_(False)
        self.size = self.network.backbone.image_size
        self.width = self.network.head.in_features

    def classes_for(self, classes: list[str]) -> list[str]:
        """The student's classes: the teacher's where labels have no part and logits are learnt.

        Raises InputError where the teacher tells other classes apart than the images have.
        """
        if self.config.of == "features":
            return classes
        count, own = self.network.num_classes, self.network.classes
        own = own or (classes if len(classes) == count else [str(i) for i in range(count)])
        if not self.config.alone and list(own) != list(classes):
            raise InputError(
                f"distill: the teacher's {count} classes are not the {len(classes)} of the images "
                "in their order: take --distill.of features, or --distill.weight 1"
            )
        return list(own)

    def losses(self, output: tuple[Tensor, Tensor], pixels: Tensor, student: nn.Module) -> Tensor:
        """(B,): what a `Student`'s (logits, features) of these pixels are off the teacher's.

        pixels (B, 3, H, W) as the student, of this backbone, is given them.
        """
        logits, features = output
        with torch.no_grad(), self.session.accelerator.autocast():
            images = self._as_own(pixels, student.normalization)
            wanted = self.network.features(images)
            if self.config.of == "logits":
                wanted = self.network.head(wanted)
        if self.config.of == "logits":
            return logit_losses(logits, wanted, self.config.temperature)
        return feature_losses(features, wanted)

    def _as_own(self, pixels: Tensor, normalization) -> Tensor:
        """At the teacher's size and normalization."""
        (mean, std), (own_mean, own_std) = (
            [pixels.new_tensor(values).view(1, -1, 1, 1) for values in pair]
            for pair in (normalization, self.network.backbone.normalization)
        )
        return shrunk((pixels * std + mean - own_mean) / own_std, tuple(self.size))


class Student(Classifier):
    """A classifier that, while it trains, also gives its features at the teacher's width.

    Where features alone are learnt it has no head, and what it leaves behind is a backbone.
    """

    def __init__(self, network: Classifier, teacher: Teacher):
        super().__init__(network.backbone, network.num_classes, network.classes)
        self.headless = teacher.config.headless
        self.head, self.projection = nn.Identity() if self.headless else network.head, nn.Identity()
        width, features = network.head.in_features, teacher.config.of == "features"
        if features and width != teacher.width:
            self.projection = nn.Linear(width, teacher.width)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(B, 3, H, W) -> logits (B, n); in training mode with the features (B, C) beside them."""
        features = self.features(images)
        if not self.training:
            return self.head(features)
        return self.head(features), self.projection(features)

    def describe(self) -> dict[str, Any]:
        """As a classifier's, but for a head that is not there."""
        info = super().describe()
        return {"backbone": info["backbone"]} if self.headless else info


def build_student(config: ClassifierConfig, classes: Sequence[str], teacher: Teacher) -> Student:
    """The network to train on images of these classes, which do not count for features alone."""
    if teacher.config.headless:
        return Student(Classifier(build_backbone_of(config), 1), teacher)
    return Student(build_classifier(config, teacher.classes_for(list(classes))), teacher)


def logit_losses(logits: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """KL divergence of softmax(logits / T) from softmax(wanted / T), times T^2: (B, n) -> (B,)."""
    ours = (logits.float() / temperature).log_softmax(1)
    theirs = (wanted.float() / temperature).log_softmax(1)
    return temperature**2 * F.kl_div(ours, theirs, reduction="none", log_target=True).sum(1)


def feature_losses(features: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared difference from `wanted`, each row scaled to mean 0, variance 1: (B, C)."""
    target = F.layer_norm(wanted.float(), wanted.shape[1:])
    return (features.float() - target).square().mean(1)


def open_teacher(config: DistillConfig, session: Session) -> Teacher | None:
    """The teacher of a configuration, if it names one. Raises InputError for what it cannot be."""
    if not config.teacher and config.weights:
        raise InputError("distill.weights is given: name their network too, --distill.teacher")
    if not config.teacher:
        return None
    if not config.weights:
        raise InputError(f"distill.teacher is {config.teacher}: give its --distill.weights too")
    return Teacher(config, session)


def _open(config: DistillConfig) -> Classifier:
    """The teacher; of features a backbone does, whose head is then never asked."""
    size = as_pair("distill.image_size", config.image_size) if config.image_size else None
    try:
        stored = open_weights(config.teacher, config.weights, size)
        if config.of == "features":
            return Classifier(create_backbone(config.teacher, size, stored), 1)
        if stored.head is None:
            raise InputError(f"{stored.origin} has no head, so choose of features")
        return create_classifier(config.teacher, size, weights=stored)
    except InputError as error:
        raise InputError(f"distill: {error}") from error
