"""The presets of the pose app: what `train.py NAME` runs, and what to expect of it."""

from __future__ import annotations

from dataclasses import replace

from apps.pose.config import (
    AugmentConfig,
    DataConfig,
    EmbeddedConfig,
    EvalConfig,
    ModelConfig,
    PoseConfig,
)
from core.config import needs
from core.training.optim import OptimConfig, ScheduleConfig
from core.training.run import RunConfig


def demo() -> PoseConfig:
    """Embedded people, the kept network `people` trained on: AP 0.79 in 4 minutes on 2 CPU cores.

    It begins with AP 0.78: `people` has learnt from such drawings, beside photographs; of the
    held-out images it has seen none. From random weights: demo_scratch.
    """
    kept, base = people_lsp(), demo_scratch()
    return replace(
        base,
        model=replace(kept.model, weights="people"),
        augment=replace(base.augment, scale=(0.8, 1.2), rotation=15.0),
        optim=replace(kept.optim, lr=3e-4),
        run=replace(base.run, folder="runs/pose/demo", steps=150, eval_every=75, save_every=50),
    )


def demo_scratch() -> PoseConfig:
    """Embedded people, a small Mixer from random weights: AP 0.52 in 5 minutes on 2 CPU cores."""
    return PoseConfig(
        embedded=EmbeddedConfig(train=4000),
        model=ModelConfig(
            backbone="mixer_c128_l2_p16",
            image_size=(128, 96),
            simcc_maps=16,
            simcc_split=1.0,
            sigma=2.5,
            simcc_dark=True,
        ),
        augment=AugmentConfig(half_body=0.0, scale=(0.9, 1.1), rotation=0.0, shift=0.03),
        optim=OptimConfig(lr=8e-3),
        eval=EvalConfig(flip_test=True),
        run=RunConfig(
            folder="runs/pose/demo_scratch",
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
        demo_scratch(),
        data=DataConfig(workers=0),
        embedded=EmbeddedConfig(train=8, val=4),
        model=ModelConfig(backbone="mixer_c32_l2_p16", image_size=(64, 48), sigma=3.0),
        eval=EvalConfig(batch_size=4),
        run=RunConfig(
            folder="runs/pose/debug", steps=2, batch_size=4, log_every=1, best="AP", trackers=()
        ),
    )


@needs("data.root", "data.sets")
def coco_mixer_b16_256x192() -> PoseConfig:
    """COCO train2017, Mixer-B/16 and SimCC at 256x192; needs --data.root. Not run yet.

    No 2-D COCO model with an all-MLP backbone is published, so there is no figure to expect. It
    starts from the ImageNet-21k weights, which are fetched and moved to a grid of 16x12. The
    schedule (210 epochs, batch 512, SimCC with sigma 6 and 2 bins a pixel) is that of mmpose's
    SimCC configs; the optimizer is AdamW with the Mixer's clipping and stochastic depth.
    """
    return PoseConfig(
        model=ModelConfig(weights="imagenet21k", stochastic_depth=0.1),
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


@needs("data.root", "data.sets")
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


@needs("data.root", "data.sets")
def coco_mixer_b16_384x288() -> PoseConfig:
    """COCO train2017, Mixer-B/16 and SimCC at 384x288; needs --data.root. Not run.

    As coco_mixer_b16_256x192, on a grid of 24x18, to which the weights are moved.
    """
    return _at(coco_mixer_b16_256x192(), "coco_mixer_b16_384x288", image_size=(384, 288))


@needs("data.root", "data.sets")
def coco_mlp_pose_hrnet_w48_384x288() -> PoseConfig:
    """COCO train2017, MLP-Pose on HRNet-W48 at 384x288; needs --data.root. Not run.

    Reported by the paper of MLP-Pose: 77.0 AP (val), 76.2 (test-dev), without its backbone, its
    crop and its schedule; this is our reconstruction (models/mlp_pose.py) on the likely ones.
    Reported for HRNet-W48 and SimCC alone: 76.0 (test-dev). The schedule is that of mmpose's SimCC
    configs: Adam at 1e-3, batch 512, 210 epochs.
    """
    base = coco_mixer_b16_256x192()
    model = ModelConfig(
        backbone="timm:hrnet_w48",
        weights="timm",
        image_size=(384, 288),
        levels=(1, 2, 3, 4),  # its four branches
        fuse=True,
        mixer_depth=4,
    )
    return replace(
        base,
        model=model,
        optim=OptimConfig("adam", lr=1e-3, weight_decay=0.0),
        run=replace(base.run, folder="runs/pose/coco_mlp_pose_hrnet_w48_384x288"),
    )


@needs("data.root", "data.sets")
def coco_mlp_pose_hrnet_w32_256x192() -> PoseConfig:
    """COCO train2017, MLP-Pose on HRNet-W32 at 256x192; needs --data.root. Not run."""
    base, name = coco_mlp_pose_hrnet_w48_384x288(), "coco_mlp_pose_hrnet_w32_256x192"
    return _at(base, name, backbone="timm:hrnet_w32", image_size=(256, 192))


@needs("data.root", "data.sets")
def coco_hrnet_w32_heatmap_256x192() -> PoseConfig:
    """COCO train2017, HRNet-W32 and heatmaps (arXiv 1902.09212); needs --data.root. Not run.

    Reported for this network by mmpose: 74.9 AP with detection boxes.
    """
    base, name = coco_resnet50_heatmap_256x192(), "coco_hrnet_w32_heatmap_256x192"
    return _at(base, name, backbone="timm:hrnet_w32")


def people_mlp_pose() -> PoseConfig:
    """Embedded people, demo_scratch's network and MLP-Pose's parts on it, a core, 4 minutes.

    AP 0.437 (3 seeds); 0.431 without the parts, 0.443 with the fuse module alone.
    """
    base = demo_scratch()
    parts = {"fuse": True, "mixer_depth": 2, "mixer_width": 128}
    model = replace(base.model, simcc_dark=False, **parts)  # largest bins, as SimCC is published
    run = replace(base.run, folder="runs/pose/people_mlp_pose", steps=1800)
    return replace(base, model=model, run=run)


@needs("data.root", "data.sets")
def lsp_mixer_small() -> PoseConfig:
    """LSP-extended's 14 keypoints, a small Mixer of 0.8 M parameters, 4 minutes on a core.

    PCK@0.2 of the torso 0.147 (3 seeds), 0.194 with --model.weights of fractals (RESULTS.md).
    Needs --data.root, a folder with keypoints_train.json, keypoints_val.json and images/.
    """
    return PoseConfig(
        data=DataConfig(
            train_json="keypoints_train.json",
            train_images="images",
            val_json="keypoints_val.json",
            val_images="images",
            workers=1,
        ),
        model=ModelConfig(
            backbone="mixer_c128_l4_p8",
            image_size=(96, 80),
            simcc_maps=8,
            simcc_split=1.0,
            sigma=2.5,
        ),
        augment=AugmentConfig(half_body=0.0, scale=(0.75, 1.25), rotation=30.0, shift=0.05),
        optim=OptimConfig(lr=2e-3),
        eval=EvalConfig(flip_test=True),
        run=RunConfig(
            folder="runs/pose/lsp_mixer_small",
            steps=1200,
            batch_size=32,
            ema=0.995,
            log_every=50,
            eval_every=600,
            save_every=600,
            best="PCK@0.2 torso",
        ),
    )


def people_lsp() -> PoseConfig:
    """Embedded people and all of LSP-extended, 19 keypoints: the Mixer that is kept as `people`.

    PCK@0.2 of the torso 0.55, of the box 0.82, drawn people AP 0.78 (one seed, 2 hours on 2 cores).
    Needs --data.root, the folder in which lspet is, or --data.sets people lspet=FOLDER. One person
    drawn to three real ones, evaluated on each: people AP, lspet PCK@0.2 torso. From the kept
    network `photos`; 4.7 M parameters, 9.4 MB in half precision.
    """
    base = lsp_mixer_small()
    return replace(
        base,
        data=DataConfig(sets=("people", "lspet"), shares=(1.0, 3.0), workers=1),
        embedded=EmbeddedConfig(train=4000),
        model=replace(
            base.model,
            backbone="mixer_c256_l8_p16",
            image_size=(192, 160),  # LSP's boxes are nearly square: lying and standing people
            weights="photos",
            simcc_maps=1,
            simcc_places=True,
            simcc_dark=True,
            sigma=5.0,  # of the box's 192 pixels; chosen on training people
            stochastic_depth=0.05,
        ),
        augment=AugmentConfig(
            half_body=0.1,
            scale=(0.7, 1.3),
            rotation=45.0,
            shift=0.08,
            turn=0.3,
            colour=0.3,
            occlusion=0.3,
        ),
        optim=OptimConfig("timm:muon", lr=3e-3, weight_decay=0.05, layer_decay=0.9),
        run=replace(
            base.run,
            folder="runs/pose/people_lsp",
            steps=10_000,
            batch_size=64,
            precision="bf16",
            ema=0.999,
            eval_every=1_000,
            save_every=100,
            best="lspet PCK@0.2 torso",
        ),
    )


@needs("data.root", "data.sets")
def lsp_mlp_pose_small() -> PoseConfig:
    """LSP-extended, lsp_mixer_small with MLP-Pose's parts, 1.2 M parameters, 5 minutes on a core.

    PCK@0.2 of the torso 0.147 (3 seeds), 0.198 with --model.weights of fractals.
    """
    base, name = lsp_mixer_small(), "lsp_mlp_pose_small"
    return _at(base, name, fuse=True, mixer_depth=2, mixer_width=128)


def _at(base: PoseConfig, name: str, **model) -> PoseConfig:
    """``base`` with another network, under another name."""
    run = replace(base.run, folder=f"runs/pose/{name}")
    return replace(base, model=replace(base.model, **model), run=run)


PRESETS = {
    make.__name__: make
    for make in (
        demo,
        demo_scratch,
        debug,
        people_mlp_pose,
        lsp_mixer_small,
        lsp_mlp_pose_small,
        people_lsp,
        coco_mixer_b16_256x192,
        coco_mixer_b16_384x288,
        coco_mlp_pose_hrnet_w32_256x192,
        coco_mlp_pose_hrnet_w48_384x288,
        coco_hrnet_w32_heatmap_256x192,
        coco_resnet50_heatmap_256x192,
    )
}
