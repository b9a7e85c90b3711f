"""People cut out of COCO-style images, by mmpose's data set, transforms and codecs.

K keypoints, (H, W) the crop; points are (x, y) in pixels.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import ImageOps
from torch.utils.data import Dataset

from apps.pose.config import AugmentConfig, ModelConfig
from apps.pose.data.augment import after_cropping, before_cropping
from apps.pose.data.coco_people import open_coco
from apps.pose.data.codec import codec_config, uses_udp
from apps.pose.data.joining import Shared
from apps.pose.data.keypoints import KeypointSet
from apps.pose.data.mmpose_compat import (
    GenerateTarget,
    GetBBoxCenterScale,
    LoadImage,
    TopdownAffine,
)
from apps.pose.data.mpii import open_mpii
from apps.pose.data.records.annotations import Report
from core.data.images.files import (
    PILLOWS,
    PixelLimit,
    check_regular,
    open_within,
    to_rgb,
)
from core.data.loading import BadSample
from core.errors import InputError

# The loader's processes are the parallelism; OpenCV's own threads would fight over the same cores,
# and they do not survive a fork.
cv2.setNumThreads(0)

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"  # its first and last markers


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

    K counts the keypoints of ``network``; ``keypoints`` are those of them that the json has, and
    all others have weight 0: see `Shared`, which says which are which.

    ``counts`` says what became of the json's annotations; ``category_id`` and ``categories`` are
    those of its people (`OpenedPeople`). Raises InputError for unusable files at once, BadSample
    for a missing or damaged image when it is read.
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
        format: str = "coco",
        shared: Shared | None = None,
        report: Report | None = None,
        limit: PixelLimit = PILLOWS,
    ):
        """``images`` is the folder below which the json's file names lie; ``boxes`` a detection
        json to evaluate on in place of the annotated boxes; ``outside`` as in `keypoint_array`;
        ``format`` is "mpii" for MPII's json, all others (`DataConfig.format`) are COCO's.
        ``keypoints`` are the json's, ``shared`` says which of them the network has (None: all),
        ``report`` takes lines on what was mended or left out; ``limit`` is of an image's size."""
        if train and boxes:
            raise InputError(f"detection boxes ({boxes}) have no keypoints to train on")
        self.shared = shared or Shared.all(keypoints)
        if format == "mpii":
            opened = open_mpii(json_path, images, self.shared, boxes)
        else:
            opened = open_coco(json_path, images, self.shared, boxes, outside, report)
        self.train, self.boxes, self.model, self.limit = train, boxes, model, limit
        self.keypoints, self.network = self.shared.keypoints, self.shared.network
        self.people, self.counts = opened.people, opened.counts
        self.category_id, self.categories = opened.category_id, opened.categories
        self.transforms = _transforms(self.network, model, augment if train else None, train)

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        # Not mmpose's own __getitem__, which answers a bad image with another, random person.
        person = self.people.get_data_info(index)
        _read_person_image(person, self.limit)
        for transform in self.transforms:
            person = transform(person)
        return self._pack(person)

    def of_images(self, ids: Collection[int]) -> PoseDataset:
        """The people of these images alone. Raises InputError where there is nobody."""
        infos = map(self.people.get_data_info, range(len(self)))
        chosen = [place for place, person in enumerate(infos) if person["img_id"] in ids]
        if not chosen:
            raise InputError(f"data.tune_share: nobody is in the {len(ids)} images of one side")
        part = copy.copy(self)
        part.people = self.people.get_subset(chosen)
        return part

    def _pack(self, person: dict[str, Any]) -> dict[str, torch.Tensor]:
        """In place of mmpose's PackPoseInputs, whose objects no default collate can stack."""
        image = torch.from_numpy(person["img"]).permute(2, 0, 1).contiguous()  # (3, H, W)
        if not self.train:
            # center and scale after padding, as `to_image` wants them
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


def _transforms(
    keypoints: KeypointSet | None, model: ModelConfig, augment: AugmentConfig | None, train: bool
) -> list:
    height, width = model.image_size
    random = before_cropping(keypoints, augment) if augment else []
    pixels = after_cropping(augment) if augment else []
    encode = [GenerateTarget(encoder=codec_config(model))] if train else []
    affine = TopdownAffine(input_size=(width, height), use_udp=uses_udp(model))
    return [LoadImage(), GetBBoxCenterScale(), *random, affine, *pixels, *encode]


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


def _read_person_image(person: dict, limit: PixelLimit) -> None:
    """Put the image at ``img``, where mmpose's LoadImage takes it from."""
    path, expected = person["img_path"], person.get("img_shape")  # MPII's json has no sizes
    person["img"] = read_image(path, limit)
    height, width = person["img"].shape[:2]
    if expected and (height, width) != tuple(expected):
        raise BadSample(
            path, f"is {width} x {height} pixels, its json says {expected[1]} x {expected[0]}"
        )


def read_image(path: str | Path, limit: PixelLimit = PILLOWS) -> np.ndarray:
    """(h, w, 3) uint8 RGB, upright by its EXIF tag as the annotations of COCO assume.

    OpenCV (mmpose's default) is the faster reader of JPEG, but it decodes a truncated one without a
    word and leaves the rest grey. So it gets those that have their end; all else Pillow reads,
    which raises. What is not 8-bit RGB becomes so by `to_rgb`. Raises BadSample, for more pixels
    than ``limit`` by the header alone: OpenCV's own limit of 2^30 would fill the memory.
    """
    try:
        check_regular(path)
        content = Path(path).read_bytes()
        with open_within(content, limit) as image:
            if content.startswith(_JPEG_START) and content.endswith(_JPEG_END):
                pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
                if pixels is not None:
                    return pixels
            image.load()
            if image.getexif().get(0x0112, 1) != 1:  # orientation
                image = ImageOps.exif_transpose(image)
            return np.array(to_rgb(image))
    except FileNotFoundError:
        raise BadSample(str(path), "no such file") from None
    except ValueError as error:  # ours: no picture, no file, too many pixels
        raise BadSample(str(path), str(error)) from None
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files
        raise BadSample(str(path), f"cannot be decoded ({error})") from None
