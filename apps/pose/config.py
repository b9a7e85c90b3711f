"""Everything a pose run can be told, and the presets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from core.training.optim import OptimConfig, ScheduleConfig
from core.training.run import RunConfig


@dataclass(frozen=True)
class DataConfig:
    """COCO-style keypoint data; an empty root means the embedded people (`apps/pose/people/`)."""

    root: str = ""  # folder that holds the jsons and the images; empty: make embedded people
    format: Literal["coco", "crowdpose", "ochuman", "aic", "mpii"] = "coco"  # see formats.py
    train_json: str = "annotations/person_keypoints_train2017.json"
    train_images: str = "train2017"  # folder of the training images, below root
    val_json: str = "annotations/person_keypoints_val2017.json"
    val_images: str = "val2017"
    head_boxes: str = ""  # MPII: mpii_gt_val.mat, below root, for PCKh
    outside: Literal["error", "ignore"] = "error"  # keypoints labelled outside their image
    keypoints: str = ""  # yaml with names, skeleton, flip_pairs, sigmas; empty: read the train json
    people_train: int = 3000  # embedded data: training images
    people_val: int = 300  # embedded data: validation images
    people_seed: int = 0
    workers: int = 2  # loader processes for each training process
    skip_bad: int = 0  # damaged or missing images to skip before stopping; each one is named


@dataclass(frozen=True)
class AugmentConfig:
    """mmpose's top-down augmentation; the defaults are those of its COCO configs."""

    flip: float = 0.5  # probability of RandomFlip
    half_body: float = 0.3  # probability of RandomHalfBody
    scale: tuple[float, float] = (0.5, 1.5)  # RandomBBoxTransform: factor of the box size
    rotation: float = 80.0  # RandomBBoxTransform: degrees
    shift: float = 0.16  # RandomBBoxTransform: fraction of the box size


@dataclass(frozen=True)
class ModelConfig:
    """A backbone and a keypoint head."""

    backbone: str = "mixer_b16"  # any name of core.create_backbone
    image_size: tuple[int, int] = (256, 192)  # height, width of the crop around a person
    weights: str = ""  # a file, folder or run to start the backbone from
    stochastic_depth: float = 0.0  # not for timm:*
    grad_checkpointing: bool = False  # not for timm:*
    head: Literal["simcc", "heatmap"] = "simcc"
    simcc_split: float = 2.0  # bins per pixel (SimCC, arXiv 2107.03332)
    simcc_maps: int = 1  # maps of a keypoint before the axes; 1 as published
    simcc_dark: bool = False  # place the peak between bins (DARK, arXiv 1910.06278); not published
    heatmap_codec: Literal["udp", "dark", "msra"] = "udp"  # targets and decoding, see codec.py
    sigma: float = 6.0  # of the target Gaussian: SimCC bins, or heatmap pixels (2.0 is usual)


@dataclass(frozen=True)
class EvalConfig:
    """Evaluation during training; eval.py has the same options."""

    batch_size: int = 64  # per process
    flip_test: bool = False  # average with the mirrored image: better, and twice the time


@dataclass(frozen=True)
class PoseConfig:
    """One training run of the pose app."""

    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = ModelConfig()
    optim: OptimConfig = OptimConfig()
    eval: EvalConfig = EvalConfig()
    run: RunConfig = field(default_factory=RunConfig)


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
