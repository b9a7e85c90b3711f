"""Jitter, inversion, swap and miss by hand, and the tables of a report."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

pytest.importorskip("mmpose")

from apps.pose.data.keypoints import KeypointSet
from apps.pose.evaluation.breakdown import (
    KINDS,
    UNLABELLED,
    break_down,
    keypoint_kinds,
    match,
    put_right,
)
from apps.pose.evaluation.groups import groups_of
from apps.pose.evaluation.metrics import coco_ap, complete_people
from apps.pose.evaluation.report import coco_report, pck_report
from core.tables import Table
from tests.apps.pose.test_protocol import by_pycocotools, make_truth, simulate

# Three keypoints with sigma 0.1; at area 10000 the similarity is exp(-d^2 / 800):
# 1 at 0, 0.8825 at 10 pixels, 0.6065 at 20, 0.4559 at 25.
SET = KeypointSet.of(["nose", "left_hand", "right_hand"])
SET = KeypointSet(SET.names, ((0, 1),), SET.swap, (0.1, 0.1, 0.1), SET.upper)
ANN = [[100.0, 100, 2], [50, 200, 2], [150, 200, 1]]
BEN = [[400.0, 100, 2], [350, 200, 2], [450, 200, 2]]


def kinds(points, people=(ANN, BEN), areas=(10000.0, 10000.0), own=0):
    found = keypoint_kinds(
        np.array(points, dtype=float), np.array(people), np.array(areas), own, SET.swap, SET.sigmas
    )
    return [KINDS[k] if k != UNLABELLED else "" for k in found]


def test_distances():
    at = {10: "good", 12: "jitter", 20: "jitter", 23: "jitter", 24: "miss", 500: "miss"}
    for pixels, kind in at.items():  # .85 is at 11.40 pixels, .5 at 23.55
        assert kinds([[100, 100 - pixels], [50, 200], [150, 200]]) == [kind, "good", "good"]


def test_a_smaller_person_asks_for_more():
    points = [[100, 90], [50, 190], [150, 190]]
    assert kinds(points) == ["good"] * 3
    assert kinds(points, areas=(2500.0, 10000.0)) == ["jitter"] * 3  # exp(-100 / 200)
    assert kinds(points, areas=(1000.0, 10000.0)) == ["miss"] * 3


def test_inversion_is_of_the_same_person():
    assert kinds([[100, 100], [150, 200], [50, 200]]) == ["good", "inversion", "inversion"]
    assert kinds([[100, 100], [170, 200], [150, 200]]) == ["good", "inversion", "good"]
    assert kinds([[100, 100], [50, 200], [100, 100]])[2] == "miss", "a nose is no other hand"


def test_swap_is_of_another_person():
    assert kinds([[400, 100], [350, 200], [150, 200]]) == ["swap", "swap", "good"]
    assert kinds([[100, 100], [450, 200], [150, 200]])[1] == "swap", "the other one's other hand"
    assert kinds([[400, 100], [350, 200], [150, 200]], people=(ANN,), areas=(1e4,)) == [
        "miss",
        "miss",
        "good",
    ]


def test_of_several_places_the_most_similar_counts():
    near = [[100.0, 100, 2], [50, 200, 2], [80, 200, 2]]  # hands 30 pixels apart
    assert kinds([[100, 100], [63, 200], [80, 200]], (near, BEN))[1] == "jitter"
    assert kinds([[100, 100], [67, 200], [80, 200]], (near, BEN))[1] == "inversion"
    assert kinds([[100, 100], [50, 200], [80, 200]], (near, near)) == ["good"] * 3
    other = [[100.0, 130, 2], *BEN[1:]]
    assert kinds([[100, 113], [50, 200], [150, 200]], (ANN, other))[0] == "jitter"
    assert kinds([[100, 117], [50, 200], [150, 200]], (ANN, other))[0] == "swap"
    close = [[100.0, 112, 2], *BEN[1:]]
    assert kinds([[100, 110], [50, 200], [150, 200]], (ANN, close))[0] == "good", ".88 to its own"


def test_what_is_not_labelled_is_no_place():
    half = [[100.0, 100, 2], [50, 200, 2], [0, 0, 0]]
    assert kinds([[100, 100], [0, 0], [0, 0]], (half, BEN)) == ["good", "miss", ""]
    assert kinds([[100, 100], [150, 200], [0, 0]], (half, BEN))[1] == "miss"
    away = [[0.0, 0, 0]] * 3
    assert kinds([[0, 0], [50, 200], [150, 200]], (ANN, away)) == ["miss", "good", "good"]


def annotation(number, values, area=10000.0, image=1, **other):
    values = np.array(values, dtype=float)
    start = values[:, :2].min(0)
    box = [*start.tolist(), *(values[:, :2].max(0) - start).tolist()]
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "area": area,
        "bbox": box,
        "num_keypoints": int((values[:, 2] > 0).sum()),
        "keypoints": values.ravel().tolist(),
        **other,
    }


def detection(points, score, image=1):
    values = np.c_[np.array(points, dtype=float), np.ones(3)].ravel().tolist()
    return {"image_id": image, "category_id": 1, "keypoints": values, "score": score}


@pytest.fixture
def scene():
    """Two people and a crowd; one detection with an inversion and a miss, one with a jitter."""
    crowd = annotation(9, [[600.0, 100, 2], [590, 120, 2], [610, 120, 2]], iscrowd=1)
    blank = annotation(8, [[0.0, 0, 0]] * 3, bbox=[600, 300, 50, 50])
    content = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 700, "height": 400}],
        "annotations": [annotation(70, ANN), annotation(30, BEN), crowd, blank],
        "categories": [{"id": 1, "name": "person", "keypoints": list(SET.names)}],
    }
    results = [
        detection([[600, 100], [590, 120], [610, 120]], 0.9),  # of the crowd
        detection([[400, 118], [350, 200], [450, 200]], 0.8),
        detection([[100, 100], [150, 200], [150, 260]], 0.7),
        detection([[20, 380], [20, 380], [20, 380]], 0.6),  # of nobody
    ]
    return content, results


def test_matching_is_coco_s(scene):
    pairs, unmatched = match(*scene, SET.sigmas)
    assert pairs == [(0, 9), (1, 30), (2, 70)]
    assert unmatched == 1


def test_break_down_of_a_scene(scene):
    errors = break_down(*scene, SET)
    assert errors.annotation.tolist() == [30, 70]
    assert errors.result.tolist() == [1, 2]
    named = [[KINDS[k] for k in row] for row in errors.kinds]
    assert named == [["jitter", "good", "good"], ["good", "inversion", "miss"]]
    assert errors.counts().tolist() == [[1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [1, 0, 0, 0, 1]]
    expected = [[math.exp(-(18**2) / 800), 1, 1], [1, math.exp(-12.5), math.exp(-4.5)]]
    np.testing.assert_allclose(errors.similarity, expected)
    assert (errors.missed, errors.unmatched) == ((), 1)


def test_people_whom_nobody_found(scene):
    content, results = scene
    errors = break_down(content, results[:1], SET)
    assert errors.missed == (30, 70)
    assert errors.counts().sum() == 0
    assert break_down(content, [], SET).missed == (30, 70)


def test_putting_one_kind_right(scene):
    content, results = scene
    errors = break_down(content, results, SET)
    better = put_right(results, content, errors, "inversion")
    assert np.reshape(better[2]["keypoints"], (3, 3))[:, :2].tolist() == [
        [100, 100],
        [50, 200],
        [150, 260],
    ]
    assert [better[i] is results[i] for i in range(4)] == [True, True, False, True]
    assert results[2]["keypoints"][3:5] == [150, 200], "the input stays"
    for kind in KINDS[1:]:
        results = put_right(results, content, errors, kind)
    assert break_down(content, results, SET).counts()[:, 0].tolist() == [2, 2, 2]


@pytest.mark.parametrize("seed", range(3))
def test_people_outside_a_group_are_ignored_as_pycocotools_ignores_them(seed):
    truth = make_truth(seed)
    results = simulate(truth, seed)
    for annotation in truth["annotations"][::2]:
        annotation["num_keypoints"] = 0
    sigmas = KeypointSet.of(truth["categories"][0]["keypoints"]).sigmas
    expected = by_pycocotools(truth, results)
    assert coco_ap(truth, results, sigmas) == pytest.approx(expected, abs=1e-6)


def test_groups():
    far = [[0.0, 0, 2], [100, 0, 1], [0, 100, 0]]
    near = [[5.0, 0, 2], [105, 0, 2], [5, 100, 2]]
    content = [
        annotation(1, far),
        annotation(2, near),
        annotation(3, near, image=2),
        annotation(4, far, iscrowd=1),
        annotation(5, [[0.0, 0, 0]] * 3, bbox=[0, 0, 1, 1]),
    ]
    groups = groups_of(complete_people(content, 3, use_area=True))
    assert groups["keypoints: 1-5"] == {1, 2, 3}
    assert groups["keypoints: 16+"] == set()
    assert groups["overlaps: 0"] == {3}
    assert groups["overlaps: 1-2"] == {1, 2}, "each other and the crowd, not the tiny box"
    assert groups["occluded: none"] == {2, 3}
    assert groups["occluded: more"] == {1}


def test_a_report_adds_up(scene):
    content, results = scene
    tables = {table.title: table for table in coco_report(content, results, SET)}
    total = dict(zip(tables["Keypoints"].columns, tables["Keypoints"].rows[-1], strict=True))
    assert (total["labelled"], total["good"], total["miss"]) == (6, 0.5, 1 / 6)
    nose = dict(zip(tables["Keypoints"].columns, tables["Keypoints"].rows[0], strict=True))
    assert nose["ks"] == pytest.approx((1 + math.exp(-(18**2) / 800)) / 2)
    counts = {row[0]: row[1] for row in tables["Errors"].rows}
    assert counts == {"jitter": 1, "inversion": 1, "swap": 0, "miss": 1}
    gains = {row[0]: row[3] for row in tables["Errors"].rows}
    assert gains["swap"] == 0
    assert gains["inversion"] > 0
    seen = {row[0]: row[1] for row in tables["Occlusion of keypoints"].rows}
    assert seen == {"visible": 5, "occluded": 1}
    people = {row[0]: row[1] for row in tables["People"].rows}
    assert people["size: large"] == 2
    assert people["keypoints: 1-5"] == 2
    assert "2 matched, 0 without a detection; 1 detections of nobody" in tables["Errors"].note


def test_one_keypoint_alone_is_coco_s_evaluation_of_it(scene):
    """Left hand: one detection of two is right, and it has the higher score."""
    content, results = scene
    (table, *_) = coco_report(content, results, SET)
    alone = {row[0]: row[2] for row in table.rows}
    assert alone["left_hand"] == pytest.approx(51 / 101)
    assert alone["right_hand"] == pytest.approx(51 / 101)
    # The jitter is .667: right at four of ten thresholds, at six a false detection before the true.
    assert alone["nose"] == pytest.approx(0.4 + 0.6 * 0.5 * 51 / 101)


@pytest.mark.parametrize("results", [[], [detection([[1, 1], [2, 2], [3, 3]], 0.5)]])
def test_a_report_of_nothing_found(scene, results):
    for table in coco_report(scene[0], results, SET):
        assert "nan" not in table.text()
        json.dumps(table.plain(), allow_nan=False)


def test_a_table():
    table = Table("Title", ("name", "n", "share"), (("a", 3, 0.25), ("long", 100, float("nan"))))
    assert table.text().splitlines() == [
        "Title",
        "name    n  share",
        "a       3  0.250",
        "long  100      -",
    ]
    assert table.plain()["rows"] == [["a", 3, 0.25], ["long", 100, None]]


def test_pck_table():
    truth = np.array([[[0.0, 0, 2], [50, 0, 0], [90, 0, 1]], [[0, 0, 2], [50, 0, 2], [90, 0, 2]]])
    found = truth[..., :2] + [15.0, 0]
    (table,) = pck_report(found, truth, np.array([100.0, np.nan]), SET)
    assert [row[1] for row in table.rows] == [1, 0, 1]
    assert table.rows[0][2:] == (1.0, 0.0)
    assert math.isnan(table.rows[1][2])
