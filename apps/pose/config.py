"""Everything a pose run can be told, and the presets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class DataConfig:
    """COCO-style keypoint data; an empty root means the embedded people (`apps/pose/people.py`)."""

    root: str = ""  # folder that holds the jsons and the images; empty: make embedded people
    train_json: str = "annotations/person_keypoints_train2017.json"
    train_images: str = "train2017"  # folder of the training images, below root
    val_json: str = "annotations/person_keypoints_val2017.json"
    val_images: str = "val2017"
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
    head: Literal["simcc", "heatmap"] = "simcc"
    simcc_split: float = 2.0  # bins per pixel (SimCC, arXiv 2107.03332)
    sigma: float = 6.0  # of the target Gaussian: SimCC bins, or heatmap pixels (2.0 is usual)
