"""People cut out of COCO-style images, by mmpose's data set, transforms and codecs.

K keypoints, (H, W) the crop; points are (x, y) in pixels.
"""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image, ImageOps
from scipy.special import ndtr, ndtri
from torch.utils.data import Dataset

from apps.pose.annotations import check_box, check_detections, keypoint_array, read_coco
from apps.pose.codec import codec_config
from apps.pose.config import AugmentConfig, ModelConfig
from apps.pose.keypoints import KeypointSet
from apps.pose.mmpose_compat import (
    BaseDataset,
    CocoDataset,
    GenerateTarget,
    GetBBoxCenterScale,
    LoadImage,
    RandomBBoxTransform,
    RandomFlip,
    RandomHalfBody,
    TopdownAffine,
)
from core.data.loading import BadSample
from core.errors import InputError

# The loader's processes are the parallelism; OpenCV's own threads would fight over the same cores,
# and they do not survive a fork.
cv2.setNumThreads(0)

_SHARED = (  # what mmpose's transforms read of the metainfo
    "flip_indices", "flip_pairs", "upper_body_ids", "lower_body_ids", "dataset_keypoint_weights",
)  # fmt: skip


class PoseDataset(Dataset):
    """Each item is one person: an annotation, or a detection box for evaluation.

    A training item is a dict of tensors: ``image`` (3, H, W) uint8 RGB, ``weight`` (K,) float32
    (0 where not labelled, or so far outside the crop that nothing of its Gaussian is in it), and
    the target, float32: ``target_x`` (K, W*split) and ``target_y`` (K, H*split), or ``heatmap``
    (K, H/4, W/4). It is a pure function of the index and the states of numpy's, Python's and
    torch's global generators.

    An evaluation item has ``image``, ``center`` and ``scale`` (2,) float32 (middle and padded size
    of the box in the image), ``image_id`` and ``annotation`` int64 (-1 for a detection box), and
    ``box_score`` float32 (1 for an annotation).

    ``counts`` says what became of the json's annotations, ``category_id`` is that of its people
    (for `coco_results`). Raises InputError for unusable files at once, BadSample for a missing or
    damaged image when it is read.
    """

    def __init__(
        self,
        json_path: str | Path,
        images: str | Path,
        keypoints: KeypointSet,
        model: ModelConfig,
        augment: AugmentConfig | None = None,
        train: bool = False,
        boxes: str | Path | None = None,
        outside: str = "error",
    ):
        """``images`` is the folder below which the json's file names lie; ``boxes`` a detection
        json to evaluate on in place of the annotated boxes; ``outside`` as in `keypoint_array`."""
        if train and boxes:
            raise InputError(f"detection boxes ({boxes}) have no keypoints to train on")
        content = read_coco(json_path, len(keypoints))
        _check_images(content["images"], Path(images), json_path)
        if boxes:
            check_detections(boxes, (image["id"] for image in content["images"]))
        self.train, self.boxes, self.keypoints, self.model = train, boxes, keypoints, model
        self.people = _load_people(json_path, images, keypoints, boxes, outside)
        self.counts = _counts(content, self.people)
        people = [c["id"] for c in content["categories"] if c.get("keypoints")]
        self.category_id = people[0] if people else 1
        self.transforms = _transforms(keypoints, model, augment if train else None, train)

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        # Not mmpose's own __getitem__, which answers a bad image with another, random person.
        person = self.people.get_data_info(index)
        _read_person_image(person)
        for transform in self.transforms:
            person = transform(person)
        return self._pack(person)

    def _pack(self, person: dict[str, Any]) -> dict[str, torch.Tensor]:
        """In place of mmpose's PackPoseInputs, whose objects no default collate can stack."""
        image = torch.from_numpy(person["img"]).permute(2, 0, 1).contiguous()
        if not self.train:
            return {
                "image": image,
                "center": torch.as_tensor(person["input_center"], dtype=torch.float32),
                "scale": torch.as_tensor(person["input_scale"], dtype=torch.float32),
                "image_id": torch.tensor(person["img_id"]),
                "annotation": torch.tensor(-1 if self.boxes else person["id"]),
                "box_score": torch.tensor(float(person["bbox_score"][0])),
            }
        weight = torch.from_numpy(np.float32(person["keypoint_weights"]).reshape(-1))
        if self.model.head == "heatmap":
            target = {"heatmap": torch.from_numpy(person["heatmaps"])}
        else:
            target = {
                "target_x": torch.from_numpy(person["keypoint_x_labels"][0]),
                "target_y": torch.from_numpy(person["keypoint_y_labels"][0]),
            }
        return {"image": image, **target, "weight": weight}


class _People(CocoDataset):
    """mmpose's COCO data set, which also checks each annotation, and copies less."""

    def __init__(self, outside: str, **options):
        self.outside, self.ignored = outside, Counter()
        super().__init__(**options)
        self._shared = {name: self.metainfo[name] for name in _SHARED}

    def load_data_list(self) -> list[dict]:
        people = super().load_data_list()
        if not people:
            raise InputError(
                f"{self.ann_file}: no usable person: each is a crowd, has no labelled keypoint or "
                "a box without area"
            )
        return people

    def parse_data_info(self, raw_data_info: dict) -> dict | None:
        annotation, image = raw_data_info["raw_ann_info"], raw_data_info["raw_img_info"]
        if not annotation.get("keypoints") or "bbox" not in annotation:
            self.ignored["no_keypoints_or_box"] += 1
            return None
        check_box(annotation, self.ann_file)
        count = self.metainfo["num_keypoints"]
        values, wrong = keypoint_array(annotation, count, image, self.ann_file, self.outside)
        self.ignored["outside_points"] += wrong
        labelled = int((values[:, 2] > 0).sum())
        annotation = {**annotation, "keypoints": values.ravel(), "num_keypoints": labelled}
        person = super().parse_data_info({"raw_ann_info": annotation, "raw_img_info": image})
        # Every worker unpickles what is left at every item.
        for unused in ("raw_ann_info", "segmentation"):
            person.pop(unused)
        return {**person, "img_shape": (image["height"], image["width"])}

    def get_data_info(self, idx: int) -> dict:
        # The parent deep-copies the metainfo into every item; no transform changes it.
        return {**BaseDataset.get_data_info(self, idx), **self._shared}


