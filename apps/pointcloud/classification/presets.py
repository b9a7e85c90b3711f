"""The presets of classification: names, and functions whose docstring says what to expect."""

from __future__ import annotations

from dataclasses import replace

from apps.pointcloud.classification.config import ClassifyConfig, DataConfig, ModelConfig
from apps.pointcloud.config import EmbeddedConfig
from core.config import needs
from core.training.run import RunConfig


def solids() -> ClassifyConfig:
    """The eleven kinds of embedded solids, PointMixer, some minutes on a core."""
    return ClassifyConfig(
        data=DataConfig(points=256, turn="upright"),
        run=RunConfig(
            "runs/pointcloud/classify_solids",
            steps=400,
            batch_size=32,
            eval_every=200,
            save_every=100,
            best="top1",
        ),
    )


@needs("data.root")
def modelnet10() -> ClassifyConfig:
    """ModelNet10 at 512 points, evaluated on its test split: set --data.root to clouds or meshes.

    The last checkpoint is what is reported: no figure of the test split chooses one.
    """
    base = solids()
    run = replace(base.run, folder="runs/pointcloud/classify_modelnet10")
    run = replace(run, steps=0, epochs=20.0, eval_every=0, best="")
    return replace(base, data=DataConfig(test="test"), run=run)


def debug() -> ClassifyConfig:
    """A few embedded solids and 2 steps: does everything run? Seconds on any machine."""
    base = solids()
    run = replace(base.run, folder="runs/pointcloud/classify_debug", steps=2, batch_size=4)
    return replace(
        base,
        data=replace(base.data, points=64, workers=0),
        embedded=EmbeddedConfig(train=1, val=1),
        model=ModelConfig(channels=(16, 16), blocks=(1, 1), neighbours=4),
        run=replace(run, log_every=1, eval_every=0, save_every=0, trackers=()),
    )


PRESETS = {make.__name__: make for make in (solids, modelnet10, debug)}
