"""From a configuration to the paintings of a run: which files, prepared in which way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch.utils.data import Dataset

from apps.style.config import StyleConfig
from apps.style.data.dataset import class_counts, open_paintings
from apps.style.data.sampling import SquareRoot
from core.data.augment import train_transform
from core.data.streams.labelled import LabelledStream
from core.data.transforms import eval_transform
from core.errors import InputError
from core.evaluation.classification import matched_classes
from core.models.classifier import Classifier
from core.training.session import Session

NEED_COUNTS = ("weighted", "logit_adjusted")  # losses


class StyleData:
    """The training and validation paintings of a run; the embedded ones are painted if need be."""

    def __init__(self, config: StyleConfig, session: Session):
        self.config, self.session = config, session
        self.files = config.data
        if not (config.data.root or config.data.csv):
            if config.data.classes:
                raise InputError(
                    f"data.classes is {config.data.classes}, and the embedded paintings have other "
                    "styles: give WikiArt as --data.root or --data.csv"
                )
            root = embedded_paintings(config, session)
            self.files = replace(config.data, root=str(root))

    def open(self, split: str) -> Dataset | LabelledStream:
        """One side of the split, without a transform."""
        return open_paintings(self.files, split, report=self.session.print)

    def train(self, images, network: Classifier) -> Dataset | LabelledStream:
        """`images` with the augmentation and the sampling of the configuration."""
        backbone = network.backbone
        options = (backbone.image_size, backbone.normalization)
        images.transform = train_transform(self.config.augment, *options)
        if self.config.sampling == "plain":
            return images
        if isinstance(images, LabelledStream):
            raise InputError("a stream cannot be sampled by its classes: --sampling plain")
        return SquareRoot(images)

    def val(self, network: Classifier) -> Dataset:
        """The validation paintings as the network takes them. InputError for other classes."""
        return prepared(self.open("val"), self.config.protocol, network)

    def counts(self, images) -> torch.Tensor | None:
        """Training paintings of each class (K,), for the losses that need them."""
        if self.config.loss.name not in NEED_COUNTS:
            return None
        return torch.from_numpy(class_counts(images)).to(self.session.device)


def embedded_paintings(config: StyleConfig, session: Session) -> Path:
    """The folder of the embedded paintings, which are painted by the main process if need be."""
    from apps.style.paintings import write_paintings

    wanted = config.embedded
    counts = f"{wanted.train}-{wanted.val}-{wanted.size}px"
    root = Path("data") / f"style-paintings-{counts}-seed{wanted.seed}"
    if session.is_main:
        write_paintings(root, wanted.train, wanted.val, wanted.seed, wanted.size)
    session.wait()
    return root


def prepared(images: Dataset, protocol: str, network: Classifier) -> Dataset:
    """`images` with the network's class indices and the transform of evaluation."""
    images = matched_classes(images, network)
    backbone = network.backbone
    transform = eval_transform(protocol, backbone.image_size, backbone.normalization)
    target = getattr(images, "stream", images)  # a stream that is read in turn decodes by itself
    target.transform = transform
    return images
