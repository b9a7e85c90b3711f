"""AP against pycocotools and mmpose's CocoMetric, PCK against numbers worked out by hand."""

from __future__ import annotations

import contextlib
import copy
import io
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("mmpose")

from apps.pose.config import DataConfig
from apps.pose.data.keypoints import COCO_NAMES, COCO_SIGMAS, KeypointSet
from apps.pose.evaluation.metrics import (
    AP_NAMES,
    coco_ap,
    coco_results,
)
from apps.pose.evaluation.pck import TORSO, box_size, find_parts, pck, torso_length
from apps.pose.evaluation.protocol import compute_metrics
from core.errors import InputError

SIGMAS = {17: COCO_SIGMAS, 5: (0.03, 0.05, 0.05, 0.1, 0.08)}


def make_truth(count, people=90, seed=0):
    """Small, medium and large people in 25 images; some crowds, some without labels."""
    rng = np.random.default_rng(seed)
    annotations = []
    for i in range(people):
        size = rng.choice([25, 60, 180])
        corner, labelled = rng.uniform(0, 400, 2), rng.integers(0, 3, count)
        if i % 11 == 0:
            labelled[:] = 0
        points = corner + rng.uniform(0, size, (count, 2))
        values = np.c_[points, labelled] * (labelled > 0)[:, None]
        annotations.append(
            {
                "id": i + 1,
                "image_id": int(rng.integers(25)),
                "category_id": 1,
                "iscrowd": int(i % 13 == 5),
                "area": float(0.6 * size * size),
                "bbox": [*corner.tolist(), float(size), float(size)],
                "num_keypoints": int((labelled > 0).sum()),
                "keypoints": values.ravel().tolist(),
            }
        )
    images = [{"id": i, "width": 640, "height": 640, "file_name": f"{i}.jpg"} for i in range(25)]
    names = [f"k{i}" for i in range(count)]
    categories = [{"id": 1, "name": "person", "keypoints": names, "skeleton": []}]
    return {"images": images, "annotations": annotations, "categories": categories}


def make_predictions(truth, count, seed=1):
    """Noisy people, a fifth missed, some twice, and false ones: the arguments of coco_results."""
    rng = np.random.default_rng(seed)
    found, images, boxes, sizes = [], [], [], []
    for annotation in truth["annotations"]:
        box = np.array(annotation["bbox"])
        true = np.array(annotation["keypoints"]).reshape(count, 3)
        guess = np.where(true[:, 2:] > 0, true[:, :2], box[:2] + rng.uniform(0, box[2], (count, 2)))
        for _ in range(rng.choice([0, 1, 1, 1, 2])):
            found.append(guess + rng.normal(0, 0.08 * box[2] * rng.uniform(), (count, 2)))
            images.append(annotation["image_id"])
            boxes.append(rng.uniform(0.3, 1))
            sizes.append(box[2:] * 1.25)
    for _ in range(15):
        found.append(rng.uniform(0, 400) + rng.uniform(0, 150, (count, 2)))
        images.append(int(rng.integers(25)))
        boxes.append(rng.uniform(0, 0.6))
        sizes.append(np.array([190.0, 190.0]))
    scores = rng.uniform(0, 1, (len(found), count))
    return np.array(found), scores, np.array(images), np.array(boxes), np.array(sizes)


def pycocotools_ap(truth, results, sigmas):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        ground_truth = COCO()
        ground_truth.dataset = copy.deepcopy(truth)
        ground_truth.createIndex()
        run = COCOeval(ground_truth, ground_truth.loadRes(copy.deepcopy(results)), "keypoints")
        run.params.kpt_oks_sigmas = np.array(sigmas)
        run.evaluate()
        run.accumulate()
        run.summarize()
    return dict(zip(AP_NAMES, run.stats, strict=True))