class _RandomBBoxTransform(RandomBBoxTransform):
    """mmpose's transform with the same distribution drawn 50 times faster than by scipy.stats."""

    @staticmethod
    def _truncnorm(low: float = -1.0, high: float = 1.0, size: tuple = ()) -> np.ndarray:
        uniform = np.random.uniform(ndtr(low), ndtr(high), size)  # noqa: NPY002 - the caller seeds it
        return ndtri(uniform).astype(np.float32)


def _load_people(
    json_path: str | Path, images: str | Path, keypoints: KeypointSet, boxes, outside: str
) -> _People:
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports its progress
        return _People(
            outside,
            ann_file=str(json_path),
            metainfo=keypoints.metainfo(),
            data_prefix={"img": str(images)},
            bbox_file=str(boxes) if boxes else None,
            data_mode="topdown",
            test_mode=bool(boxes),  # mmpose takes detection boxes only so
        )


def _counts(content: dict, people: _People) -> dict[str, int]:
    annotations = content["annotations"]
    return {
        "images": len(content["images"]),
        "annotations": len(annotations),
        "crowds": sum(bool(a.get("iscrowd")) for a in annotations),
        "unlabelled": sum(not any((a.get("keypoints") or [])[2::3]) for a in annotations),
        "people": len(people),
        **people.ignored,
    }


def _check_images(images: list[dict], folder: Path, json_path: str | Path) -> None:
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: check data.root and the image folder's name")
    # Single missing files are found when they are read; here only whether this is the right folder.
    names = [image["file_name"] for image in images[:20]]
    if not any((folder / name).is_file() for name in names):
        raise InputError(
            f"{folder} has none of the first {len(names)} images of {json_path} "
            f"({names[0]}, ...): give the folder that the json's file names are relative to"
        )


def _transforms(
    keypoints: KeypointSet | None, model: ModelConfig, augment: AugmentConfig | None, train: bool
) -> list:
    height, width = model.image_size
    udp = model.head == "heatmap"  # UDPHeatmap's counterpart
    random = _augmentation(keypoints, augment) if augment else []
    encode = [GenerateTarget(encoder=codec_config(model))] if train else []
    affine = TopdownAffine(input_size=(width, height), use_udp=udp)
    return [LoadImage(), GetBBoxCenterScale(), *random, affine, *encode]


def crop_box(image: np.ndarray, box: list[float], model: ModelConfig) -> dict[str, torch.Tensor]:
    """An evaluation item's ``image``, ``center`` and ``scale`` from a picture (h, w, 3) uint8 RGB.

    ``box`` is x, y, width, height in pixels, as in COCO's jsons.
    """
    x, y, width, height = box
    person = {"img": image, "bbox": np.array([[x, y, x + width, y + height]], dtype=np.float32)}
    for transform in _transforms(None, model, None, train=False):
        person = transform(person)
    return {
        "image": torch.from_numpy(person["img"]).permute(2, 0, 1).contiguous(),
        "center": torch.as_tensor(person["input_center"], dtype=torch.float32),
        "scale": torch.as_tensor(person["input_scale"], dtype=torch.float32),
    }


def _augmentation(keypoints: KeypointSet, augment: AugmentConfig) -> list:
    halves = any(keypoints.upper) and not all(keypoints.upper)
    boxes = _RandomBBoxTransform(
        shift_factor=augment.shift, scale_factor=augment.scale, rotate_factor=augment.rotation
    )
    half_body = [RandomHalfBody(prob=augment.half_body)] if halves else []
    return [RandomFlip(prob=float(augment.flip)), *half_body, _at_least_a_pixel, boxes]


def _at_least_a_pixel(person: dict) -> dict:
    """RandomHalfBody makes a box without area where all points of a half coincide."""
    person["bbox_scale"] = np.maximum(person["bbox_scale"], 1.0)
    return person


def _read_person_image(person: dict) -> None:
    """Put the image at ``img``, where mmpose's LoadImage takes it from."""
    path, expected = person["img_path"], person["img_shape"]
    person["img"] = read_image(path)
    height, width = person["img"].shape[:2]
    if (height, width) != tuple(expected):
        raise BadSample(
            path, f"is {width} x {height} pixels, its json says {expected[1]} x {expected[0]}"
        )


def read_image(path: str | Path) -> np.ndarray:
    """(h, w, 3) uint8 RGB, upright by its EXIF tag as the annotations of COCO assume.

    By Pillow and not OpenCV (mmpose's default): OpenCV decodes a truncated JPEG without a word and
    leaves the rest grey, Pillow raises. Raises BadSample.
    """
    try:
        with Image.open(path) as image:
            image.load()
            if image.getexif().get(0x0112, 1) != 1:  # orientation
                image = ImageOps.exif_transpose(image)
            return np.array(image if image.mode == "RGB" else image.convert("RGB"))
    except FileNotFoundError:
        raise BadSample(str(path), "no such file") from None
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files
        raise BadSample(str(path), f"cannot be decoded ({error})") from None
