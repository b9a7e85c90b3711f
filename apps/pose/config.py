"""Everything a pose run can be told; `apps/pose/presets.py` has the presets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from core.data.images.files import MOST_PIXELS, PixelLimit
from core.ranges import (
    Count,
    Decay,
    NonNegative,
    Positive,
    Range,
    Seed,
    Share,
    Size,
    Whole,
    Wholes,
    Workers,
)
from core.training.optim import OptimConfig
from core.training.run import RunConfig


@dataclass(frozen=True)
class SetConfig:
    """Where one data set lies: COCO-style keypoint data; without a root the embedded people
    (`apps/pose/people/`). A yaml of these fields is a set of `DataConfig.sets`."""

    root: str = ""  # folder that holds the jsons and the images; empty: make embedded people
    format: Literal["coco", "crowdpose", "ochuman", "aic", "mpii"] = "coco"  # see data/formats.py
    train_json: str = "annotations/person_keypoints_train2017.json"
    train_images: str = "train2017"  # folder of the training images, below root
    val_json: str = "annotations/person_keypoints_val2017.json"
    val_images: str = "val2017"
    head_boxes: str = ""  # MPII: mpii_gt_val.mat, below root, for PCKh
    outside: Literal["error", "ignore"] = "error"  # keypoints labelled outside their image
    keypoints: str = ""  # yaml with names, skeleton, flip_pairs, sigmas; empty: read the train json


@dataclass(frozen=True)
class DataConfig(SetConfig):
    """One data set; or several (data/sets.py), joined by the names of their keypoints.

    With ``sets`` the root is the folder below which theirs lie, and ``keypoints`` says what the
    network predicts: names with commas, or a yaml; empty: all keypoints of all sets.
    """

    sets: tuple[str, ...] = ()  # people, lspet, coco, NAME=FOLDER, FILE.yaml; none: the one of root
    # of the training data, and validates in place of the validation data: to choose settings by
    tune_share: Decay = 0.0
    # how often each is drawn, in proportion; none: by its size
    shares: Annotated[tuple[float, ...], Range(0)] = ()
    workers: Workers = 2  # loader processes for each training process
    skip_bad: Whole = 0  # damaged or missing images to skip before stopping; each one is named
    max_pixels: Whole = MOST_PIXELS  # of an image; a larger one is bad. 0: 179 million, Pillow's

    @property
    def limit(self) -> PixelLimit:
        """The largest picture, and what a person sets for it."""
        return PixelLimit(self.max_pixels, "--data.max-pixels")


@dataclass(frozen=True)
class EmbeddedConfig:
    """The embedded people, which are drawn where `data.root` is empty."""

    train: Count = 3000  # training images
    val: Count = 300  # validation images
    seed: Seed = 0


@dataclass(frozen=True)
class AugmentConfig:
    """mmpose's top-down augmentation, the defaults those of its COCO configs; then ours, off."""

    flip: Share = 0.5  # probability of RandomFlip
    half_body: Share = 0.3  # probability of RandomHalfBody
    # RandomBBoxTransform: factor of the box size
    scale: Annotated[tuple[float, float], Range(0, 10, above=True)] = (0.5, 1.5)
    rotation: NonNegative = 80.0  # RandomBBoxTransform: degrees, of 60 % of the people
    # RandomBBoxTransform: fraction of the box size, of 30 % of the people
    shift: NonNegative = 0.16
    turn: Share = 0.0  # share of the people at any angle instead, up to +-180 degrees: acrobats
    colour: Share = 0.0  # brightness, contrast, saturation by factors of 1 - this to 1 + this
    occlusion: Share = 0.0  # probability of a rectangle that hides a part of the person


@dataclass(frozen=True)
class ModelConfig:
    """A backbone, MLP-Pose's parts (models/mlp_pose.py; off by default), a keypoint head."""

    backbone: str = "mixer_b16"  # any name of core.create_backbone
    image_size: Size = (256, 192)  # height, width of the crop around a person
    weights: str = ""  # what to start the backbone from; a run of this app gives all that fits
    freeze: bool = False  # do not train the backbone
    levels: Wholes = ()  # of the backbone's pyramid, 0 the finest; none: its one map
    fuse: bool = False  # the intra-level fuse module, in each level
    mixer_depth: Annotated[int, Range(0, 1_000)] = 0  # blocks of the MLP-Mixer behind it; 0: none
    mixer_width: Count = 256  # its hidden width
    mixer_tokens: Literal["grid", "keypoints"] = "grid"  # what it relates: places or keypoints
    stochastic_depth: Decay = 0.0  # not for timm:*
    grad_checkpointing: bool = False  # not for timm:*
    head: Literal["simcc", "heatmap"] = "simcc"
    simcc_split: Positive = 2.0  # bins per pixel (SimCC, arXiv 2107.03332)
    simcc_maps: Count = 1  # maps of a keypoint before the axes; 1 as published
    simcc_places: bool = False  # axes from votes of the places (models/places.py), not from maps
    simcc_dark: bool = False  # place keypoints between bins (DARK); SimCC as published does not
    heatmap_codec: Literal["udp", "dark", "msra"] = "udp"  # targets and decoding, see data/codec.py
    sigma: Positive = 6.0  # of the target Gaussian: SimCC bins, or heatmap pixels (2.0 is usual)


@dataclass(frozen=True)
class EvalConfig:
    """Evaluation during training; eval.py has the same options."""

    batch_size: Count = 64  # per process
    flip_test: bool = False  # average with the mirrored image: better, and twice the time


# what --help shows, beside what all trainings have (core/help.py); --help-all has the others
CHANGED_MOST = ("data.root", "model.backbone", "model.image_size", "model.weights")


@dataclass(frozen=True)
class PoseConfig:
    """One training run of the pose app."""

    RENAMED: ClassVar[dict[str, str]] = {  # settings of older runs -> what they are called now
        "data.people_train": "embedded.train",
        "data.people_val": "embedded.val",
        "data.people_seed": "embedded.seed",
        "batch_size": "eval.batch_size",  # of eval.py
    }

    data: DataConfig = DataConfig()
    embedded: EmbeddedConfig = EmbeddedConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = ModelConfig()
    optim: OptimConfig = OptimConfig()
    eval: EvalConfig = EvalConfig()
    run: RunConfig = field(default_factory=RunConfig)
