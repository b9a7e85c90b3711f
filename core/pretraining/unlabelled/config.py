"""The settings of pretraining without labels, and its preset."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from core.data.augment import AugmentConfig
from core.data.fractals import FractalsConfig
from core.data.images.labelled import ImagesConfig, TrainImagesConfig
from core.data.views import ViewsConfig
from core.evaluation.common import EvalConfig
from core.models.network import ClassifierConfig
from core.pretraining.config import TransferConfig
from core.pretraining.sizes import GrowthConfig
from core.ranges import Count, Range, Share, Whole
from core.training.optim import OptimConfig, ScheduleConfig
from core.training.run import RunConfig

UNLABELLED_SIZES = (48, 64, 96)


@dataclass(frozen=True)
class LejepaConfig:
    """LeJEPA: (1 - weight) x prediction + weight x SIGReg (core/pretraining/unlabelled/lejepa.py).

    The defaults are those of its authors (arXiv 2511.08544), but for fewer slices, which are drawn
    anew each step.
    """

    weight: Share = 0.05  # of SIGReg, 0 to 1; 0: nothing keeps the embeddings from collapsing
    slices: Count = 256  # directions that the embeddings are looked at along
    # widths of its layers; the last: of z
    projector: Annotated[tuple[int, ...], Range(2)] = (1024, 1024, 64)


@dataclass(frozen=True)
class UnlabelledConfig:
    """One training run on pictures without labels."""

    model: ClassifierConfig = ClassifierConfig()  # its backbone; the projector stays behind
    # root: a folder of pictures in any nesting, or whatever core/data/sources.py opens; labels are
    # not looked at
    train: TrainImagesConfig = TrainImagesConfig()
    fractals: FractalsConfig = FractalsConfig()
    augment: AugmentConfig = AugmentConfig(jitter=1.0, grey=0.2)  # crop_area: that of the views
    views: ViewsConfig = ViewsConfig()
    lejepa: LejepaConfig = LejepaConfig()
    growth: GrowthConfig = GrowthConfig()  # of the images, where `model.sizes` has several
    # labelled images to look at the features with, never to learn from; no root: none
    val: ImagesConfig = ImagesConfig(split="val")
    val_train_split: str = "train"  # of val.root: where the probe's examples are
    shots: Whole = 10  # examples of each class for the probe; 0: all of them
    protocol: str = "direct"  # of evaluation, core/data/transforms.py
    eval: EvalConfig = EvalConfig(batch_size=128)
    optim: OptimConfig = OptimConfig(weight_decay=0.05)
    run: RunConfig = field(default_factory=RunConfig)
    transfer: TransferConfig = TransferConfig()  # a report when training is done


def unlabelled() -> UnlabelledConfig:
    """One's own pictures without labels: set --train.root to a folder of them, in any nesting.

    The network of `photos`, one for 48 to 96 pixels, by LeJEPA. Pictures are held decoded at 96
    pixels; those that cannot be read are left out and named. --val.root LABELLED probes as it goes.
    """
    return UnlabelledConfig(
        model=ClassifierConfig("mixer_c256_l8_p8", (64,), sizes=UNLABELLED_SIZES),
        train=TrainImagesConfig(on_device=96, skip_bad=1_000),
        growth=GrowthConfig(equal="pixels"),
        optim=OptimConfig(lr=1e-3, weight_decay=0.05),
        run=RunConfig(
            "runs/pretrain/unlabelled",
            steps=10_000,
            batch_size=256,
            schedule=ScheduleConfig("cosine", warmup=300, final=1e-3),
            ema=0.999,
            eval_every=1_000,
            save_every=500,
        ),
    )


UNLABELLED = {"unlabelled": unlabelled}
