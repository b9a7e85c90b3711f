"""What kind of errors a network makes: jitter, inversion, swap, miss (Ronchi and Perona, ICCV 2017,
arXiv 1707.05388, section 3.1).

P people of an image, K keypoints; points are (x, y) in pixels. The similarity of a keypoint to a
place is its term of the object keypoint similarity, ks = exp(-d^2 / (2 area (2 sigma)^2)).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from apps.pose.data.keypoints import KeypointSet
from apps.pose.evaluation.metrics import coco_eval, complete_people, quietly
from apps.pose.evaluation.similarity import keypoint_similarity

KINDS = ("good", "jitter", "inversion", "swap", "miss")
NEAR, GOOD = 0.5, 0.85  # COCO's smallest threshold; above it annotators disagree as much
MATCHED = 0.1  # object keypoint similarity from which a detection is of a person
UNLABELLED = -1


def keypoint_kinds(
    points: np.ndarray,
    people: np.ndarray,
    areas: np.ndarray,
    own: int,
    swap: tuple[int, ...],
    sigmas: tuple[float, ...],
) -> np.ndarray:
    """(K,) index into KINDS of each predicted keypoint, UNLABELLED where nothing is known.

    points (K, 2) were predicted for person ``own`` of people (P, K, 3) as x, y, v with areas (P,).

    - good: its own place at a similarity of at least .85
    - jitter: its own place, from .5
    - inversion: the place of its mirrored keypoint (``swap``) of the same person, from .5
    - swap: the place of it or of its mirrored keypoint of another person, from .5
    - miss: no such place

    Where several apply, the most similar place counts, as in the authors' code. There it does so at
    .85 too; here, as in their text, what is that near to its own place is good.
    """
    straight = similarity(points, people, areas, sigmas)  # (P, K) to the keypoint's own places
    mirrored = similarity(points, people[:, list(swap)], areas, sigmas)  # (P, K) to its mirror's
    mirrored[own, np.array(swap) == np.arange(len(swap))] = UNLABELLED  # a nose has no other side
    others = np.arange(len(people)) != own
    elsewhere = np.maximum(straight, mirrored)[others].max(0, initial=UNLABELLED)  # (K,)
    right, inverted = straight[own], mirrored[own]  # (K,) each
    # the first condition that holds decides: where two places are equally near, the earlier kind
    nearest = np.maximum(np.maximum(right, inverted), elsewhere)
    return np.select(
        [right < 0, right >= GOOD, nearest < NEAR, right == nearest, inverted == nearest],
        [UNLABELLED, 0, 4, 1, 2],
        default=3,
    )


def similarity(
    points: np.ndarray, people: np.ndarray, areas: np.ndarray, sigmas: tuple[float, ...]
) -> np.ndarray:
    """(P, K) similarity of points (K, 2) to the places of people (P, K, 3), -1 if not labelled."""
    alike = keypoint_similarity(people[..., :2], points, areas, sigmas)
    return np.where(people[..., 2] > 0, alike, UNLABELLED)


@dataclass(frozen=True)
class Breakdown:
    """Errors of N detections that are matched to a labelled person.

    kinds       (N, K)  as `keypoint_kinds`
    similarity  (N, K)  to the keypoint's own place, -1 where it is not labelled
    result      (N,)    index in the results
    annotation  (N,)    id of the person
    missed      ids of labelled people that no detection is matched to
    unmatched   detections that are of nobody, at most 20 an image
    """

    kinds: np.ndarray
    similarity: np.ndarray
    result: np.ndarray
    annotation: np.ndarray
    missed: tuple[int, ...]
    unmatched: int

    def counts(self) -> np.ndarray:
        """(K, 5) labelled keypoints of the matched people of each kind."""
        return np.stack([(self.kinds == kind).sum(0) for kind in range(len(KINDS))], 1)


def break_down(
    content: dict, results: list[dict], keypoints: KeypointSet, use_area: bool = True
) -> Breakdown:
    """The errors in COCO ``results``; ``content`` is the json with the truth, as for `coco_ap`.

    Detections are matched to people as COCO does, at an object keypoint similarity of .1 in place
    of .5 and above, so that bad ones are looked at too (as in the authors' code).
    """
    images = defaultdict(list)
    for person in complete_people(content["annotations"], len(keypoints), use_area):
        images[person["image_id"]].append(person)
    labelled = {p["id"] for people in images.values() for p in people if is_labelled(p)}
    pairs, unmatched = match(content, results, keypoints.sigmas, use_area)
    pairs = [(number, person) for number, person in pairs if person in labelled]
    errors = [_errors(results[n], images[results[n]["image_id"]], p, keypoints) for n, p in pairs]
    shape = (len(pairs), len(keypoints))
    return Breakdown(
        kinds=np.array([kinds for kinds, _ in errors], dtype=int).reshape(shape),
        similarity=np.array([own for _, own in errors], dtype=float).reshape(shape),
        result=np.array([number for number, _ in pairs], dtype=int),
        annotation=np.array([person for _, person in pairs], dtype=int),
        missed=tuple(sorted(labelled - {person for _, person in pairs})),
        unmatched=unmatched,
    )


def is_labelled(person: dict) -> bool:
    """Whether evaluation asks for this person: no crowd, and with a labelled keypoint."""
    return not person["iscrowd"] and any(v > 0 for v in person["keypoints"][2::3])


def match(
    content: dict, results: list[dict], sigmas: tuple[float, ...], use_area: bool = True
) -> tuple[list[tuple[int, int]], int]:
    """(index in results, annotation id) of what COCO's evaluation matches; how many it does not."""
    run = coco_eval(content, results, sigmas, use_area)
    # one threshold and one size, so that an image has one record with one row of matches
    run.params.iou_thrs, run.params.area_rng = [MATCHED], [[0.0, 1e10]]
    run.params.area_rng_lbl = ["all"]
    quietly(run.evaluate)
    pairs, unmatched = [], 0
    for image in filter(None, run.eval_imgs):
        for number, person, matched in zip(
            image["dtIds"], image["dtMatches"][0], image["dtMatched"][0], strict=True
        ):
            unmatched += not matched
            if matched:
                pairs.append((number - 1, person))  # loadRes numbers the results from 1
    return sorted(pairs), unmatched


def _errors(
    result: dict, people: list[dict], own: int, keypoints: KeypointSet
) -> tuple[np.ndarray, np.ndarray]:
    """`keypoint_kinds` of one detection of person ``own``, and the similarity to its own places."""
    points = np.reshape(result["keypoints"], (-1, 3))[:, :2]  # (K, 2)
    # of everybody in the image, crowds and people without labels too: (P, K, 3)
    places = np.array([p["keypoints"] for p in people], dtype=float).reshape(-1, len(points), 3)
    areas = np.array([p["area"] for p in people], dtype=float)
    number = [p["id"] for p in people].index(own)
    kinds = keypoint_kinds(points, places, areas, number, keypoints.swap, keypoints.sigmas)
    return kinds, similarity(points, places, areas, keypoints.sigmas)[number]


def put_right(results: list[dict], content: dict, errors: Breakdown, kind: str) -> list[dict]:
    """The results with all errors of a kind moved onto their labelled places."""
    people = {a["id"]: a for a in content["annotations"]}
    better = list(results)
    for number, person, kinds in zip(errors.result, errors.annotation, errors.kinds, strict=True):
        wrong = kinds == KINDS.index(kind)
        if wrong.any():
            points = np.reshape(results[number]["keypoints"], (-1, 3)).copy()
            points[wrong, :2] = np.reshape(people[person]["keypoints"], (-1, 3))[wrong, :2]
            better[number] = {**results[number], "keypoints": points.ravel().tolist()}
    return better
