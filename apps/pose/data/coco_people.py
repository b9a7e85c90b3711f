"""Who is in COCO-style images: mmpose's data set, with each annotation checked."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from apps.pose.data.joining import Shared
from apps.pose.data.keypoints import read_json
from apps.pose.data.mmpose_compat import BaseDataset, CocoDataset
from apps.pose.data.records.annotations import (
    Report,
    check_box,
    check_detections,
    keypoint_array,
    read_coco,
    read_images,
)
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
    category_id  of detected people: the json's first with keypoints
    categories   of annotated people: the category by the id of the annotation
    """

    people: BaseDataset
    counts: dict[str, int]
    category_id: int = 1
    categories: dict[int, int] = field(default_factory=dict)


def open_coco(
    json_path: str | Path,
    images: str | Path,
    shared: Shared,
    boxes: str | Path | None = None,
    outside: str = "error",
    report: Report | None = None,
) -> OpenedPeople:
    """The annotated people of a COCO json, or the detections ``boxes`` in its images.

    People have the network's keypoints (``shared``); those that the json lacks are not labelled.
    With boxes, the json may list nothing but images (image_info_test-dev2017.json). ``outside`` as
    in `keypoint_array`; ``report`` takes lines on what was mended or left out. Raises InputError
    for everything that cannot be used.
    """
    if boxes and "annotations" not in read_json(json_path):
        content = read_images(json_path, images, report)
    else:
        content = read_coco(json_path, len(shared.json), images, report)
    if boxes:
        check_detections(boxes, content["images"])
    people = _load(json_path, images, content, shared, boxes, outside)
    if report and (count := people.ignored["boxes_without_area"]):
        report(f"{json_path}: left out: {count} people whose bbox has no area in its image")
    return OpenedPeople(
        people, _counts(content, people), _first_category(content), _categories(content)
    )


class CocoPeople(CocoDataset):
    """mmpose's COCO data set of a content that has been read, which also checks its places.

    ``content`` as `read_coco` gives it: mmpose would read the file again, by pycocotools.
    """

    def __init__(self, content: dict, outside: str, shared: Shared, **options):
        self.content, self.outside, self.shared, self.ignored = content, outside, shared, Counter()
        super().__init__(metainfo=shared.network.metainfo(), **options)
        self._same_for_all = shared_metainfo(self)
        del self.content  # every worker would get it

    def load_data_list(self) -> list[dict]:
        """As mmpose's. Raises InputError where nobody can be used."""
        people = super().load_data_list()
        if not people:
            raise InputError(
                f"{self.ann_file}: no usable person: each is a crowd, has no labelled keypoint or "
                "a box without area"
            )
        return people

    def _load_annotations(self) -> tuple[list[dict], list[dict]]:
        """People and images, in the order of the images and of their annotations."""
        of_image = defaultdict(list)
        for annotation in self.content["annotations"]:
            of_image[annotation["image_id"]].append(annotation)
        images = [self._with_path(image) for image in self.content["images"]]
        pairs = ((annotation, i) for i in images for annotation in of_image[i["id"]])
        people = (self.parse_data_info({"raw_ann_info": a, "raw_img_info": i}) for a, i in pairs)
        return [person for person in people if person], images

    def _load_detection_results(self) -> list[dict]:
        """The detections of people, which have no keypoints."""
        images = {image["id"]: self._with_path(image) for image in self.content["images"]}
        people = [d for d in read_json(self.bbox_file) if d["category_id"] == 1]
        return [self._detected(d, images[d["image_id"]], id) for id, d in enumerate(people)]

    def _detected(self, detection: dict, image: dict, number: int) -> dict:
        count = len(self.shared.network)
        x, y, width, height = detection["bbox"][:4]
        return {
            "img_id": image["id"],
            "img_path": image["img_path"],
            "img_shape": (image["height"], image["width"]),
            "bbox": np.array([[x, y, x + width, y + height]], dtype=np.float32),
            "bbox_score": np.array([detection["score"]], dtype=np.float32),
            "keypoints": np.zeros((1, count, 2), dtype=np.float32),
            "keypoints_visible": np.ones((1, count), dtype=np.float32),
            "id": number,
        }

    def _with_path(self, image: dict) -> dict:
        path = os.path.join(self.data_prefix["img"], image["file_name"])
        return {**image, "img_id": image["id"], "img_path": path}

    def parse_data_info(self, raw_data_info: dict) -> dict | None:
        """One annotation as a record, None for one that is not used."""
        annotation, image = raw_data_info["raw_ann_info"], raw_data_info["raw_img_info"]
        if not annotation["keypoints"]:
            self.ignored["no_keypoints"] += 1
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
        """A record of a person, with what all of them share."""
        # The parent deep-copies the metainfo into every item; no transform changes it.
        return {**BaseDataset.get_data_info(self, idx), **self._same_for_all}


def shared_metainfo(people: BaseDataset) -> dict:
    """What mmpose's transforms look for in each person; the same for all."""
    return {name: people.metainfo[name] for name in _SHARED}


def _load(
    json_path: str | Path, images: str | Path, content: dict, shared: Shared, boxes, outside: str
) -> CocoPeople:
    return CocoPeople(
        content,
        outside,
        shared,
        ann_file=str(json_path),
        data_prefix={"img": str(images)},
        bbox_file=str(boxes) if boxes else None,
        data_mode="topdown",
        test_mode=bool(boxes),  # mmpose takes detection boxes only so
    )


def _categories(content: dict) -> dict[int, int]:
    return {a["id"]: a["category_id"] for a in content["annotations"] if a["keypoints"]}


def _first_category(content: dict) -> int:
    named = (c["id"] for c in content["categories"] if c.get("keypoints"))
    return next(named, next(iter(_categories(content).values()), 1))


def _counts(content: dict, people: CocoPeople) -> dict[str, int]:
    annotations = content["annotations"]
    return {
        "images": len(content["images"]),
        "annotations": len(annotations),
        "crowds": sum(a["iscrowd"] for a in annotations),
        "unlabelled": sum(not a["num_keypoints"] for a in annotations),
        "people": len(people),
        **people.ignored,
    }
