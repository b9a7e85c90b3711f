"""COCO keypoint jsons and detection jsons: reading them, and saying what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from apps.pose.data.files import fit_to_files
from apps.pose.data.keypoints import read_json
from apps.pose.data.records.mending import Mender, is_finite
from core.errors import InputError

Report = Callable[[str], object]  # takes a line for a person


def read_coco(
    path: str | Path, count: int, folder: str | Path | None = None, report: Report | None = None
) -> dict:
    """A COCO json with every field in order (`Mender`); ``count`` is the number of keypoints.

    With the ``folder`` of its images, names and sizes are also held against the files
    (`fit_to_files`). ``report`` takes lines on what was mended. Raises InputError.
    """
    content = _with_lists(path, ("images", "annotations", "categories"))
    mender = Mender(path, count)
    content = mender.content(content)
    if not any(annotation["keypoints"] for annotation in content["annotations"]):
        raise InputError(f"{path}: no annotation has keypoints: give person_keypoints_*.json")
    return _fitted(content, mender, folder, report)


def read_images(
    path: str | Path, folder: str | Path | None = None, report: Report | None = None
) -> dict:
    """A json that lists images and nobody in them, such as COCO's image_info_test-dev2017.json.

    ``folder`` and ``report`` as in `read_coco`.
    """
    content, mender = _with_lists(path, ("images",)), Mender(path, 0)
    images = mender.images(content["images"])
    content = {"annotations": [], "categories": [], **content, "images": images}
    return _fitted(content, mender, folder, report)


def _fitted(
    content: dict, mender: Mender, folder: str | Path | None, report: Report | None
) -> dict:
    """The content as the files in the ``folder`` have it; says what was mended, here and before."""
    lines = mender.lines()
    if folder is not None:
        content, more = fit_to_files(content, Path(folder), mender.path)
        lines += more
    for line in lines if report else ():
        report(line)
    return content


def read_truth(
    path: str | Path, count: int, outside: str = "error", folder: str | Path | None = None
) -> dict:
    """The content of a COCO json as an evaluation takes it: every person through `keypoint_array`.

    A point that ``outside="ignore"`` leaves out of training does not count in evaluation either.
    ``folder`` as in `read_coco`.
    """
    content = read_coco(path, count, folder)
    images = {image["id"]: image for image in content["images"]}
    people = []
    for annotation in content["annotations"]:
        if annotation["keypoints"]:
            image = images[annotation["image_id"]]
            values, wrong = keypoint_array(annotation, count, image, path, outside)
            if wrong:  # else the annotation is taken as it is, with its own digits
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
        value = content.get(name)
        if not isinstance(value, list) or not value:
            what = "no list" if value else "missing or empty"
            raise InputError(f"{path}: `{name}` is {what}: give a COCO keypoint json")
    return content


def keypoint_array(
    annotation: dict, count: int, image: dict, path: str | Path, outside: str = "error"
) -> tuple[np.ndarray, int]:
    """x, y (pixels) and v of one annotation, (K, 3) float32, and how many v were set to 0.

    ``outside`` says what to do with labelled points that are not in the image, or are NaN: "error"
    raises InputError, "ignore" treats them as not labelled. Points on the far border (x == width,
    which COCO has a few of) count as inside. What is not labelled (v = 0) is given as 0, 0, 0.
    """
    where = f"{path}: annotation {annotation['id']}"
    values = np.array(annotation["keypoints"], dtype=np.float32).reshape(count, 3)
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

    InputError where that of a labelled person lies wholly outside the image.
    """
    box, where = annotation["bbox"], f"{path}: annotation {annotation['id']}"
    person = annotation["num_keypoints"] and not annotation.get("iscrowd")
    if person and box[2] > 0 and box[3] > 0 and not _overlap(box, image):
        raise InputError(
            f"{where}: its bbox {box} lies outside its {image['width']} x {image['height']} image: "
            "correct the box or the image's size, or remove the annotation"
        )
    return _overlap(box, image, border=1)


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
    number, box, score = (detection[name] for name in ("image_id", "bbox", "score"))
    image = known.get(number) if isinstance(number, int | float) else None
    if image is None:
        raise InputError(
            f"{where} is of image {number!r}, which the annotations do not list: "
            "give the detections of this split"
        )
    if not (isinstance(box, list) and len(box) > 3 and all(map(is_finite, box[:4]))):
        raise InputError(f"{where} has bbox {box!r}, not [x, y, width, height]")
    if box[2] <= 0 or box[3] <= 0:
        raise InputError(f"{where}: bbox {box} has no area: remove it")
    if not _overlap(box, image):
        raise InputError(
            f"{where}: bbox {box} lies outside its {image['width']} x {image['height']} image"
        )
    if not is_finite(score):
        raise InputError(f"{where}: score {score!r} is no number")


def ground_truth(
    content: dict, annotation_ids: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (N, K, 3) as x, y, v and boxes (N, 4) as x, y, w, h of these people, in pixels."""
    by_id = {a["id"]: a for a in content["annotations"]}
    people = [by_id[int(i)] for i in annotation_ids]  # in the order of the ids
    keypoints = np.array([p["keypoints"] for p in people], dtype=np.float64)
    boxes = np.array([p["bbox"] for p in people], dtype=np.float64)
    return keypoints.reshape(-1, count, 3), boxes.reshape(-1, 4)
