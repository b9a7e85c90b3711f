"""From a configuration to the paintings of a run: which files, prepared in which way."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch
from torch.utils.data import Dataset

from apps.style.config import StyleConfig
from apps.style.data.dataset import class_counts, open_paintings
from apps.style.data.sampling import SquareRoot
from apps.style.data.stream_split import InTurn
from core.app.embedded import embedded_folder
from core.data.augment import train_transform
from core.data.images.labelled import LabelledImages
from core.data.samples import with_transform
from core.data.streams.labelled import LabelledStream
from core.data.transforms import eval_transform
from core.errors import InputError
from core.evaluation.classification import matched_classes
from core.models.classifier import Classifier
from core.training.session import Session

NEED_COUNTS = ("weighted", "logit_adjusted")  # losses


class StyleData:
    """The training and validation paintings of a run; the embedded ones are painted if need be.

    Raises InputError for settings that fit no data.
    """

    def __init__(self, config: StyleConfig, session: Session):
        self.config, self.session = config, session
        self.data = config.data
        if not (config.data.root or config.data.csv):
            if config.data.classes:
                raise InputError(
                    f"data.classes is {config.data.classes}, and the embedded paintings have other "
                    "styles: give WikiArt as --data.root or --data.csv"
                )
            root = embedded_paintings(config, session)
            self.data = replace(config.data, root=str(root))

    def open(self, split: str) -> Dataset | LabelledStream:
        """One side of the split, without a transform."""
        return open_paintings(self.data, split, report=self.session.print)

    def train(self, images, network: Classifier) -> Dataset | LabelledStream:
        """`images` with the augmentation and the sampling of the configuration."""
        if self.config.augment.shuffle != "none":
            raise InputError("augment.shuffle is for core/pretrain.py: leave it none")
        backbone = network.backbone
        options = (backbone.image_size, backbone.normalization)
        images = with_transform(images, train_transform(self.config.augment, *options))
        if self.config.sampling == "plain":
            return images
        if isinstance(images, LabelledStream):
            raise InputError("a stream cannot be sampled by its classes: --sampling plain")
        return SquareRoot(images)

    def train_as_val(self, images, network: Classifier) -> Dataset:
        """The training paintings `images` as evaluation prepares its own; a stream by index."""
        images = InTurn(images) if isinstance(images, LabelledStream) else images
        return prepared(images, self.config.protocol, network)

    def val(self, network: Classifier) -> Dataset:
        """The validation paintings as the network takes them; their classes may be some of its.

        Raises InputError where one is not among the network's.
        """
        images, names = self.open("val"), network.classes or []
        absent = [name for name in names if name not in set(images.classes)]
        if absent and set(images.classes) <= set(names) and isinstance(images, LabelledImages):
            images = images.relabelled(names)
            self.session.print(
                f"no painting of {', '.join(absent)}: these classes are not measured"
            )
        return prepared(images, self.config.protocol, network)

    def counts(self, images) -> torch.Tensor | None:
        """Training paintings of each class (K,), for the losses that need them."""
        if self.config.loss.name not in NEED_COUNTS:
            return None
        return torch.from_numpy(class_counts(images)).to(self.session.device)


def embedded_paintings(config: StyleConfig, session: Session) -> Path:
    """The folder of the embedded paintings, which are painted by the main process if need be."""
    from apps.style.paintings import write_paintings  # compiles its kernels

    what = config.embedded
    name = f"style-paintings-{what.train}-{what.val}-{what.size}px-seed{what.seed}"
    return embedded_folder(session, name, partial(write_paintings, **asdict(what)))


def prepared(images: Dataset, protocol: str, network: Classifier) -> Dataset:
    """`images` with the network's class indices and the transform of evaluation."""
    backbone = network.backbone
    transform = eval_transform(protocol, backbone.image_size, backbone.normalization)
    return with_transform(matched_classes(images, network), transform)
