"""What the training phases train; lengths are planned ones (`planning.py` shortens them)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.gpu_phases.task import Task
from core.data.images.labelled import ImagesConfig, TrainImagesConfig
from core.errors import InputError
from core.evaluation.common import EvalConfig
from core.models.network import ClassifierConfig
from core.pretraining.config import PretrainConfig, TransferConfig
from core.pretraining.presets import PRESETS
from core.training.run import RunConfig

TINY = "mixer_c16_l1_p8"  # of the smallest form
BATCH = 500  # of evaluations
NANO_BATCH, PHOTOS_BATCH = 1024, 512
SHORT = 4  # epochs of the smallest form
SIDE, LARGER = 32, 40  # pixels of CIFAR, and that fractals are drawn and held at


def photos(task: Task) -> PretrainConfig:
    """The preset `photos`, which is one network for 48 to 192 pixels.

    Deviations: batches of 512, not 256, with a rate larger by the root of 2, and a warm-up that
    shrinks with the run. It is not compiled: each size, in training and in evaluation, would be.
    """
    base = PRESETS["photos"]()
    schedule = replace(base.run.schedule, warmup=0.02)
    run = _run(task, base.run, PHOTOS_BATCH, compiled=False)
    base = replace(
        base,
        **_data(task, task.photos, base.train.on_device),
        optim=replace(base.optim, lr=base.optim.lr * (PHOTOS_BATCH / base.run.batch_size) ** 0.5),
        run=replace(run, schedule=schedule),
    )
    if not task.smallest:
        return base
    model = replace(base.model, backbone=TINY, image_size=(16,), sizes=(16, 24))
    return replace(base, model=model, growth=replace(base.growth, start=(0.0, 0.5)))


def cifar10(task: Task, weights: str = "") -> PretrainConfig:
    """The preset `cifar10_300`, Mixer-nano by its published recipe; from `weights` if given.

    Deviation: batches of 1,024, not 128, so that a large GPU has enough to do, and the rate times
    the root of 8, as Adam's scales with the batch (Malladi et al. 2022, arXiv 2205.10287).
    """
    base = PRESETS["cifar10_300"]()
    model = replace(base.model, weights=weights, new_head=bool(weights))
    return replace(
        base,
        model=_tiny(model) if task.smallest else model,
        **_data(task, task.cifar, SIDE),
        optim=replace(base.optim, lr=base.optim.lr * (NANO_BATCH / base.run.batch_size) ** 0.5),
        run=_run(task, base.run, NANO_BATCH),
    )


def fractals(task: Task) -> PretrainConfig:
    """The preset `cifar10_fractals` for Mixer-nano, on 60,000 images drawn before it begins.

    Deviations: 100 epochs of these, since they are held on the device, and larger batches. It is
    not compiled, which would take much of its part of the time.
    """
    base, nano = PRESETS["cifar10_fractals"](), PRESETS["cifar10_300"]().model
    drawn = replace(base.fractals, instances=120)
    if task.smallest:
        nano, drawn = _tiny(nano), replace(drawn, classes=4, instances=4, points=500)
    return replace(
        base,
        model=nano,
        train=replace(base.train, on_device=LARGER),
        val=replace(base.val, workers=_workers(task)),
        fractals=drawn,
        held_out=1 if task.smallest else base.held_out,
        eval=EvalConfig(BATCH),
        optim=replace(base.optim, lr=base.optim.lr * (NANO_BATCH / base.run.batch_size) ** 0.5),
        run=_run(task, replace(base.run, epochs=100, steps=0), NANO_BATCH, compiled=False),
        transfer=TransferConfig(),
    )


def few_fractals(config: PretrainConfig, count: int) -> PretrainConfig:
    """The same with so many images of each formula, for what only measures."""
    return replace(config, fractals=replace(config.fractals, instances=count))


def _data(task: Task, folder: str, side: int) -> dict:
    """The fields of a configuration that say what it is trained and tested on."""
    train = TrainImagesConfig(folder, on_device=16 if task.smallest else side)
    val = ImagesConfig(str(tested(folder)), workers=_workers(task))
    return {"train": train, "val": val, "eval": EvalConfig(BATCH)}


def tested(folder: str) -> Path:
    """The .npz beside train.npz. Raises InputError where it is not one."""
    others = [path for path in sorted(Path(folder).glob("*.npz")) if path.name != "train.npz"]
    if len(others) != 1:
        raise InputError(f"{folder} needs one .npz beside train.npz to test on, not {len(others)}")
    return others[0]


def _tiny(model: ClassifierConfig) -> ClassifierConfig:
    return replace(model, backbone=TINY, image_size=(16,))


def _workers(task: Task) -> int:
    return 0 if task.smallest else 4


def _run(task: Task, base: RunConfig, batch: int, compiled: bool = True) -> RunConfig:
    """Of a preset: in bfloat16, in one piece, saved once."""
    return replace(
        base,
        epochs=SHORT if task.smallest else base.epochs,
        batch_size=8 if task.smallest else batch,
        accumulate=1,
        precision="bf16",
        compile=compiled and not task.smallest,
        log_every=20,
        save_every=0,
        best="",
        trackers=(),
    )