@pytest.mark.parametrize("count", [17, 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_ap_is_pycocotools(count, seed):
    truth = make_truth(count, seed=seed)
    found, scores, images, boxes, _ = make_predictions(truth, count, seed + 10)
    results = coco_results(found, scores, images, boxes)
    expected = pycocotools_ap(truth, results, SIGMAS[count])
    assert 0.1 < expected["AP"] < 0.9
    assert coco_ap(truth, results, SIGMAS[count]) == pytest.approx(expected, abs=1e-6)


def test_results_and_nms_are_those_of_cocometric():
    from apps.pose.data.mmpose_compat import CocoMetric

    truth = make_truth(17)
    found, scores, images, boxes, sizes = make_predictions(truth, 17)
    near = found[:40] + 0.3  # duplicates, which NMS must take out
    found, scores = np.concatenate([found, near]), np.concatenate([scores, scores[:40]])
    images, boxes = np.concatenate([images, images[:40]]), np.concatenate([boxes, 0.9 * boxes[:40]])
    sizes = np.concatenate([sizes, sizes[:40]])
    metric = CocoMetric(nms_mode="oks_nms")
    names = {"dataset_name": "people", "num_keypoints": 17}
    metric.dataset_meta = {**names, "sigmas": np.array(COCO_SIGMAS)}
    written = {}
    metric.results2json = lambda people, outfile_prefix: written.update(people)
    metric.coco, metric.format_only = object(), True
    for i in range(len(found)):
        person = {"keypoints": found[i : i + 1], "keypoint_scores": scores[i : i + 1]}
        box = {"bbox_scores": boxes[i : i + 1], "bbox_scales": sizes[i : i + 1]}
        sample = {"id": i, "img_id": int(images[i]), "pred_instances": person, "gt_instances": box}
        metric.process([], [sample])
    with contextlib.redirect_stdout(io.StringIO()):
        metric.compute_metrics(metric.results)
    expected = sorted((p["img_id"], p["score"]) for people in written.values() for p in people)
    results = coco_results(found, scores, images, boxes, sizes, COCO_SIGMAS, nms=True)
    assert len(found) - 60 < len(results) <= len(found) - 40
    assert np.allclose(sorted((r["image_id"], r["score"]) for r in results), expected)
    assert len(coco_results(found, scores, images, boxes)) == len(found)


def test_score_is_box_score_times_the_mean_of_confident_keypoints():
    found, scores = np.zeros((2, 3, 2)), np.array([[0.1, 0.4, 0.6], [0.1, 0.2, 0.0]])
    results = coco_results(found, scores, np.array([1, 2]), np.array([0.5, 0.5]))
    assert [r["score"] for r in results] == pytest.approx([0.25, 0.0])
    assert results[0]["keypoints"] == pytest.approx([0, 0, 0.1, 0, 0, 0.4, 0, 0, 0.6])


def test_nobody_found_is_zero():
    ap = coco_ap(make_truth(17), [], COCO_SIGMAS)
    assert set(ap) == set(AP_NAMES)
    assert set(ap.values()) == {0.0}
    assert coco_results(np.zeros((0, 17, 2)), np.zeros((0, 17)), np.zeros(0), np.zeros(0)) == []


def test_optional_fields_and_wrong_sigmas():
    truth = make_truth(5)
    found, scores, images, boxes, _ = make_predictions(truth, 5)
    results = coco_results(found, scores, images, boxes)
    for annotation in truth["annotations"]:
        annotation.update(iscrowd=0, area=0.53 * annotation["bbox"][2] * annotation["bbox"][3])
    expected = coco_ap(truth, results, SIGMAS[5])
    for annotation in truth["annotations"]:
        del annotation["iscrowd"], annotation["area"], annotation["num_keypoints"]
    assert coco_ap(truth, results, SIGMAS[5]) == pytest.approx(expected)
    with pytest.raises(InputError, match="17 sigmas"):
        coco_ap(truth, results, COCO_SIGMAS)
    with pytest.raises(InputError, match="NMS needs sigmas"):
        coco_results(found, scores, images, boxes, nms=True)


def test_pck_by_hand():
    # Two people whose torso is 100 pixels; the third has no right hip.
    keypoints = KeypointSet.of(["left_shoulder", "right_hip", "nose"])
    person = [[0, 0, 2], [60, 80, 1], [50, -30, 2]]
    truth = np.array([person, person, [[0, 0, 2], [0, 0, 0], [9, 9, 2]]], dtype=float)
    truth[1, 2, 2] = 0  # no nose
    torso = torso_length(truth, keypoints)
    assert torso[:2].tolist() == [100, 100]
    assert np.isnan(torso[2])
    moved = truth[..., :2].copy()
    moved[0, 0] += [20, 0]  # on the limit: correct
    moved[0, 2] += [0, 20.5]  # wrong
    moved[1, 1] += [15, 15]  # 21.2: wrong
    moved[1, 2] += 500  # not labelled: does not count
    result = pck(moved, truth, torso)
    assert result["count"] == 5
    assert result["pck"] == pytest.approx(3 / 5)
    assert result["per_keypoint"].tolist() == [1.0, 0.5, 0.0]
    boxes = np.array([[0, 0, 50, 110], [0, 0, 50, 110], [0, 0, 10, 10]])
    assert pck(moved, truth, box_size(boxes))["pck"] == pytest.approx(7 / 7)
    assert pck(moved, truth, box_size(boxes), 0.1)["count"] == 7


def test_pck_without_anything_valid():
    result = pck(np.zeros((1, 2, 2)), np.zeros((1, 2, 3)), np.array([np.nan]))
    assert (result["pck"], result["count"]) == (0.0, 0)
    assert np.isnan(result["per_keypoint"]).all()
    empty = pck(np.zeros((0, 2, 2)), np.zeros((0, 2, 3)), np.zeros(0))
    assert empty["count"] == 0


def test_torso_pair_must_exist():
    truth = np.ones((1, 17, 3))
    coco, flic = KeypointSet.of(list(COCO_NAMES)), ("left_hip", "right_shoulder")
    assert torso_length(truth, coco, flic).tolist() == [0]
    with pytest.raises(InputError, match="'left_shoulder'"):
        torso_length(truth[:, :2], KeypointSet.of(["a", "b"]))


SPELLINGS = ["left_hip", "left-hip", "Left Hip", "LEFT_HIP", "leftHip", "L_hip", "hip.l", "LHip"]


@pytest.mark.parametrize("hip", SPELLINGS)
def test_the_torso_is_found_however_it_is_spelt(hip):
    """Also by the protocol, which leaves the torso's PCK out where there is none."""
    swapped = {"left": "right", "Left": "Right", "LEFT": "RIGHT", "L": "R", "hip.l": "hip.r"}
    start = next(word for word in ("left", "Left", "LEFT", "hip.l", "L") if hip.startswith(word))
    right = swapped[start] + hip[len(start) :]
    shoulder = hip.replace("hip", "shoulder").replace("Hip", "Shoulder").replace("HIP", "SHOULDER")
    keypoints = KeypointSet.of(["nose", shoulder, right])
    assert find_parts(keypoints.names, TORSO) == [1, 2]
    truth = np.array([[[5, 5, 2], [0, 0, 2], [30, 40, 2]]])
    assert torso_length(truth, keypoints).tolist() == [50]
    data = SimpleNamespace(
        keypoints=keypoints,
        files=DataConfig(),
        truth={"annotations": [{"id": 3, "keypoints": truth.ravel(), "bbox": [0, 0, 30, 40]}]},
    )
    people = SimpleNamespace(keypoints=truth[..., :2] + 9.0, annotation=np.array([3]))
    metrics = compute_metrics(data, people, [])
    assert metrics == {"PCK@0.2 torso": 0.0, "PCK@0.2 box": 0.0}  # 12.7 of 10 and of 8 pixels
    people = SimpleNamespace(keypoints=truth[..., :2] + 6.5, annotation=np.array([3]))
    assert compute_metrics(data, people, []) == {"PCK@0.2 torso": 1.0, "PCK@0.2 box": 0.0}


def test_no_torso_without_its_keypoints():
    assert find_parts(["left_shoulder", "right_shoulder", "hips"], TORSO) == [0, None]
