"""COCO's protocol: AP against pycocotools in every corner, OKS-NMS against brute force, CrowdPose,
and what is written for the evaluation server."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mmpose")

from apps.pose.data.keypoints import COCO_NAMES, COCO_SIGMAS
from apps.pose.evaluation.metrics import AP_NAMES, coco_ap, coco_results, crowd_ap
from apps.pose.evaluation.server import write_server_files
from core.errors import InputError

SIGMAS = np.array(COCO_SIGMAS)
# Segment areas on both sides of COCO's borders, and on them.
AREAS = (900.0, 1023.99, 1024.0, 1024.01, 4000.0, 9215.99, 9216.0, 9216.01, 40000.0)


def person(number, image, area, rng, kind="person"):
    """An annotation; ``kind`` "crowd", "blank" (nothing labelled) or "person"."""
    side = np.sqrt(area / 0.6)
    corner = rng.uniform(0, 640 - side, 2)
    labels = np.zeros(17) if kind != "person" else rng.integers(0, 3, 17)
    labels[0] = 0 if kind != "person" else 2
    points = corner + rng.uniform(0, side, (17, 2))
    values = np.c_[points, labels] * (labels > 0)[:, None]
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "iscrowd": int(kind == "crowd"),
        "area": area,
        "bbox": [*corner.tolist(), side, side],
        "num_keypoints": int((labels > 0).sum()),
        "keypoints": values.ravel().tolist(),
    }


def make_truth(seed, count=120, images=12):
    """People of all sizes; crowds, unlabelled people, images with more than 20, images with none.

    Ids of images and annotations are large and in no order.
    """
    rng = np.random.default_rng(seed)
    ids = rng.permutation(100000)
    annotations = []
    for i in range(count):
        kind = {3: "crowd", 7: "blank"}.get(i % 13, "person")
        image = 0 if i % 3 == 0 else int(rng.integers(1, images - 1))  # the last has nobody
        area = float(rng.choice(AREAS))
        annotations.append(person(int(ids[1000 + i]), int(ids[image]), area, rng, kind))
    names = {"id": 1, "name": "person", "keypoints": list(COCO_NAMES), "skeleton": []}
    sizes = {"width": 640, "height": 640}
    listed = [{"id": int(ids[i]), "file_name": f"{i}.jpg", **sizes} for i in range(images)]
    return {"images": listed, "annotations": annotations, "categories": [names]}


def simulate(truth, seed, sigma=1.0):
    """Detections of a poor network: noise, misses, duplicates, false ones, equal scores."""
    rng = np.random.default_rng(seed)
    results = []

    def add(image, points, score):
        values = np.c_[points, np.ones(17)].ravel().tolist()
        found = {"image_id": image, "category_id": 1, "keypoints": values, "score": float(score)}
        results.append(found)

    for annotation in truth["annotations"]:
        box = np.array(annotation["bbox"])
        known = np.reshape(annotation["keypoints"], (17, 3))
        anywhere = box[:2] + rng.uniform(0, 1, (17, 2)) * box[2:]
        points = np.where(known[:, 2:] > 0, known[:, :2], anywhere)
        for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
            size = np.sqrt(max(annotation["area"], 1.0))
            noise = rng.normal(0, 1, (17, 2)) * SIGMAS[:, None] * size * sigma * rng.exponential()
            add(annotation["image_id"], points + noise, np.round(rng.uniform(), 1))
    for image in truth["images"]:
        for _ in range(rng.integers(0, 4)):
            add(image["id"], rng.uniform(0, 640, (17, 2)), np.round(rng.uniform(0, 0.5), 1))
    return results


def by_pycocotools(truth, results, images=None):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        ground_truth = COCO()
        ground_truth.dataset = copy.deepcopy(truth)
        ground_truth.createIndex()
        sigmas = np.array(COCO_SIGMAS)
        run = COCOeval(ground_truth, ground_truth.loadRes(copy.deepcopy(results)), "keypoints")
        run.params.kpt_oks_sigmas = sigmas
        run.params.imgIds = images or run.params.imgIds
        run.evaluate()
        run.accumulate()
        run.summarize()
    return dict(zip(AP_NAMES, run.stats.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(6))
def test_every_corner_is_pycocotools(seed):
    truth = make_truth(seed)
    results = simulate(truth, seed + 100)
    crowded = [r for r in results if r["image_id"] == truth["images"][0]["id"]]
    assert len(crowded) > 40, "more than COCO looks at"
    assert {a["iscrowd"] for a in truth["annotations"]} == {0, 1}
    expected = by_pycocotools(truth, results)
    assert 0.05 < min(expected.values()) < max(expected.values()) < 0.95
    assert coco_ap(truth, results, COCO_SIGMAS) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("area", AREAS)
def test_a_person_on_the_border_of_two_sizes(area):
    """Alone, so that APM and APL say which sizes COCO counts it in: on the border it is in both."""
    truth = make_truth(0, count=1)
    image = truth["images"][0]["id"]
    truth["annotations"] = [person(5, image, area, np.random.default_rng(1))]
    values = truth["annotations"][0]["keypoints"]
    results = [{"image_id": image, "category_id": 1, "score": 1.0, "keypoints": values}]
    found, expected = coco_ap(truth, results, COCO_SIGMAS), by_pycocotools(truth, results)
    assert found == pytest.approx(expected, abs=1e-6)
    assert (found["APM"] == -1) == (not 1024 <= area <= 9216)
    assert (found["APL"] == -1) == (area < 9216)


@pytest.fixture(scope="module")
def real_truth():
    folder = Path(os.environ.get("MIXER_TEST_DATA", "")) / "coco_sample"
    if not os.environ.get("MIXER_TEST_DATA") or not folder.is_dir():
        pytest.skip("MIXER_TEST_DATA names no folder with COCO annotations in coco_sample")
    return json.loads((folder / "person_keypoints_train.json").read_text())


@pytest.mark.parametrize("noise", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("seed", range(4))
def test_real_annotations_are_pycocotools(real_truth, noise, seed):
    results = simulate(real_truth, seed, noise)
    expected = by_pycocotools(real_truth, results)
    assert 0 < expected["AP"] < 1
    assert coco_ap(real_truth, results, COCO_SIGMAS) == pytest.approx(expected, abs=1e-6)


# ---- OKS-NMS -----------------------------------------------------------------------------------


def similarity(a, b, area_a, area_b):
    """The object keypoint similarity of two detections, one keypoint at a time."""
    total = 0.0
    for (xa, ya), (xb, yb), sigma in zip(a, b, COCO_SIGMAS, strict=True):
        squared = (xa - xb) ** 2 + (ya - yb) ** 2
        total += np.exp(-squared / (2 * (area_a + area_b) / 2 * (2 * sigma) ** 2))
    return total / len(COCO_SIGMAS)


def suppressed(points, scores, images, areas):
    """Indices of those left: best first, each removes what is alike in its image."""
    left, kept = set(range(len(points))), []
    while left:
        best = max(left, key=lambda i: scores[i])
        kept.append(best)
        alike = {
            i
            for i in left
            if images[i] == images[best]
            and similarity(points[i], points[best], areas[i], areas[best]) > 0.9
        }
        left -= alike | {best}
    return sorted(kept)


def crowd(rng, count):
    """Groups of nearly the same person, in 4 images."""
    base = rng.uniform(0, 300, (5, 17, 2))
    which = rng.integers(0, 5, count)
    points = base[which] + rng.normal(0, 1, (count, 17, 2)) * rng.uniform(0, 12, (count, 1, 1))
    scales = rng.uniform(80, 200, (count, 2))
    return points, rng.integers(0, 4, count), scales


@pytest.mark.parametrize("seed", range(20))
def test_nms_is_brute_force(seed):
    rng = np.random.default_rng(seed)
    points, images, scales = crowd(rng, int(rng.integers(1, 60)))
    scores, boxes = rng.uniform(0.3, 1, (len(points), 17)), rng.uniform(0.1, 1, len(points))
    results = coco_results(points, scores, images, boxes, scales, COCO_SIGMAS, nms=True)
    total = boxes * scores.mean(1)
    kept = suppressed(points, total, images, scales.prod(1))
    assert [r["score"] for r in results] == pytest.approx(total[kept].tolist())
    assert [r["image_id"] for r in results] == images[kept].tolist()
    if len(points) > 30:
        assert len(kept) < len(points)


@pytest.mark.parametrize("seed", range(5))
def test_nms_of_equal_scores_keeps_one_of_each_kind(seed):
    """Which of two equals is kept is not said; that nobody alike is left and nobody lost is."""
    points, images, scales = crowd(np.random.default_rng(seed), 40)
    ones, areas = np.ones(40), scales.prod(1)
    results = coco_results(points, np.ones((40, 17)), images, ones, scales, COCO_SIGMAS, nms=True)
    flat = points.reshape(40, -1).tolist()
    left = [np.reshape(r["keypoints"], (17, 3))[:, :2].ravel().tolist() for r in results]
    kept = [flat.index(values) for values in left]

    def alike(i, j):
        same = images[i] == images[j]
        return same and similarity(points[i], points[j], areas[i], areas[j]) > 0.9

    assert not [(i, j) for i in kept for j in kept if i < j and alike(i, j)]
    assert all(any(i == j or alike(i, j) for j in kept) for i in range(40))


def test_nms_of_nobody_and_of_identical_people():
    none = [np.zeros((0, 17, 2)), np.zeros((0, 17)), np.zeros(0), np.zeros(0), np.zeros((0, 2))]
    assert coco_results(*none, COCO_SIGMAS, nms=True) == []
    points = np.repeat(np.random.default_rng(0).uniform(0, 90, (1, 17, 2)), 3, 0)
    same = [points, np.ones((3, 17)), np.zeros(3), np.ones(3), np.full((3, 2), 50.0)]
    assert len(coco_results(*same, COCO_SIGMAS, nms=True)) == 1


# ---- CrowdPose and other areas -----------------------------------------------------------------


def test_areas_from_boxes():
    """xtcocotools' use_area=False: 0.53 x box area stands for everyone's."""
    truth = make_truth(1)
    results = simulate(truth, 3)
    by_box = copy.deepcopy(truth)
    for annotation in by_box["annotations"]:
        annotation["area"] = 0.53 * annotation["bbox"][2] * annotation["bbox"][3]
    expected = by_pycocotools(by_box, results)
    assert expected["AP"] != pytest.approx(by_pycocotools(truth, results)["AP"], abs=1e-3)
    found = coco_ap(truth, results, COCO_SIGMAS, use_area=False)
    assert found == pytest.approx(expected, abs=1e-6)


def test_crowdpose_by_pycocotools_on_each_third():
    truth = make_truth(2)
    for number, image in enumerate(truth["images"]):
        image["crowdIndex"] = (0.0, 0.19, 0.2, 0.5, 0.79, 0.8, 1.0)[number % 7]
    for annotation in truth["annotations"]:
        annotation["area"] = 0.53 * annotation["bbox"][2] * annotation["bbox"][3]
    results = simulate(truth, 5)
    found = crowd_ap(truth, results, COCO_SIGMAS)
    expected = by_pycocotools(truth, results)
    for name in ("AP", "AP50", "AP75", "AR", "AR50", "AR75"):
        assert found.pop(name) == pytest.approx(expected[name], abs=1e-6)
    for name, low, high in (("easy", -1, 0.2), ("medium", 0.2, 0.8), ("hard", 0.8, 2)):
        images = [i["id"] for i in truth["images"] if low <= i["crowdIndex"] < high]
        ap = by_pycocotools(truth, results, images)["AP"]
        assert found.pop(f"AP {name}") == pytest.approx(ap, abs=1e-6)
    assert not found
    del truth["images"][3]["crowdIndex"]
    with pytest.raises(InputError, match="no crowdIndex"):
        crowd_ap(truth, results, COCO_SIGMAS)


def test_crowdpose_without_anyone_in_a_third():
    truth = make_truth(2)
    for image in truth["images"]:
        image["crowdIndex"] = 0.1
    found = crowd_ap(truth, simulate(truth, 5), COCO_SIGMAS)
    assert (found["AP medium"], found["AP hard"]) == (-1, -1)
    assert found["AP easy"] == pytest.approx(found["AP"])


# ---- the evaluation server ---------------------------------------------------------------------


def test_files_for_the_server(tmp_path):
    """Read as the server does: the name, the fields, the types, every image of the set."""
    truth = make_truth(0)
    results = simulate(truth, 1)
    images = tmp_path / "image_info_test-dev2017.json"
    listing, zipped = write_server_files(results, images, tmp_path, "my run_1")
    stem = "person_keypoints_test-dev2017_my-run-1_results"
    assert (listing.name, zipped.name) == (f"{stem}.json", f"{stem}.zip")
    assert re.fullmatch(r"person_keypoints_test-dev2017_[^_]+_results\.json", listing.name)
    with zipfile.ZipFile(zipped) as archive:
        assert archive.namelist() == [listing.name]
        assert archive.read(listing.name) == listing.read_bytes()
    written = json.loads(listing.read_text())
    known = {image["id"] for image in truth["images"]}
    assert len(written) == len(results)
    for record in written:
        assert set(record) == {"image_id", "category_id", "keypoints", "score"}
        assert record["image_id"] in known
        assert record["category_id"] == 1
        assert len(record["keypoints"]) == 51
        assert record["keypoints"] == [round(value, 1) for value in record["keypoints"]]
        assert np.isfinite(record["keypoints"]).all()
        assert isinstance(record["score"], float)
    rounded = coco_ap(truth, written, COCO_SIGMAS)
    assert rounded == pytest.approx(coco_ap(truth, results, COCO_SIGMAS), abs=0.01)
    assert sorted(p.name for p in tmp_path.iterdir()) == [listing.name, zipped.name]
