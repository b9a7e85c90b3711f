"""Everything a classification run can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from apps.pointcloud.config import EmbeddedConfig, EvalConfig, Turn
from core.ranges import Count, Layers, NonNegative, Range, Share, Whole, Workers
from core.training.optim import OptimConfig
from core.training.run import RunConfig

Widths, Depths = tuple[Count, ...], tuple[Layers, ...]


@dataclass(frozen=True)
class DataConfig:
    """Which clouds. The class of one is its folder, or of ModelNet what stands before its number.

    Training clouds are changed at random: some of their points, another size, place and turn.
    """

    root: str = ""  # a folder or an npz; empty: the embedded solids, by kind
    test: str = "val"  # split that is evaluated: val, a tenth of train where there is none, or test
    points: Count = 512  # of a cloud; of fewer some come again
    turn: Turn = "none"  # random rotations in training
    scale: Annotated[float, Range(0, 0.9)] = 0.2  # each axis is stretched by 1 - scale to 1 + scale
    shift: NonNegative = 0.1  # radii, at most, in each coordinate
    mesh_points: Count = 4096  # that meshes are sampled with
    skip_bad: Whole = 0  # damaged files to leave out before stopping; each one is named
    workers: Workers = 2  # loader processes for each training process


@dataclass(frozen=True)
class ModelConfig:
    """The network; one entry of `channels` and `blocks` for each of its levels."""

    operator: str = "pointmixer"  # a name of apps/pointcloud/models/operators
    channels: Widths = (32, 64, 128)  # pointmixer needs multiples of 16
    blocks: Depths = (1, 1, 1)  # around the operator
    neighbours: Count = 16
    stride: Count = 4  # points of a level for one of the next
    dropout: Share = 0.3  # before the last layer


@dataclass(frozen=True)
class ClassifyConfig:
    """One training run of a classifier of clouds."""

    data: DataConfig = DataConfig()
    embedded: EmbeddedConfig = EmbeddedConfig()
    model: ModelConfig = ModelConfig()
    label_smoothing: Annotated[float, Range(0, 0.9)] = 0.1
    eval: EvalConfig = EvalConfig(batch_size=32)
    optim: OptimConfig = OptimConfig(lr=2e-3, weight_decay=0.05)
    run: RunConfig = field(default_factory=RunConfig)


# what --help shows, beside what all trainings have (core/help.py); --help-all has the others
CHANGED_MOST = ("data.root", "data.test", "data.points", "model.operator")
