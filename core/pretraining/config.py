"""The settings of classifier training; the presets are in presets.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from core.data.augment import AugmentConfig
from core.data.fractals import FractalsConfig
from core.data.images.labelled import ImagesConfig, TrainImagesConfig
from core.evaluation.common import EvalConfig
from core.models.network import ClassifierConfig
from core.pretraining.distillation import DistillConfig
from core.pretraining.sizes import GrowthConfig
from core.ranges import Count, Counts, Decay, Part, Positive, Seeds, Wholes
from core.training.optim import OptimConfig
from core.training.run import RunConfig


@dataclass(frozen=True)
class TransferConfig:
    """What pretraining is worth on real images: core/pretraining/transfer.py."""

    root: str = ""  # labelled images, as train.root; empty: no report
    train_split: str = "train"
    test_split: str = "test"
    recipe: str = "cifar10"  # the preset that says how to fine-tune
    image_size: Counts = ()  # empty: that of pretraining
    epochs: Positive = 2.0  # of fine-tuning
    seeds: Seeds = (0,)  # fine-tuning runs
    scratch: bool = True  # the same runs from random weights, for comparison
    # examples of each class for the probes; 0: all
    shots: Wholes = (1, 5, 10, 25)


# what --help shows, beside what all trainings have (core/help.py); --help-all has the others
CHANGED_MOST = ("train.root", "val.root", "model.backbone", "model.weights")


@dataclass(frozen=True)
class PretrainConfig:
    """One training run of a classifier."""

    RENAMED: ClassVar[dict[str, str]] = {
        "workers": "train.workers val.workers",
        "eval_batch": "eval.batch_size",
    }

    model: ClassifierConfig = ClassifierConfig()
    # root `fractals`: drawn from formulas (core/data/sources.py lists what a root can be)
    train: TrainImagesConfig = TrainImagesConfig()
    # root `fractals`: other instances of the same formulas
    val: ImagesConfig = ImagesConfig(split="val")
    fractals: FractalsConfig = FractalsConfig()
    held_out: Count = 4  # instances of each formula that val has, where its root is `fractals`
    # share of each class that validates, where both roots are one without splits
    val_share: Part = 0.1
    # of the training data, and validates in place of the validation data: to choose settings by
    tune_share: Decay = 0.0
    augment: AugmentConfig = AugmentConfig()
    growth: GrowthConfig = GrowthConfig()  # of the images, where `model.sizes` has several
    loss: Literal["softmax", "sigmoid"] = "softmax"  # core/training/losses.py
    distill: DistillConfig = DistillConfig()  # a teacher: core/pretraining/distillation.py
    protocol: str = "squash"  # of evaluation, core/data/transforms.py
    eval: EvalConfig = EvalConfig(batch_size=128)
    optim: OptimConfig = OptimConfig(weight_decay=0.1)
    run: RunConfig = field(default_factory=RunConfig)
    transfer: TransferConfig = TransferConfig()  # a report when training is done
