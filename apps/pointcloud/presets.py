"""The presets of training: names, and functions whose docstring says what to expect."""

from __future__ import annotations

from dataclasses import replace

from apps.pointcloud.config import (
    DataConfig,
    LossConfig,
    ModelConfig,
    PointCloudConfig,
    ScanConfig,
    VaryConfig,
)
from core.config import needs
from core.training.run import RunConfig


def demo() -> PointCloudConfig:
    """`surface`, smaller and shorter: Chamfer L1 0.051 (the input 0.083), 3 minutes on 2 cores."""
    base = surface()
    return replace(
        base,
        model=replace(base.model, channels=32, blocks=2, points=8),
        run=replace(base.run, folder="runs/pointcloud/demo", steps=600, eval_every=300),
    )


def voxels() -> PointCloudConfig:
    """Embedded solids by way of voxels: half the input's Chamfer L1 (0.041), 35 minutes on a core.

    As the paper has it: a sparse hourglass says which voxels are occupied, PointMixer refines them.
    """
    return PointCloudConfig(
        data=DataConfig(outputs=4096),
        model=ModelConfig(voxel_length=1 / 12, hourglasses=1, depth=2, points=8),
        run=RunConfig(
            "runs/pointcloud/voxels",
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
    base = voxels()
    run = replace(base.run, folder="runs/pointcloud/debug", steps=2, batch_size=2, log_every=1)
    return replace(
        base,
        data=replace(base.data, outputs=256, workers=0),
        embedded=replace(base.embedded, train=1, val=1),
        corruption=replace(base.corruption, points=64),
        model=replace(base.model, voxel_length=1 / 8, channels=16, depth=1, blocks=1),
        run=replace(run, eval_every=0, save_every=0, trackers=()),
    )


def solids_small() -> PointCloudConfig:
    """`voxels`, shorter, for comparisons: Chamfer L1 0.047 in about 5 minutes on a core."""
    base = voxels()
    run = replace(base.run, folder="runs/pointcloud/solids_small", steps=600)
    return replace(base, run=replace(run, eval_every=0, save_every=200))


@needs("data.root")
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


def surface() -> PointCloudConfig:
    """Embedded solids as scans and as clouds, learnt as displacements of moving least squares.

    It begins at that baseline: Chamfer L1 0.0484 on the suite `embedded`, 39.9 mm on a real living
    room, in an hour on a core and its loaders. The kept network `scans`.
    """
    base = voxels()
    return replace(
        base,
        data=replace(base.data, turn="any"),
        vary=VaryConfig(points=(256, 1024), noise=(0.0, 0.04), outliers=(0.0, 0.1)),
        scan=ScanConfig(share=0.5),
        model=ModelConfig(start="surface", channels=48, blocks=3, points=12, smoothing=64),
        loss=LossConfig(accuracy=3.0),
        optim=replace(base.optim, lr=2e-3),
        run=replace(base.run, folder="runs/pointcloud/surface", steps=6000, eval_every=1500),
    )


def surface_debug() -> PointCloudConfig:
    """The same network, small, on a few solids, 2 steps: does everything run?"""
    base, own = debug(), surface()
    return replace(
        base,
        scan=own.scan,
        model=replace(own.model, channels=16, blocks=1, neighbours=8, points=4, smoothing=16),
        run=replace(base.run, folder="runs/pointcloud/surface_debug"),
    )


_ALL = (demo, voxels, debug, solids_small, modelnet10_small, surface, surface_debug)
PRESETS = {make.__name__: make for make in _ALL}
