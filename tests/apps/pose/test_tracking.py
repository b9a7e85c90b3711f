"""Who is who in a video, and keypoints that do not tremble: against formulas and known people."""

import math
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from apps.pose.data.joining import subset
from apps.pose.data.mmpose_compat import oks_nms
from apps.pose.evaluation import tracking
from apps.pose.evaluation.similarity import box_overlap
from apps.pose.prediction.pipeline import Frame
from apps.pose.prediction.refining import Refiner, Refining, choose
from apps.pose.prediction.smoothing import BETA, MIN_CUTOFF, SPEED_CUTOFF, OneEuro, Smoother
from apps.pose.prediction.tracking import LOST, Tracker, object_similarity
from core.errors import InputError
from tests.apps.pose.toys import COCO

FPS = 30
BODY = np.stack([np.tile([-15.0, 0, 15], 6)[:17], np.linspace(-50, 50, 17)], 1)  # around a middle


def person(x, y=100.0):
    """Box (4,) and points (17, 2) of somebody who stands here."""
    return np.array([x - 20, y - 55, 40, 110]), BODY + np.array([x, y])


def follow(paths, sigmas=COCO.sigmas):
    """Ids by frame of people at these places [{name: x}, ...]."""
    track, ids = Tracker(sigmas), []
    for number, places in enumerate(paths):
        boxes, points = np.empty((0, 4)), np.empty((0, 17, 2))
        if places:
            boxes, points = map(np.stack, zip(*map(person, places.values()), strict=True))
        given = track(boxes, points, number / FPS)
        ids.append(dict(zip(places, given, strict=True)))
    return ids


# ---- ids ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigmas", [COCO.sigmas, None])
def test_people_who_cross_keep_their_ids(sigmas):
    """The order of the two changes from frame to frame; where they meet one is not seen."""
    paths = []
    for number in range(60):
        places = {"right": 100 + 5 * number, "left": 400 - 5 * number}
        if 26 <= number < 35:
            del places["left"]
        paths.append(dict(sorted(places.items(), reverse=number % 2 == 0)))
    ids = follow(paths, sigmas)
    assert {frame["right"] for frame in ids} == {ids[0]["right"]}
    assert {frame["left"] for frame in ids if "left" in frame} == {ids[0]["left"]}
    assert sorted(ids[0].values()) == [1, 2]


def test_who_is_lost_for_long_is_somebody_new():
    gap = round(FPS * LOST)
    for empty, expected in ((gap - 1, 1), (gap + 1, 2)):
        ids = follow([{"a": 100}, *[{}] * empty, {"a": 100}])
        assert ids[-1]["a"] == expected


def test_somebody_elsewhere_is_somebody_new():
    ids = follow([{"a": 100}, {"b": 300}, {"a": 100, "b": 300}])
    assert ids == [{"a": 1}, {"b": 2}, {"a": 1, "b": 2}]


def test_similarities():
    """An overlap by hand; keypoints as mmpose has them: pairs above 0.9 are what its NMS drops."""
    a, b = np.array([[0.0, 0, 10, 10]]), np.array([[5.0, 0, 10, 10], [20, 0, 5, 5]])
    assert box_overlap(a, b) == pytest.approx(np.array([[1 / 3, 0]]))
    _, points = person(100)
    others = np.stack([points + shift for shift in range(1, 9)])
    areas = np.full(1, 4000.0), np.linspace(3000, 4000, 8)
    (alike,) = object_similarity(points[None], others, *areas, COCO.sigmas)
    for other, similarity in zip(others, alike, strict=True):
        records = [
            {"keypoints": np.c_[p, np.ones(17)], "score": score, "area": size}
            for p, score, size in ((points, 1, 4000), (other, 0.5, 4000))
        ]
        for threshold, kept in ((similarity - 1e-4, 1), (similarity + 1e-4, 2)):
            assert len(oks_nms(records, threshold, sigmas=np.array(COCO.sigmas))) == kept


# ---- smoothing ---------------------------------------------------------------------------------


def one_euro(values, rate, size):
    """Algorithms 1 and 2 of the paper, for a single number."""

    def alpha(cutoff):
        tau = 1 / (2 * math.pi * cutoff)
        return 1 / (1 + tau * rate)

    filtered, speed = [values[0]], 0.0
    for x in values[1:]:
        dx = (x - filtered[-1]) * rate
        speed = alpha(SPEED_CUTOFF) * dx + (1 - alpha(SPEED_CUTOFF)) * speed
        part = alpha(MIN_CUTOFF + BETA * abs(speed) / size)
        filtered.append(part * x + (1 - part) * filtered[-1])
    return filtered


def smoothed(xs, size, seen=None):
    """xs (T, K) of keypoints that move along x alone."""
    smooth, result = OneEuro(), []
    for number, row in enumerate(xs):
        points = np.stack([row, np.zeros_like(row)], 1)
        there = np.ones(len(row), bool) if seen is None else seen[number]
        result.append(smooth(points, there, size, number / FPS)[:, 0])
    return np.array(result)


def test_the_filter_is_the_papers():
    rng = np.random.default_rng(0)
    xs = np.cumsum(rng.normal(0, 4, (40, 3)), 0)
    expected = np.stack([one_euro(x, FPS, 80.0) for x in xs.T], 1)
    np.testing.assert_allclose(smoothed(xs, 80.0), expected)


