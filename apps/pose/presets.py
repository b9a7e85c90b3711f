"""The presets of the pose app: what `train.py NAME` runs, and what to expect of it."""

from __future__ import annotations

from dataclasses import replace

from apps.pose.config import AugmentConfig, DataConfig, EvalConfig, ModelConfig, PoseConfig
from core.training.optim import OptimConfig, ScheduleConfig
from core.training.run import RunConfig


def demo() -> PoseConfig:
    """Embedded people, a small Mixer, 2 CPU cores: AP 0.51 in about 9 minutes, drawing included."""
    return PoseConfig(
        data=DataConfig(people_train=4000),
        model=ModelConfig(
            backbone="mixer_c128_l2_p16",
            image_size=(128, 96),
            simcc_maps=16,
            simcc_split=1.0,
            sigma=2.5,
        ),
        augment=AugmentConfig(half_body=0.0, scale=(0.9, 1.1), rotation=0.0, shift=0.03),
        optim=OptimConfig(lr=8e-3),
        eval=EvalConfig(flip_test=True),
        run=RunConfig(
            folder="runs/pose/demo",
            steps=3600,
            batch_size=32,
            ema=0.995,
            log_every=50,
            eval_every=1200,
            save_every=600,
            best="AP",
        ),
    )


def debug() -> PoseConfig:
    """A few embedded people and 2 steps: does everything run? Seconds on any machine."""
    return replace(
        demo(),
        data=DataConfig(people_train=8, people_val=4, workers=0),
        model=ModelConfig(backbone="mixer_c32_l2_p16", image_size=(64, 48), sigma=3.0),
        eval=EvalConfig(batch_size=4),
        run=RunConfig(
            folder="runs/pose/debug", steps=2, batch_size=4, log_every=1, best="AP", trackers=()
        ),
    )


def coco_mixer_b16_256x192() -> PoseConfig:
    """COCO train2017, Mixer-B/16 and SimCC at 256x192; needs --data.root. Not run yet.

    No 2-D COCO model with an all-MLP backbone is published, so there is no figure to expect. The
    schedule (210 epochs, batch 512, SimCC with sigma 6 and 2 bins a pixel) is that of mmpose's
    SimCC configs; the optimizer is AdamW with the Mixer's clipping and stochastic depth.
    """
    return PoseConfig(
        model=ModelConfig(stochastic_depth=0.1),
        optim=OptimConfig(lr=5e-4, weight_decay=0.1),
        eval=EvalConfig(flip_test=True),
        run=RunConfig(
            folder="runs/pose/coco_mixer_b16_256x192",
            epochs=210,
            batch_size=512,
            schedule=ScheduleConfig("step", warmup=500, milestones=(170 / 210, 200 / 210)),
            ema=0.9998,
            log_every=50,
            eval_every=2924,  # 10 epochs of 149,813 people
            save_every=2924,
            best="AP",
        ),
    )


def coco_resnet50_heatmap_256x192() -> PoseConfig:
    """COCO train2017, SimpleBaseline (ResNet-50, three deconvolutions); needs --data.root. Not run.

    Reported for this network by mmpose: 71.8 AP with detection boxes.
    """
    base = coco_mixer_b16_256x192()
    return replace(
        base,
        model=ModelConfig(backbone="timm:resnet50", weights="timm", head="heatmap", sigma=2.0),
        optim=OptimConfig(name="adam", lr=5e-4, weight_decay=0.0),
        run=replace(base.run, folder="runs/pose/coco_resnet50_heatmap_256x192"),
    )


PRESETS = {
    make.__name__: make
    for make in (demo, debug, coco_mixer_b16_256x192, coco_resnet50_heatmap_256x192)
}
