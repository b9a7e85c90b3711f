"""COCO keypoint AP, by object keypoint similarity, and CrowdPose's; PCK is in pck.py.

N people, K keypoints; points are (x, y) in pixels of the image.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from apps.pose.data.keypoints import read_json
from apps.pose.data.records.mending import COVERED
from core.errors import InputError

AP_NAMES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
SCORE_THRESHOLD = 0.2  # keypoints below it do not count in a person's score (CocoMetric)
NMS_THRESHOLD = 0.9  # object keypoint similarity of duplicates (CocoMetric)
_IMAGE_FIELDS = ("id", "file_name", "width", "height")
_PERSON_FIELDS = ("id", "image_id", "category_id", "iscrowd", "area", "num_keypoints")


def coco_results(
    keypoints: np.ndarray,
    scores: np.ndarray,
    image_ids: np.ndarray,
    box_scores: np.ndarray,
    scales: np.ndarray | None = None,
    sigmas: tuple[float, ...] | None = None,
    nms: bool = False,
    category_id: int | Sequence[int] = 1,
) -> list[dict]:
    """The COCO results list: {image_id, category_id, keypoints (3K), score} of each person.

    keypoints (N, K, 2), scores (N, K), image_ids (N,), box_scores (N,), scales (N, 2).
    Third value of a keypoint: its score. A person's: `person_scores`. ``category_id``: of all
    people, or (N,) of each.

    ``nms`` removes all but the best of the people of an image who agree to an object keypoint
    similarity above 0.9, taking width x height of the crop (``scales``) for their area, as
    CocoMetric does. It is for detection boxes, several of which can hold the same person.
    CocoMetric does it with ground-truth boxes too; there every box is another person, and it could
    only lose one, so leave it off.

    No bbox is written: the area that decides whether an unmatched person counts for APM and APL is
    then that of the keypoints' extent, as for COCO's server. CocoMetric writes the box, and its
    area is used (pycocotools' loadRes).
    """
    of_people = person_scores(scores, box_scores)
    triples = np.concatenate([keypoints, scores[..., None]], -1)  # (N, K, 3), as COCO writes it
    keep, categories = range(len(triples)), np.broadcast_to(category_id, len(triples)).tolist()
    if nms:
        if sigmas is None:
            raise InputError("OKS-NMS needs sigmas: give them in data.keypoints")
        keep = distinct_people(triples, of_people, image_ids, np.prod(scales, 1), sigmas)
    return [
        {
            "image_id": int(image_ids[i]),
            "category_id": categories[i],
            "keypoints": triples[i].ravel().tolist(),
            "score": float(of_people[i]),
        }
        for i in keep
    ]


def person_scores(scores: np.ndarray, box_scores: Sequence[float] | np.ndarray) -> np.ndarray:
    """(N,) box score x mean of the keypoint scores (N, K) above 0.2, 0 where none is above.

    mmpose's CocoMetric, score_mode bbox_keypoint.
    """
    above = scores > SCORE_THRESHOLD  # (N, K)
    mean = (scores * above).sum(1) / np.maximum(above.sum(1), 1)
    return np.asarray(box_scores) * mean


def distinct_people(
    triples: np.ndarray, scores: np.ndarray, image_ids: np.ndarray, areas: np.ndarray, sigmas
) -> list[int]:
    """Which of N people OKS-NMS keeps: of those of an image that agree above 0.9, the best.

    triples (N, K, 3), scores (N,), image_ids (N,), areas (N,) of the crops, sigmas (K,).
    """
    from apps.pose.data.mmpose_compat import oks_nms

    # people of different images never compete, so each image is thinned out by itself
    by_image = defaultdict(list)
    for i, image_id in enumerate(image_ids):
        by_image[int(image_id)].append(i)
    keep = []
    for people in by_image.values():
        records = [{"keypoints": triples[i], "score": scores[i], "area": areas[i]} for i in people]
        keep += [people[k] for k in oks_nms(records, NMS_THRESHOLD, sigmas=np.array(sigmas))]
    return sorted(keep)


def coco_ap(
    truth: str | Path | dict,
    results: list[dict],
    sigmas: tuple[float, ...],
    use_area: bool = True,
) -> dict[str, float]:
    """COCO keypoint AP and AR (cocodataset.org/#keypoints-eval), computed by hotcoco.

    AP is the mean over the object keypoint similarities .50:.05:.95 of the 101-point interpolated
    precision, at most 20 people an image; AP50 and AP75 at one similarity; APM and APL over people
    of 32^2 to 96^2 and of more pixels of segment area; AR the mean of the largest recalls. A
    statistic is -1 where the ground truth has nobody of that size, as pycocotools has it.

    ``truth`` is the full json: people without labels and crowds take part as COCO wants it (what
    matches them is neither right nor wrong). ``sigmas`` (K,): with others than COCO's 17 the number
    is no COCO AP but the same formula. Missing num_keypoints and iscrowd are filled in, a missing
    area by 0.53 x box area; with ``use_area=False`` that is every person's area, as xtcocotools has
    it for CrowdPose and AIC, where nobody has a segment. Of several categories AP is the mean, as
    pycocotools has it. Raises InputError.
    """
    content = truth if isinstance(truth, dict) else read_json(truth)
    run = coco_eval(content, results, sigmas, use_area)
    quietly(run.run)
    return {name: float(value) for name, value in zip(AP_NAMES, run.stats, strict=True)}


def one_category(content: dict, category_id: int) -> dict:
    """The content with everybody in one category, for detections that do not say which."""
    people = [{**a, "category_id": category_id} for a in content["annotations"]]
    categories = [c for c in content["categories"] if c["id"] == category_id]
    return {**content, "annotations": people, "categories": categories}


def crowd_ap(
    truth: str | Path | dict, results: list[dict], sigmas: tuple[float, ...]
) -> dict[str, float]:
    """CrowdPose's AP, AP50, AP75, their AR, and AP of easy, medium and hard images.

    As the data set's own code and xtcocotools' keypoints_crowd: areas are 0.53 x box area; an image
    is easy below a ``crowdIndex`` of 0.2, hard from 0.8. They round the last three to 4 digits,
    this does not. Raises InputError where an image has no crowdIndex.
    """
    content = truth if isinstance(truth, dict) else read_json(truth)
    total = coco_ap(content, results, sigmas, use_area=False)
    metrics = {name: total[name] for name in AP_NAMES if name[-1] not in "ML"}
    for name, images in by_crowding(content["images"]).items():
        # a part of the data set is a data set of its own: with its people and its results alone
        ids = {image["id"] for image in images}
        people = [a for a in content["annotations"] if a["image_id"] in ids]
        part = {**content, "images": images, "annotations": people}
        theirs = [result for result in results if result["image_id"] in ids]
        metrics[f"AP {name}"] = coco_ap(part, theirs, sigmas, False)["AP"] if people else -1.0
    return metrics


def by_crowding(images: list[dict]) -> dict[str, list[dict]]:
    """The easy, medium and hard images of CrowdPose. Raises InputError without a crowdIndex."""
    groups = {"easy": [], "medium": [], "hard": []}
    for image in images:
        if not isinstance(index := image.get("crowdIndex"), int | float):
            raise InputError(f"image {image['id']} has no crowdIndex: is it CrowdPose's json?")
        groups["easy" if index < 0.2 else "medium" if index < 0.8 else "hard"].append(image)
    return groups


def coco_eval(content: dict, results: list[dict], sigmas: tuple[float, ...], use_area: bool = True):
    """hotcoco's COCOeval of keypoints, not yet run; arguments as for `coco_ap`."""
    import hotcoco

    people = complete_people(content["annotations"], len(sigmas), use_area)
    images = [{name: image[name] for name in _IMAGE_FIELDS} for image in content["images"]]
    content = {"images": images, "annotations": people, "categories": content["categories"]}

    def load():
        ground_truth = hotcoco.COCO(content)
        return hotcoco.COCOeval(ground_truth, ground_truth.loadRes(results), "keypoints")

    run = quietly(load)
    run.params.kpt_oks_sigmas = [float(s) for s in sigmas]
    return run


def quietly(action: Callable[[], Any]) -> Any:
    """What ``action`` gives, without what hotcoco prints and warns of on the way."""
    report = io.StringIO()
    with (
        contextlib.redirect_stdout(report),
        contextlib.redirect_stderr(report),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # that other sigmas are not COCO's, which is meant
        return action()


def complete_people(annotations: list[dict], count: int, use_area: bool) -> list[dict]:
    """The annotations with every field that the evaluation reads, and no other."""
    complete = []
    for annotation in annotations:
        values = annotation.get("keypoints") or [0] * (3 * count)
        if len(values) != 3 * count:
            raise InputError(
                f"annotation {annotation['id']} has {len(values)} keypoint values, "
                f"but there are {count} sigmas: give one sigma for each keypoint"
            )
        box = annotation.get("bbox") or [0, 0, 0, 0]
        person = {name: annotation[name] for name in _PERSON_FIELDS if name in annotation}
        if not use_area or "area" not in person:
            person["area"] = COVERED * box[2] * box[3]
        if "num_keypoints" not in person:
            person["num_keypoints"] = sum(v > 0 for v in values[2::3])
        complete.append({"iscrowd": 0, **person, "keypoints": values, "bbox": box})
    return complete
