"""What the training phases train; lengths are planned ones (`planning.py` shortens them)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.gpu_phases.task import Task
from core.data.augment import AugmentConfig
from core.data.fractals import FractalsConfig
from core.data.images.labelled import ImagesConfig, TrainImagesConfig
from core.errors import InputError
from core.evaluation.common import EvalConfig
from core.models.network import ClassifierConfig
from core.pretraining.config import PretrainConfig
from core.pretraining.presets import small_fractals
from core.training.optim import OptimConfig, ScheduleConfig
from core.training.run import RunConfig

NANO = "mixer_c128_l8_p4"  # width 128, 8 blocks, D_S 64, D_C 512
NANO_BATCH = 1024
SHORT = 4  # epochs of the smallest form
SIDE, LARGER = 32, 40  # pixels of CIFAR, and that fractals are drawn and held at


def photos(task: Task) -> PretrainConfig:
    """Photographs at 64 pixels: Mixer-S/8 from scratch, regularised as small data needs it.

    Our own recipe: AdamW, TrivialAugment and CutMix, 100 epochs.
    """
    name = "mixer_c16_l1_p8" if task.smallest else "mixer_c512_l8_p8"
    return PretrainConfig(
        model=ClassifierConfig(name, (16 if task.smallest else 64,), stochastic_depth=0.1),
        **_data(task, task.photos, 16 if task.smallest else 64),
        augment=AugmentConfig(
            (0.25, 1.0), policy="trivialaugment", cutmix=1.0, label_smoothing=0.1
        ),
        optim=OptimConfig("adamw", lr=2e-3, weight_decay=0.1),
        run=_run(task, epochs=100, batch=512),
    )


def cifar10(task: Task, weights: str = "") -> PretrainConfig:
    """Mixer-nano by the published recipe for CIFAR-10, 300 epochs.

    Adam of rate 1e-3 and betas 0.9, 0.99, weight decay 5e-5, cosine after 5 epochs of warm-up,
    label smoothing 0.1, AutoAugment, CutMix, random crops and flips. Deviation: batches of 1,024,
    not 128, so that a large GPU has enough to do, and the rate times the root of 8, as Adam's
    scales with the batch (Malladi et al. 2022, arXiv 2205.10287).
    """
    side, epochs = 16 if task.smallest else SIDE, 300
    return PretrainConfig(
        model=ClassifierConfig(_nano(task), (side,), weights=weights, new_head=bool(weights)),
        **_data(task, task.cifar, side),
        augment=AugmentConfig(
            (1, 1), shift=0.125, policy="autoaugment", cutmix=1.0, label_smoothing=0.1
        ),
        optim=OptimConfig("adam", lr=1e-3 * 8**0.5, weight_decay=5e-5, betas=(0.9, 0.99)),
        run=_run(task, epochs, NANO_BATCH, warmup=5 / epochs),
    )


def fractals(task: Task) -> PretrainConfig:
    """Mixer-nano on 100,000 images of 500 formulas, drawn before it begins; 100 epochs.

    The preset cifar10_fractals of core/pretraining/presets.py with a finite supply of images,
    since they are held on the device.
    """
    classes, instances = (4, 4) if task.smallest else (500, 200)
    drawn = replace(small_fractals(classes), instances=instances)
    drawn = replace(drawn, points=500, size=20) if task.smallest else drawn
    side = 16 if task.smallest else SIDE
    return PretrainConfig(
        model=ClassifierConfig(_nano(task), (side,)),
        train=TrainImagesConfig("fractals", on_device=20 if task.smallest else LARGER),
        val=ImagesConfig("fractals", "val", workers=_workers(task)),
        fractals=drawn,
        held_out=1 if task.smallest else 10,
        augment=AugmentConfig(crop_area=(0.5, 1.0), vertical_flip=0.5),
        protocol="direct",
        eval=EvalConfig(500),
        optim=OptimConfig("adamw", lr=2e-3 * 8**0.5, weight_decay=0.1),  # 2e-3 at batches of 128
        run=_run(task, epochs=100, batch=NANO_BATCH),
    )


def few_fractals(config: PretrainConfig, count: int) -> PretrainConfig:
    """The same with so many images of each formula, for what only measures."""
    few: FractalsConfig = replace(config.fractals, instances=count)
    return replace(config, fractals=few)


def _data(task: Task, folder: str, side: int) -> dict:
    train = TrainImagesConfig(folder, on_device=side)
    val = ImagesConfig(str(tested(folder)), workers=_workers(task))
    return {"train": train, "val": val, "protocol": "direct", "eval": EvalConfig(500)}


def tested(folder: str) -> Path:
    """The .npz beside train.npz. Raises InputError where it is not one."""
    others = [path for path in sorted(Path(folder).glob("*.npz")) if path.name != "train.npz"]
    if len(others) != 1:
        raise InputError(f"{folder} needs one .npz beside train.npz to test on, not {len(others)}")
    return others[0]


def _nano(task: Task) -> str:
    return "mixer_c16_l1_p8" if task.smallest else NANO


def _workers(task: Task) -> int:
    return 0 if task.smallest else 4


def _run(task: Task, epochs: float, batch: int, warmup: float = 0.05) -> RunConfig:
    return RunConfig(
        epochs=SHORT if task.smallest else epochs,
        batch_size=8 if task.smallest else batch,
        schedule=ScheduleConfig("cosine", warmup=warmup),
        precision="bf16",
        compile=not task.smallest,
        log_every=20,
        save_every=0,
        trackers=(),
    )
