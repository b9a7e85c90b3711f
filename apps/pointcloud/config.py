"""Everything a reconstruction run can be told; `apps/pointcloud/presets.py` has the presets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from core.ranges import (
    Count,
    Counts,
    Decay,
    Fractions,
    Layers,
    NonNegative,
    Positive,
    Range,
    Seed,
    Share,
    Whole,
    Workers,
)
from core.training.optim import OptimConfig
from core.training.run import RunConfig

Start = Literal["voxels", "surface"]
Turn = Literal["none", "upright", "any"]


@dataclass(frozen=True)
class DataConfig:
    """Which clouds, and what is made of them."""

    root: str = ""  # a folder or an npz; empty: the embedded solids
    outputs: Count = 2048  # points of a target
    turn: Turn = "upright"  # random rotations in training
    mesh_points: Count = 4096  # that meshes are sampled with
    # of the training data, and validates in place of the validation data: to choose settings by
    tune_share: Decay = 0.0
    skip_bad: Whole = 0  # damaged files to leave out before stopping; each one is named
    workers: Workers = 2  # loader processes for each training process


@dataclass(frozen=True)
class EmbeddedConfig:
    """The embedded solids (`apps/pointcloud/solids/`), where data.root is empty."""

    train: Count = 60  # shapes of each kind
    val: Count = 5
    seed: Seed = 0


@dataclass(frozen=True)
class CorruptionConfig:
    """How inputs are made. Lengths are in radii of the unit sphere, for scenes in metres."""

    points: Count = 512  # of the input
    noise: NonNegative = 0.02  # standard deviation of each coordinate
    outliers: Share = 0.05  # share of the points that lie anywhere in the bounding box
    # of the density: exp(bias) times as dense a radius further in one direction
    bias: Annotated[float, Range(-20, 20)] = 1.0
    holes: Whole = 1  # balls without points
    hole_radius: NonNegative = 0.2


# Of every test suite of shapes (docs/pointcloud_protocol.md). The numbers stand here on their own,
# so that another default of training does not change the protocol.
SHAPES = CorruptionConfig(points=512, noise=0.02, outliers=0.05, bias=1.0, holes=1, hole_radius=0.2)


@dataclass(frozen=True)
class VaryConfig:
    """What differs from one training input to the next, the least and the largest; empty: nothing.

    Drawn anew for each, uniform (of points the logarithm); validation has the corruption as it is.
    """

    points: Counts = ()
    noise: Annotated[tuple[float, ...], Range(0)] = ()
    outliers: Fractions = ()


@dataclass(frozen=True)
class ScanConfig:
    """Training inputs that are what a depth camera sees of a cloud (`data/scanning.py`), in metres.

    Noise, holes and density are the camera's; points and outliers are those of the corruption.
    """

    share: Share = 0.0  # of the training inputs; the others are corrupted as validation's are
    views: Count = 4  # at most, 1 at least
    pose: NonNegative = 0.004  # standard deviation of a view's place; of its turn as many radians
    smallest: Positive = 0.5  # radius that a cloud is taken to have
    largest: Positive = 2.5
    clusters: Whole = 2  # that the outliers lie in, as many as not


@dataclass(frozen=True)
class ModelConfig:
    """The reconstruction network. `voxel_length`, `hourglasses` and `depth` are of voxels alone."""

    start: Start = "voxels"  # what is refined: occupied voxels, or the input's own surface
    voxel_length: Positive = 1 / 16  # of the radius of the normalised input
    channels: Count = 32  # at stride 1; of the operator too
    hourglasses: Layers = 2
    depth: Annotated[int, Range(1, 16)] = 3  # strides 1 to 2^depth
    operator: str = "pointmixer"  # a name of apps/pointcloud/models/operators
    neighbours: Count = 16
    blocks: Layers = 2  # around the operator
    points: Count = 4  # of each voxel, or of each point of the input
    # of surface, in evaluation: each new point goes half of the way to one through so many of them,
    # 16 at least; 0: it stays
    smoothing: Whole = 0

    @property
    def coarsest(self) -> float:
        """Tiles and margins are whole numbers of it: the largest voxels, or half a unit."""
        return 0.5 if self.start == "surface" else self.voxel_length * 2**self.depth


@dataclass(frozen=True)
class LossConfig:
    """Weights of the losses."""

    occupancy: NonNegative = 1.0  # of voxels
    chamfer: NonNegative = 1.0
    # of points on the input's surface, in the Chamfer distance: that of the predicted points to the
    # true ones. At 1 it pays to put points on both sides of where the surface may be.
    accuracy: NonNegative = 1.0
    validity: NonNegative = 0.3  # of points on the input's surface: whether something true is near
    near: Positive = 0.75  # spacings of the input within which a true point makes one valid


@dataclass(frozen=True)
class EvalConfig:
    """Evaluation during training."""

    batch_size: Count = 8  # clouds at a time, for each process


# what --help shows, beside what all trainings have (core/help.py); --help-all has the others
CHANGED_MOST = ("data.root", "data.outputs", "model.operator", "model.start")


@dataclass(frozen=True)
class PointCloudConfig:
    """One training run of the point cloud app."""

    RENAMED: ClassVar[dict[str, str]] = {
        "data.solids_train": "embedded.train",
        "data.solids_val": "embedded.val",
        "data.solids_seed": "embedded.seed",
        "eval_batch": "eval.batch_size",
    }

    data: DataConfig = DataConfig()
    embedded: EmbeddedConfig = EmbeddedConfig()
    corruption: CorruptionConfig = SHAPES  # of inputs, as the test suites of shapes have it
    vary: VaryConfig = VaryConfig()
    scan: ScanConfig = ScanConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    mixer_weights: str = ""  # of an image Mixer, for the channel mixing of operator core_mixer
    eval: EvalConfig = EvalConfig()
    optim: OptimConfig = OptimConfig(lr=3e-3, weight_decay=0.01)
    run: RunConfig = field(default_factory=RunConfig)
