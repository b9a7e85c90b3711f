"""Presets of kept Mixers, and CIFAR-10 from one or by a long recipe from scratch.

`python -m core.models.weights.keep RUN` keeps a run; `python -m core.models.weights` lists what is.
"""

from __future__ import annotations

from dataclasses import replace

from core.data.augment import AugmentConfig
from core.data.fractals import FractalsConfig
from core.data.images.labelled import ImagesConfig, TrainImagesConfig
from core.models.network import ClassifierConfig
from core.pretraining.config import PretrainConfig
from core.pretraining.sizes import GrowthConfig
from core.training.optim import OptimConfig, ScheduleConfig
from core.training.run import RunConfig

KEPT = "mixer_c256_l8_p8"  # 4.4 M parameters, in half precision 9 MB
SIZES = (48, 64, 96, 128, 192)


def photos() -> PretrainConfig:
    """Small photographs held in memory, one network for 48 to 192 pixels: the kept `photos`.

    Set --train.root and --val.root (Tiny-ImageNet, packed: train.npz and val.npz). Most steps see
    48 and 64 pixels, the larger sizes come in the last 40 %, each with as many pixels in all. On
    two CPU cores 3.6 hours in bf16, top-1 38.3, 39.8, 42.4, 39.4, 32.5 at 48, 64, 96, 128, 192
    pixels; what is kept went on for 1.4 epochs at all sizes alike (RESULTS.md, core).
    """
    return PretrainConfig(
        model=ClassifierConfig(KEPT, (64,), sizes=SIZES, stochastic_depth=0.1),
        train=TrainImagesConfig(on_device=64),
        growth=GrowthConfig((0.0, 0.0, 0.6, 0.8, 0.9), "pixels"),
        augment=AugmentConfig(
            (0.35, 1), policy="trivialaugment", mixup=0.2, cutmix=1.0, label_smoothing=0.1
        ),
        protocol="direct",
        optim=OptimConfig("timm:muon", lr=2e-3, weight_decay=0.1),
        run=RunConfig(
            "runs/pretrain/photos",
            epochs=40,
            batch_size=256,
            accumulate=2,
            schedule=ScheduleConfig("cosine", warmup=300, hold=0.5),
            ema=0.999,
            eval_every=2_812,
            save_every=100,
        ),
    )


def formulas() -> PretrainConfig:
    """The network and the recipe of `photos` on 1,000 formulas: no picture was ever taken.

    64 instances of each are drawn once, at 64 pixels, and held in memory. The kept `fractals` is of
    12 of these epochs, an hour and a half on two CPU cores (RESULTS.md, core).
    """
    base = photos()
    return replace(
        base,
        train=replace(base.train, root="fractals"),
        val=ImagesConfig("fractals"),
        fractals=FractalsConfig(
            "sigma",
            classes=1_000,
            instances=64,
            size=64,
            points=6_000,
            stamp="point",
            tone="log",
            colour="hue",
        ),
        held_out=5,
        augment=replace(base.augment, vertical_flip=0.5),
        run=replace(base.run, folder="runs/pretrain/formulas", epochs=30),
    )


def cifar10_300() -> PretrainConfig:
    """CIFAR-10, 0.67 M parameters, 300 epochs; reported 0.908 by omihub777/MLP-Mixer-CIFAR.

    Width 128, 8 blocks, patch 4, AutoAugment, CutMix half the time, its rate, decay, warm-up and
    label smoothing; coupled weight decay as there. Set --train.root and --val.root; made for a GPU.
    """
    return PretrainConfig(
        model=ClassifierConfig("mixer_c128_l8_p4", (32,)),
        train=TrainImagesConfig(on_device=32),
        val=ImagesConfig(split="test"),
        augment=AugmentConfig(
            (1, 1), shift=0.125, policy="autoaugment", cutmix=1.0, mixed=0.5,
            label_smoothing=0.1,
        ),
        protocol="direct",
        optim=OptimConfig("adam", lr=1e-3, weight_decay=5e-5, betas=(0.9, 0.99)),
        run=RunConfig(
            "runs/pretrain/cifar10_300",
            epochs=300,
            batch_size=128,
            schedule=ScheduleConfig("cosine", warmup=5 / 300, final=1e-3),
            eval_every=3_910,
            save_every=3_910,
        ),
    )  # fmt: skip


def cifar10_photos() -> PretrainConfig:
    """CIFAR-10 from the kept `photos` at 64 pixels, 84.1 %: set --train.root and --val.root."""
    base = cifar10_300()
    return replace(
        base,
        model=ClassifierConfig(KEPT, (64,), weights="photos", new_head=True, stochastic_depth=0.1),
        augment=replace(base.augment, policy="trivialaugment", mixup=0.0),
        optim=OptimConfig("timm:muon", lr=1e-3, weight_decay=0.05, layer_decay=0.8),
        run=RunConfig(
            "runs/pretrain/cifar10_photos",
            epochs=12,
            batch_size=128,
            ema=0.999,
            eval_every=0,
        ),
    )


PHOTOGRAPHS = (photos, formulas, cifar10_300, cifar10_photos)
