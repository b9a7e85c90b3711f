"""COCO keypoint jsons and detection jsons: reading them, and saying what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from apps.pose.data.keypoints import read_json
from core.errors import InputError

# Of a box, the share that its person covers, where no segment says (xtcocotools' factor)
COVERED = 0.53
_IMAGE_FIELDS = ("id", "file_name", "width", "height")


def read_coco(path: str | Path, count: int) -> dict:
    """A COCO json whose structure has been checked; ``count`` is the number of keypoints.

    Single annotations are checked where they are used (`keypoint_array`). Raises InputError.
    """
    content = _with_lists(path, ("images", "annotations", "categories"))
    _check_fields(content["images"], _IMAGE_FIELDS, path, "image")
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


def read_images(path: str | Path) -> dict:
    """A json that lists images and nobody in them, such as COCO's image_info_test-dev2017.json."""
    content = _with_lists(path, ("images",))
    _check_fields(content["images"], _IMAGE_FIELDS, path, "image")
    return {"annotations": [], "categories": [], **content}


def read_truth(path: str | Path, count: int, outside: str = "error") -> dict:
    """The content of a COCO json as an evaluation takes it: every person through `keypoint_array`.

    A point that ``outside="ignore"`` leaves out of training does not count in evaluation either.
    """
    content = read_coco(path, count)
    images = {image["id"]: image for image in content["images"]}
    people = []
    for annotation in content["annotations"]:
        if annotation.get("keypoints"):
            image = images[annotation["image_id"]]
            values, wrong = keypoint_array(annotation, count, image, path, outside)
            if wrong:  # else the annotation is taken as it is, with its own num_keypoints
                labelled = int((values[:, 2] > 0).sum())
                points = values.astype(float).ravel().tolist()
                annotation = {**annotation, "keypoints": points, "num_keypoints": labelled}
        people.append(annotation)
    return {**content, "annotations": people}


def _with_lists(path: str | Path, names: tuple[str, ...]) -> dict:
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no COCO annotations but a {type(content).__name__}")
    for name in names:
        if not isinstance(content.get(name), list) or not content[name]:
            raise InputError(f"{path}: `{name}` is missing or empty: give a COCO keypoint json")
    return content


