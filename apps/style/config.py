"""Everything that a style run is told; the presets are in presets.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from core.data.augment import AugmentConfig
from core.data.images.files import MOST_PIXELS, PixelLimit
from core.models.network import ClassifierConfig
from core.ranges import Count, Decay, NonNegative, Part, Range, Seed, Whole, Workers
from core.training.optim import OptimConfig
from core.training.run_config import RunConfig


@dataclass(frozen=True)
class DataConfig:
    """Which paintings, which classes, and who validates."""

    root: str = ""  # a folder, hub:<name>#<label column>, a packed .npz; of a csv file's paths
    lists: str = ""  # the folder of ArtGAN's lists, where it is not <root>/Style
    csv: str = ""  # a csv file instead: path, class[, split]; its folder is the default root
    split: Literal["official", "stratified", "artist"] = "official"
    classes: Literal[0, 21, 27] = 0  # of WikiArt; 21: without the six smallest; 0: as found
    # of stratified and artist
    val_share: Part = 0.3
    seed: Seed = 0  # of the same, and of long_tail
    # above 1: thin the training paintings (splits.py), to study imbalance
    long_tail: Annotated[float, Range(1)] = 1.0
    max_pixels: Whole = MOST_PIXELS  # of a decoded scan; a larger JPEG is read at 1/2, 1/4 or 1/8
    skip_bad: Whole = 0  # missing files to leave out before stopping, and damaged ones
    workers: Workers = 2  # loader processes for each training process
    # of the training data, and validates in place of the validation data: to choose settings by
    tune_share: Decay = 0.0
    stream: bool = False  # read a hub: set in turn, without downloading it
    buffer: Count = 1000  # streams: images that a process holds, encoded, to shuffle them
    retries: Whole = 5  # streams: how often reading is tried again, at growing intervals

    @property
    def limit(self) -> PixelLimit:
        """The largest picture, and what a person sets for it."""
        return PixelLimit(self.max_pixels, "--data.max-pixels")


@dataclass(frozen=True)
class EmbeddedConfig:
    """The embedded paintings, which are made where `data.root` and `data.csv` are empty."""

    train: Count = 200  # of each style
    val: Count = 40  # of each style; of scenes that training does not see
    seed: Seed = 0
    size: Annotated[int, Range(32, 4_096)] = 96  # pixels of the longer side


@dataclass(frozen=True)
class LossConfig:
    """How the loss treats classes of unequal sizes (losses.py)."""

    name: Literal["plain", "weighted", "logit_adjusted", "focal"] = "plain"
    tau: NonNegative = 1.0  # of logit_adjusted; 0 is plain
    gamma: NonNegative = 2.0  # of focal; 0 is plain


@dataclass(frozen=True)
class EvalConfig:
    """How the validation paintings are evaluated, in training and by eval.py."""

    batch_size: Count = 64  # paintings at a time, for each process


# what --help shows, beside what all trainings have (core/help.py); --help-all has the others
CHANGED_MOST = ("data.root", "data.csv", "model.backbone", "model.weights")


@dataclass(frozen=True)
class StyleConfig:
    """One training run of the style app."""

    RENAMED: ClassVar[dict[str, str]] = {
        "paintings.train": "embedded.train",
        "paintings.val": "embedded.val",
        "paintings.seed": "embedded.seed",
        "paintings.size": "embedded.size",
        "eval_batch": "eval.batch_size",
    }

    data: DataConfig = DataConfig()
    embedded: EmbeddedConfig = EmbeddedConfig()
    model: ClassifierConfig = ClassifierConfig()
    augment: AugmentConfig = AugmentConfig(crop_area=(0.25, 1.0))
    sampling: Literal["plain", "square_root"] = "plain"  # data/sampling.py
    loss: LossConfig = LossConfig()
    protocol: str = "squash"  # of evaluation, core/data/transforms.py
    eval: EvalConfig = EvalConfig()
    optim: OptimConfig = OptimConfig(weight_decay=0.1)
    run: RunConfig = field(default_factory=RunConfig)
