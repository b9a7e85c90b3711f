"""Everything that classifier training can be told, and the presets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from core.data.augment import AugmentConfig
from core.data.images import ImagesConfig
from core.training.optim import OptimConfig, ScheduleConfig
from core.training.run import RunConfig


@dataclass(frozen=True)
class NetworkConfig:
    """A backbone, what it starts from, and its head."""

    name: str = "mixer_s16"  # any name of core.create_backbone
    image_size: tuple[int, ...] = (224,)  # one number, or height and width
    weights: str = ""  # a file, folder, run or named set to start from; empty: random
    resize: str = "auto"  # of token mixing, where the weights have another grid
    new_head: bool = False  # replace the head of the weights by a zero one
    head_bias: float = 0.0  # that a new head begins with; -6.9 for sigmoid over 1,000 classes
    stochastic_depth: float = 0.0  # timm models: their drop_path_rate
    # several sizes: each step trains at one of them, drawn at random. Needs a mixer_ name, whose
    # token mixing is resized on the fly, and gives one checkpoint for all sizes between
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True)
class PretrainConfig:
    """One training run of a classifier."""

    model: NetworkConfig = NetworkConfig()
    train: ImagesConfig = ImagesConfig(split="train")
    val: ImagesConfig = ImagesConfig(split="val")
    augment: AugmentConfig = AugmentConfig()
    loss: Literal["softmax", "sigmoid"] = "softmax"  # core/training/losses.py
    protocol: str = "squash"  # of evaluation, core/data/transforms.py
    workers: int = 2  # loader processes for each training process
    eval_batch: int = 128  # images at a time in evaluation, for each process
    optim: OptimConfig = OptimConfig(weight_decay=0.1)
    run: RunConfig = field(default_factory=RunConfig)


def folder() -> PretrainConfig:
    """Any labelled images, Mixer-S/16 at 224: set --train.root and --val.root. Not run."""
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
        model=NetworkConfig("mixer_c128_l4_p4", (32,)),
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


PRESETS = {make.__name__: make for make in (folder, cifar10, cifar10_many_grids)}
