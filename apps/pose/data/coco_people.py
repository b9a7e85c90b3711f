"""Who is in COCO-style images: mmpose's data set, with each annotation checked."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from apps.pose.data.annotations import (
    check_box,
    check_detections,
    keypoint_array,
    read_coco,
    read_images,
)
from apps.pose.data.joining import Shared
from apps.pose.data.keypoints import read_json
from apps.pose.data.mmpose_compat import BaseDataset, CocoDataset
from core.errors import InputError

_SHARED = (  # what mmpose's transforms read of the metainfo
    "flip_indices",
    "flip_pairs",
    "upper_body_ids",
    "lower_body_ids",
    "dataset_keypoint_weights",
)


@dataclass(frozen=True)
class OpenedPeople:
    """The people of a json as `PoseDataset` takes them.

    people       mmpose's data set: its get_data_info(index) is one person
    counts       what became of the json's images and annotations
    category_id  of the people, for `coco_results`
    """

    people: BaseDataset
    counts: dict[str, int]
    category_id: int = 1


def open_coco(
    json_path: str | Path,
    images: str | Path,
    shared: Shared,
    boxes: str | Path | None = None,
    outside: str = "error",
) -> OpenedPeople:
    """The annotated people of a COCO json, or the detections ``boxes`` in its images.

    People have the network's keypoints (``shared``); those that the json lacks are not labelled.
    With boxes, the json may list nothing but images (image_info_test-dev2017.json). ``outside`` as
    in `keypoint_array`. Raises InputError for everything that cannot be used.
    """
    if boxes and "annotations" not in read_json(json_path):
        content = read_images(json_path)
    else:
        content = read_coco(json_path, len(shared.json))
    _check_images(content["images"], Path(images), json_path)
    if boxes:
        check_detections(boxes, content["images"])
    people = _load(json_path, images, shared, boxes, outside)
    categories = [c["id"] for c in content["categories"] if c.get("keypoints")]
    return OpenedPeople(people, _counts(content, people), categories[0] if categories else 1)


class CocoPeople(CocoDataset):
    """mmpose's COCO data set, which also checks each annotation, and copies less."""

    def __init__(self, outside: str, shared: Shared, **options):
        self.outside, self.shared, self.ignored = outside, shared, Counter()
        super().__init__(metainfo=shared.network.metainfo(), **options)
        self._same_for_all = shared_metainfo(self)

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
        count = len(self.shared.json)
        values, wrong = keypoint_array(annotation, count, image, self.ann_file, self.outside)
        values = self.shared.spread(values)  # (K, 3)
        self.ignored["outside_points"] += wrong
        labelled = int((values[:, 2] > 0).sum())
        annotation = {**annotation, "keypoints": values.ravel(), "num_keypoints": labelled}
        area = check_box(annotation, image, self.ann_file)
        self.ignored["boxes_without_area"] += labelled > 0 and not area
        person = super().parse_data_info({"raw_ann_info": annotation, "raw_img_info": image})
        # Every worker unpickles what is left at every item.
        for unused in ("raw_ann_info", "segmentation"):
            person.pop(unused)
        return {**person, "img_shape": (image["height"], image["width"])}

    def get_data_info(self, idx: int) -> dict:
        # The parent deep-copies the metainfo into every item; no transform changes it.
        return {**BaseDataset.get_data_info(self, idx), **self._same_for_all}


def shared_metainfo(people: BaseDataset) -> dict:
    """What mmpose's transforms look for in each person; the same for all."""
    return {name: people.metainfo[name] for name in _SHARED}


def _load(
    json_path: str | Path, images: str | Path, shared: Shared, boxes, outside: str
) -> CocoPeople:
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports its progress
        return CocoPeople(
            outside,
            shared,
            ann_file=str(json_path),
            data_prefix={"img": str(images)},
            bbox_file=str(boxes) if boxes else None,
            data_mode="topdown",
            test_mode=bool(boxes),  # mmpose takes detection boxes only so
        )


def _counts(content: dict, people: CocoPeople) -> dict[str, int]:
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
    seen: set[str] = set()
    for image in images:
        if image["file_name"] in seen:
            raise InputError(
                f"{json_path}: the image {image['file_name']} is listed twice (again with the id "
                f"{image['id']}): its people would count twice, remove one of the two"
            )
        seen.add(image["file_name"])
