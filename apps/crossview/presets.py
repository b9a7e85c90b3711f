"""The presets: complete configurations by name, with what to expect of each."""

from __future__ import annotations

from dataclasses import replace

from apps.crossview.config import (
    ADAM,
    CrossViewConfig,
    DataConfig,
    DiscriminatorConfig,
    EmbeddedConfig,
    LossConfig,
    ModelConfig,
)
from core.config import needs
from core.training.optim import ScheduleConfig
from core.training.run_config import RunConfig


def demo() -> CrossViewConfig:
    """Embedded towns, small CrossMLP: 20.2 dB, SSIM 0.67 (baselines: 17.9, 0.63); 14 min a core."""
    return CrossViewConfig(
        data=DataConfig(size=(64, 64), enlarge=1.0, workers=1),
        model=ModelConfig(
            width=16, blocks=3, depth=2, patch=2, selection_width=26, backbone="mixer_c128_l4_p8"
        ),
        discriminator=DiscriminatorConfig(width=16, halvings=2),
        loss=LossConfig(adversarial=0.2),
        optim=replace(ADAM, lr=1e-3),
        d_optim=replace(ADAM, lr=4e-4),
        run=RunConfig(
            "runs/crossview/demo",
            steps=1600,
            batch_size=8,
            schedule=ScheduleConfig("linear", warmup=0.02),
            clip=0.0,
            ema=0.998,
            eval_every=400,
            save_every=200,
            best="ssim",
        ),
    )


def debug() -> CrossViewConfig:
    """A few embedded towns and 2 steps: does everything run? Seconds on any machine."""
    base = demo()
    run = replace(
        base.run,
        folder="runs/crossview/debug",
        steps=2,
        batch_size=2,
        log_every=1,
        eval_every=0,
        save_every=0,
        ema=0.9,
        trackers=(),
    )
    return replace(
        base,
        data=replace(base.data, size=(32, 32), workers=0),
        embedded=EmbeddedConfig(train=4, val=3),
        model=replace(base.model, width=4, blocks=1, depth=1, selection_width=4, candidates=2),
        discriminator=DiscriminatorConfig(width=4, halvings=1),
        run=run,
    )


def towns_small() -> CrossViewConfig:
    """Embedded towns, for comparisons of generators: a core and a few minutes."""
    base = demo()
    run = replace(base.run, folder="runs/crossview/towns_small", steps=600, eval_every=0, ema=0.99)
    return replace(base, run=run)


def towns() -> CrossViewConfig:
    """Embedded towns, a Mixer that sees no map: the network that is kept as `towns`.

    For pictures from above alone, as people have them.
    """
    base = demo()
    return replace(
        base,
        embedded=EmbeddedConfig(train=6000),
        model=ModelConfig(
            generator="mixer", backbone="mixer_c128_l6_p4", width=32, fusion=2, sees_map=False
        ),
        discriminator=DiscriminatorConfig(width=24, halvings=3),
        run=replace(
            base.run,
            folder="runs/crossview/towns",
            steps=7000,
            batch_size=16,
            precision="bf16",
            eval_every=1000,
            save_every=100,
        ),
    )


def _released(name: str, epochs: int, hold: int, **data) -> CrossViewConfig:
    """As CrossMLP was released: 256x256, batch 4, the learning rate held, then linear to 0."""
    run = RunConfig(
        f"runs/crossview/{name}",
        epochs=epochs,
        batch_size=4,
        schedule=ScheduleConfig("linear", warmup=0, hold=hold / epochs),
        clip=0.0,
        eval_every=20_000,
        save_every=5_000,
        best="ssim",
    )
    return CrossViewConfig(data=DataConfig(flip=False, workers=8, **data), run=run)


@needs("data.root")
def dayton() -> CrossViewConfig:
    """CrossMLP on Dayton's quadruples, 481 k steps; needs --data.root. Not run.

    Dealt anew by panorama: --data.split official is the published split, whose test images share
    panoramas with training.
    """
    return _released("dayton", 35, 20, palette="cityscapes", split="panorama")


@needs("data.root")
def cvusa() -> CrossViewConfig:
    """CrossMLP on CVUSA's quadruples, 266 k steps; needs --data.root. Not run."""
    return _released("cvusa", 30, 15, palette="cvusa")


PRESETS = {make.__name__: make for make in (demo, debug, towns_small, towns, dayton, cvusa)}
