"""Everything a reconstruction run can be told, and the presets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from apps.pointcloud.data.corruption import CorruptionConfig
from apps.pointcloud.data.dataset import DataConfig
from apps.pointcloud.evaluation.suites import SHAPES
from apps.pointcloud.models.losses import LossConfig
from apps.pointcloud.models.network import ModelConfig
from core.training.optim import OptimConfig
from core.training.run import RunConfig


@dataclass(frozen=True)
class PointCloudConfig:
    """One training run of the point cloud app."""

    data: DataConfig = DataConfig()
    corruption: CorruptionConfig = SHAPES  # of inputs, as the test suites of shapes have it
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    mixer_weights: str = ""  # of an image Mixer, for the channel mixing of operator core_mixer
    eval_batch: int = 8  # clouds at a time in evaluation, for each process
    optim: OptimConfig = OptimConfig(lr=3e-3, weight_decay=0.01)
    run: RunConfig = field(default_factory=RunConfig)


def demo() -> PointCloudConfig:
    """Embedded solids, PointMixer: half the input's Chamfer L1 (0.041), 35 minutes on a core."""
    return PointCloudConfig(
        data=DataConfig(outputs=4096),
        model=ModelConfig(voxel_length=1 / 12, hourglasses=1, depth=2, points=8),
        run=RunConfig(
            "runs/pointcloud/demo",
            steps=3600,
            batch_size=4,
            eval_every=900,
            save_every=300,
            best="chamfer_l1",
            best_is="min",
        ),
    )


def debug() -> PointCloudConfig:
    """A few embedded solids and 2 steps: does everything run? Seconds on any machine."""
    base = demo()
    return replace(
        base,
        data=replace(base.data, outputs=256, solids_train=1, solids_val=1, workers=0),
        corruption=replace(base.corruption, points=64),
        model=replace(base.model, voxel_length=1 / 8, channels=16, depth=1, blocks=1),
        run=replace(
            base.run, folder="runs/pointcloud/debug", steps=2, batch_size=2, log_every=1,
            eval_every=0, save_every=0, trackers=(),
        ),
    )  # fmt: skip


def solids_small() -> PointCloudConfig:
    """Embedded solids, for comparisons: Chamfer L1 0.047 in about 5 minutes on a core."""
    base = demo()
    run = replace(base.run, folder="runs/pointcloud/solids_small", steps=600)
    return replace(base, run=replace(run, eval_every=0, save_every=200))


def modelnet10_small() -> PointCloudConfig:
    """ModelNet10's clouds, 256 points to 1,024: L1 0.091, 5 minutes. Set --data.root to its npz."""
    base = solids_small()
    return replace(
        base,
        data=replace(base.data, outputs=1024),
        corruption=replace(base.corruption, points=256),
        model=replace(base.model, voxel_length=1 / 8),
        run=replace(base.run, folder="runs/pointcloud/modelnet10_small"),
    )


PRESETS = {make.__name__: make for make in (demo, debug, solids_small, modelnet10_small)}
