"""COCO keypoint jsons and detection jsons: reading them, and saying what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from apps.pose.keypoints import read_json
from core.errors import InputError


def read_coco(path: str | Path, count: int) -> dict:
    """A COCO json whose structure has been checked; ``count`` is the number of keypoints.

    Single annotations are checked where they are used (`keypoint_array`). Raises InputError.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no COCO annotations but a {type(content).__name__}")
    for name in ("images", "annotations", "categories"):
        if not isinstance(content.get(name), list) or not content[name]:
            raise InputError(f"{path}: `{name}` is missing or empty: give a COCO keypoint json")
    _check_fields(content["images"], ("id", "file_name", "width", "height"), path, "image")
    _check_fields(content["annotations"], ("id", "image_id", "category_id"), path, "annotation")
    images = {image["id"] for image in content["images"]}
    for annotation in content["annotations"]:
        if annotation["image_id"] not in images:
            raise InputError(
                f"{path}: annotation {annotation['id']} is of image {annotation['image_id']}, "
                "which the json does not list: add the image or remove the annotation"
            )
    if not any(annotation.get("keypoints") for annotation in content["annotations"]):
        raise InputError(f"{path}: no annotation has keypoints: give person_keypoints_*.json")
    _check_count(content["categories"], count, path)
    return content


def _check_fields(records: list, fields: tuple[str, ...], path: str | Path, kind: str) -> None:
    seen = set()
    for number, record in enumerate(records):
        missing = [f for f in fields if not isinstance(record, dict) or f not in record]
        if missing:
            raise InputError(f"{path}: {kind} number {number} has no {', '.join(missing)}: add it")
        if record["id"] in seen:
            raise InputError(f"{path}: two {kind}s have the id {record['id']}: make ids unique")
        seen.add(record["id"])


def _check_count(categories: list[dict], count: int, path: str | Path) -> None:
    for category in categories:
        names = category.get("keypoints") or []
        if names and len(names) != count:
            raise InputError(
                f"{path}: category {category.get('name', '')!r} has {len(names)} keypoints, but "
                f"this run is about {count}: train and validation data must have the same ones"
            )


def keypoint_array(
    annotation: dict, count: int, image: dict, path: str | Path, outside: str = "error"
) -> tuple[np.ndarray, int]:
    """x, y (pixels) and v of one annotation, (K, 3) float32, and how many v were set to 0.

    ``outside`` says what to do with labelled points that are not in the image: "error" raises
    InputError, "ignore" treats them as not labelled. Points on the far border (x == width, which
    COCO has a few of) count as inside.
    """
    where = f"{path}: annotation {annotation['id']}"
    try:
        values = np.array(annotation["keypoints"], dtype=np.float32).reshape(count, 3)
    except ValueError:
        raise InputError(
            f"{where} has {len(annotation['keypoints'])} keypoint values, not 3 x {count} numbers"
        ) from None
    if not np.isin(values[:, 2], (0, 1, 2)).all():
        raise InputError(f"{where}: visibility must be 0, 1 or 2, got {values[:, 2].tolist()}")
    size = np.array([image["width"], image["height"]], dtype=np.float32)
    inside = ((values[:, :2] >= 0) & (values[:, :2] <= size)).all(1)  # False for NaN
    wrong = (values[:, 2] > 0) & ~inside
    if wrong.any() and outside == "error":
        x, y, _ = values[np.argmax(wrong)]
        raise InputError(
            f"{where}: keypoint {np.argmax(wrong)} is labelled at ({x:g}, {y:g}), outside its "
            f"{size[0]:g} x {size[1]:g} image: correct the json, or set data.outside=ignore"
        )
    values[wrong] = 0
    return values, int(wrong.sum())


def check_box(annotation: dict, path: str | Path) -> None:
    """InputError unless the annotation's bbox is four finite numbers."""
    box = annotation["bbox"]
    try:
        good = np.isfinite(np.array(box, dtype=np.float64).reshape(4)).all()
    except (ValueError, TypeError):
        good = False
    if not good:
        raise InputError(
            f"{path}: annotation {annotation['id']} has bbox {box!r}, not [x, y, width, height]"
        )


def check_detections(path: str | Path, image_ids: Iterable[int]) -> None:
    """InputError unless ``path`` is a COCO detection json of these images with a person in it."""
    detections = read_json(path)
    if not isinstance(detections, list):
        raise InputError(
            f"{path} is no list of detections: give the detector's results json "
            "([{image_id, category_id, bbox, score}, ...])"
        )
    known, people = set(image_ids), 0
    for number, detection in enumerate(detections):
        _check_detection(detection, known, f"{path}: detection number {number}")
        people += detection["category_id"] == 1
    if not people:
        raise InputError(f"{path}: no detection of a person (category_id 1)")


def _check_detection(detection: Any, known: set, where: str) -> None:
    fields = ("image_id", "category_id", "bbox", "score")
    missing = [f for f in fields if not isinstance(detection, dict) or f not in detection]
    if missing:
        raise InputError(f"{where} has no {', '.join(missing)}")
    if detection["image_id"] not in known:
        raise InputError(
            f"{where} is of image {detection['image_id']}, which the annotations do not list: "
            "give the detections of this split"
        )
    box = detection["bbox"]
    if not isinstance(box, list) or len(box) < 4 or not (box[2] > 0 and box[3] > 0):
        raise InputError(f"{where}: bbox {box} has no area: remove it")


def ground_truth(
    content: dict, annotation_ids: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (N, K, 3) as x, y, v and boxes (N, 4) as x, y, w, h of these people, in pixels."""
    by_id = {a["id"]: a for a in content["annotations"]}
    people = [by_id[int(i)] for i in annotation_ids]
    keypoints = np.array([p["keypoints"] for p in people], dtype=np.float64)
    boxes = np.array([p["bbox"] for p in people], dtype=np.float64)
    return keypoints.reshape(-1, count, 3), boxes.reshape(-1, 4)