def test_near_and_far_people_are_filtered_alike():
    xs = np.cumsum(np.random.default_rng(1).normal(0, 4, (40, 2)), 0)
    np.testing.assert_allclose(smoothed(3 * xs, 240.0), 3 * smoothed(xs, 80.0))


def test_a_keypoint_that_is_not_seen_does_not_drag_the_filter():
    """It is far off for ten frames; what comes after is as if these had not been."""
    xs, seen = np.full((40, 1), 50.0), np.ones((40, 1), bool)
    seen[10:20], seen[0] = False, False
    xs[10:20], xs[0] = 900, 900
    result = smoothed(xs, 80.0, seen)
    assert (result[~seen] == 900).all(), "given as it is"
    assert result[seen] == pytest.approx(50)


def test_smoothing_follows_the_person_and_not_the_place_in_the_list():
    smooth, points = Smoother(0.5), np.stack([np.zeros((17, 2)), np.full((17, 2), 90.0)])
    boxes, scores = np.tile([0.0, 0, 40, 40], (2, 1)), np.ones((2, 17))
    for number in range(6):
        order = [0, 1] if number % 2 else [1, 0]
        ids = [order[0] + 1, order[1] + 1]
        result = smooth(ids, boxes, points[order], scores, number / FPS)
        np.testing.assert_allclose(result, points[order])


# ---- frames ------------------------------------------------------------------------------------


def frame(number, places, video=True):
    boxes, points = map(np.stack, zip(*map(person, places), strict=True))
    scores = np.linspace(1, 0.8, len(places))
    return Frame(
        Path("walk.mp4"),
        number,
        np.zeros((200, 300, 3), np.uint8),
        video=video,
        boxes=[(box.tolist(), float(s)) for box, s in zip(boxes, scores, strict=True)],
        points=points,
        scores=np.ones((len(places), 17)),
        areas=1.5 * boxes[:, 2:].prod(1),
    )


def test_duplicates_go_with_all_that_belongs_to_them():
    done = Refiner(COCO, Refining(distinct=True))(frame(0, [50, 150, 151], video=False))
    assert [box[0] for box, _ in done.boxes] == [30, 130]
    assert (len(done.points), len(done.scores), len(done.areas), done.ids) == (2, 2, 2, None)
    kept = Refiner(COCO, Refining(distinct=False))(frame(0, [50, 150, 151]))
    assert len(kept.boxes) == 3
    assert sorted(kept.ids) == [1, 2, 3]


def test_chosen_keypoints():
    chosen = choose(COCO, ["left_wrist", "left_elbow", "nose"])
    part = subset(COCO, chosen)
    assert part.names == ("nose", "left_elbow", "left_wrist")
    assert part.skeleton == ((2, 1),) or part.skeleton == ((1, 2),)
    assert part.swap == (0, 1, 2), "without its partner a keypoint mirrors itself"
    assert part.sigmas == (0.026, 0.072, 0.062)
    done = Refiner(COCO, Refining(chosen=chosen))(frame(0, [100]))
    np.testing.assert_allclose(done.points[0], (BODY + 100)[[0, 7, 9]])
    with pytest.raises(InputError, match=r"no keypoint 'left_wirst'. .*left_wrist"):
        choose(COCO, ["left_wirst"])


# ---- the measure -------------------------------------------------------------------------------


def test_switches_by_hand():
    people = [[7, 8], [7], [8, 7], [8], [7, 8]]
    ids = [[1, 2], [1], [2, 3], [1], [3, 1]]
    assert tracking.count_switches(people, ids) == 2, "7 from 1 to 3, and 8 from 2 to 1"


def test_jitter_and_lag_of_known_curves():
    time = np.arange(80.0)[None, :, None, None]
    parabola = np.concatenate([time**2, 0 * time], -1)
    parabola[0, 40] = np.nan  # what is not there takes no part
    assert tracking.jitter(parabola) == pytest.approx(2)
    truth = np.concatenate([np.sin(time / 5), np.cos(time / 7)], -1)
    late = np.concatenate([np.sin((time - 2.5) / 5), np.cos((time - 2.5) / 7)], -1)
    assert tracking.lag(late, truth) == pytest.approx(2.5, abs=0.1)
    assert tracking.lag(truth, late) == pytest.approx(-2.5, abs=0.1)


def test_the_measure_of_a_short_film():
    """Without noise nothing is wrong; with it, what is smoothed trembles less and is nearer."""
    options = {"seed": 2, "seconds": 0.7, "fps": 30, "people": 2, "miss": 0.0}
    quiet = tracking.make_film(Namespace(**options, noise=0.0), COCO)
    (_, *as_drawn), _, (_, *truth) = tracking.measure(quiet, COCO).rows
    assert as_drawn == pytest.approx(truth, abs=1e-6)
    noisy = tracking.make_film(Namespace(**options, noise=0.05), COCO)
    (_, _, before, off, _), (_, _, after, nearer, _), _ = tracking.measure(noisy, COCO).rows
    assert after < 0.7 * before
    assert nearer < off
