"""The presets of core/pretrain.py by name: on two cores here, published recipes in recipes.py.

A docstring's first line says the expected result, time and hardware: ours where it was run, else
what is reported, and by whom.
"""

from __future__ import annotations

from dataclasses import replace

from core.data.augment import AugmentConfig
from core.data.fractals import FractalsConfig
from core.data.images.labelled import ImagesConfig
from core.models.network import ClassifierConfig
from core.pretraining.config import PretrainConfig, TransferConfig
from core.pretraining.photographs import PHOTOGRAPHS
from core.pretraining.recipes import RECIPES, TRAIN, VAL
from core.training.optim import OptimConfig, ScheduleConfig
from core.training.run import RunConfig


def demo() -> PretrainConfig:
    """Fractals of 100 formulas, a small Mixer: top-1 0.35 of unseen ones in 9 minutes on one core.

    With --transfer.root CIFAR (any labelled images) the report on real images follows. Without a
    GPU `accelerate launch` gives a process one thread, `accelerate launch --cpu` all cores.
    """
    return PretrainConfig(
        model=ClassifierConfig("mixer_c128_l4_p4", (32,)),
        train=TRAIN,
        val=VAL,
        fractals=small_fractals(100),
        held_out=10,
        augment=AugmentConfig(crop_area=(0.5, 1.0), vertical_flip=0.5),
        protocol="direct",
        optim=OptimConfig(lr=2e-3, weight_decay=0.1),
        run=RunConfig(
            "runs/pretrain/demo",
            steps=800,
            batch_size=128,
            eval_every=200,
            save_every=200,
            best="top1",
        ),
    )


def debug() -> PretrainConfig:
    """8 formulas and 2 steps: does everything run? Seconds on any machine."""
    base = demo()
    run = RunConfig("runs/pretrain/debug", steps=2, batch_size=8, log_every=1, trackers=())
    return replace(
        base,
        model=ClassifierConfig("mixer_c16_l2_p8", (16,)),
        fractals=replace(base.fractals, classes=8, points=500),
        held_out=1,
        train=replace(base.train, workers=0),
        val=replace(base.val, workers=0),
        run=replace(run, best="top1"),
        transfer=TransferConfig(epochs=1.0, shots=(1,)),
    )


def small_fractals(classes: int) -> FractalsConfig:
    """Systems of the sigma-factor rule in colour at 40 pixels, every image a new one."""
    return FractalsConfig(
        "sigma",
        classes=classes,
        instances=0,
        size=40,
        points=2_000,
        stamp="point",
        tone="log",
        colour="hue",
    )


def cifar10_fractals() -> PretrainConfig:
    """500 formulas, 45 minutes on a core in bf16; then --transfer.root CIFAR-10: 0.71, not 0.59."""
    base = demo()
    return replace(
        base,
        fractals=small_fractals(500),
        run=replace(base.run, folder="runs/pretrain/cifar10_fractals", steps=6_000),
        transfer=TransferConfig(epochs=3.0, seeds=(0, 1, 2)),
    )


def folder() -> PretrainConfig:
    """Any labelled images, Mixer-S/16 at 224: set --train.root and --val.root. Not run.

    Both may be one <root>/<class>/<image> without splits: --val-share of each class validates.
    """
    schedule = ScheduleConfig("linear", warmup=10_000, final=0.01)
    return PretrainConfig(
        run=RunConfig(
            "runs/pretrain/folder",
            epochs=300,
            batch_size=4096,
            schedule=schedule,
            eval_every=5_000,
            save_every=1_000,
            best="top1",
        )
    )


def cifar10() -> PretrainConfig:
    """CIFAR-10 at 32 pixels, 8x8 tokens: top-1 0.71 in 15 to 20 minutes on 2 shared cores in bf16.

    Set --train.root and --val.root.
    """
    return PretrainConfig(
        model=ClassifierConfig("mixer_c128_l4_p4", (32,)),
        val=ImagesConfig(split="test"),
        augment=AugmentConfig(crop_area=(1, 1), shift=0.125, label_smoothing=0.1),
        protocol="direct",
        optim=OptimConfig(lr=2e-3, weight_decay=0.1),
        run=RunConfig("runs/pretrain/cifar10", epochs=8, batch_size=128, eval_every=0, best="top1"),
    )


def cifar10_many_grids() -> PretrainConfig:
    """The same at 32 to 64 pixels, a size drawn for each step: one checkpoint for 8x8 to 16x16."""
    base = cifar10()
    return replace(
        base,
        model=replace(base.model, image_size=(48,), sizes=(32, 40, 48, 56, 64)),
        run=replace(base.run, folder="runs/pretrain/cifar10_many_grids"),
    )


OURS = (demo, debug, folder, cifar10_fractals, cifar10, cifar10_many_grids)
PRESETS = {make.__name__: make for make in (*OURS, *PHOTOGRAPHS, *RECIPES)}