def _check_fields(records: list, fields: tuple[str, ...], path: str | Path, kind: str) -> None:
    seen = set()
    for number, record in enumerate(records):
        missing = [f for f in fields if not isinstance(record, dict) or f not in record]
        if missing:
            raise InputError(f"{path}: {kind} number {number} has no {', '.join(missing)}: add it")
        if not isinstance(record["id"], int):
            raise InputError(f"{path}: {kind} ids must be integers, got {record['id']!r}")
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

    ``outside`` says what to do with labelled points that are not in the image, or are NaN: "error"
    raises InputError, "ignore" treats them as not labelled. Points on the far border (x == width,
    which COCO has a few of) count as inside. What is not labelled (v = 0) is given as 0, 0, 0.
    """
    where = f"{path}: annotation {annotation['id']}"
    try:
        values = np.array(annotation["keypoints"], dtype=np.float32).reshape(count, 3)
    except (ValueError, TypeError):
        raise InputError(
            f"{where} has {len(annotation['keypoints'])} keypoint values, not 3 x {count} numbers"
        ) from None
    if not np.isin(values[:, 2], (0, 1, 2)).all():
        raise InputError(f"{where}: visibility must be 0, 1 or 2, got {values[:, 2].tolist()}")
    size = np.array([image["width"], image["height"]], dtype=np.float32)
    inside = ((values[:, :2] >= 0) & (values[:, :2] <= size)).all(1)  # (K,), False for NaN
    wrong = (values[:, 2] > 0) & ~inside
    if wrong.any() and outside == "error":
        raise InputError(f"{where}: {_misplaced(values, wrong, size)}")
    values[wrong | (values[:, 2] == 0)] = 0
    return values, int(wrong.sum())


def _misplaced(values: np.ndarray, wrong: np.ndarray, size: np.ndarray) -> str:
    """What is wrong with the first of these labelled points."""
    number = int(np.argmax(wrong))
    x, y, _ = values[number]
    place = f"outside its {size[0]:g} x {size[1]:g} image"
    if np.isnan([x, y]).any():
        place = "which is no place"
    return (
        f"keypoint {number} is labelled at ({x:g}, {y:g}), {place}: correct the json, "
        "or set data.outside=ignore"
    )


def check_box(annotation: dict, image: dict, path: str | Path) -> bool:
    """Whether the annotation's bbox has an area once it is cut to the image, as COCO cuts boxes.

    InputError where it is not four finite numbers, or where that of a labelled person
    (``num_keypoints`` is set) lies wholly outside the image.
    """
    box, where = annotation["bbox"], f"{path}: annotation {annotation['id']}"
    if not _is_box(box):
        raise InputError(f"{where} has bbox {box!r}, not [x, y, width, height]")
    person = annotation["num_keypoints"] and not annotation.get("iscrowd")
    if person and box[2] > 0 and box[3] > 0 and not _overlap(box, image):
        raise InputError(
            f"{where}: its bbox {box} lies outside its {image['width']} x {image['height']} image: "
            "correct the box or the image's size, or remove the annotation"
        )
    return _overlap(box, image, border=1)


def _is_box(box: Any) -> bool:
    try:
        return bool(np.isfinite(np.array(box, dtype=np.float64).reshape(4)).all())
    except (ValueError, TypeError):
        return False


def _overlap(box: list[float], image: dict, border: int = 0) -> bool:
    """Whether the box has an area in the image; ``border`` 1 as mmpose cuts it, to W-1 and H-1."""
    last = np.array([image["width"], image["height"]]) - border
    # both corners are moved into the image: a box beside it becomes a line or a point
    start = np.array(box[:2], dtype=np.float64)
    return bool((np.clip(start + box[2:4], 0, last) > np.clip(start, 0, last)).all())


def check_detections(path: str | Path, images: Iterable[dict]) -> None:
    """InputError unless ``path`` is a COCO detection json of these images with a person in it."""
    detections = read_json(path)
    if not isinstance(detections, list):
        raise InputError(
            f"{path} is no list of detections: give the detector's results json "
            "([{image_id, category_id, bbox, score}, ...])"
        )
    known, people = {image["id"]: image for image in images}, 0
    for number, detection in enumerate(detections):
        _check_detection(detection, known, f"{path}: detection number {number}")
        people += detection["category_id"] == 1
    if not people:
        raise InputError(
            f"{path}: no detection of a person: their category_id is 1, also where the annotations "
            "have another"
        )


def _check_detection(detection: Any, known: dict, where: str) -> None:
    fields = ("image_id", "category_id", "bbox", "score")
    missing = [f for f in fields if not isinstance(detection, dict) or f not in detection]
    if missing:
        raise InputError(f"{where} has no {', '.join(missing)}")
    image, box = known.get(detection["image_id"]), detection["bbox"]
    if image is None:
        raise InputError(
            f"{where} is of image {detection['image_id']}, which the annotations do not list: "
            "give the detections of this split"
        )
    if not _is_box(box[:4] if isinstance(box, list) else box):
        raise InputError(f"{where} has bbox {box!r}, not [x, y, width, height]")
    if box[2] <= 0 or box[3] <= 0:
        raise InputError(f"{where}: bbox {box} has no area: remove it")
    if not _overlap(box, image):
        raise InputError(
            f"{where}: bbox {box} lies outside its {image['width']} x {image['height']} image"
        )
    if not isinstance(detection["score"], int | float) or not np.isfinite(detection["score"]):
        raise InputError(f"{where}: score {detection['score']!r} is no number")


def ground_truth(
    content: dict, annotation_ids: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (N, K, 3) as x, y, v and boxes (N, 4) as x, y, w, h of these people, in pixels."""
    by_id = {a["id"]: a for a in content["annotations"]}
    people = [by_id[int(i)] for i in annotation_ids]  # in the order of the ids
    keypoints = np.array([p["keypoints"] for p in people], dtype=np.float64)
    boxes = np.array([p["bbox"] for p in people], dtype=np.float64)
    return keypoints.reshape(-1, count, 3), boxes.reshape(-1, 4)
