"""Where a network is wrong: tables by keypoint, kind of error, size, occlusion and crowding; and
what another one gains on it."""

from __future__ import annotations

import numpy as np

from apps.pose.data.keypoints import KeypointSet
from apps.pose.evaluation.breakdown import KINDS, Breakdown, break_down, is_labelled, put_right
from apps.pose.evaluation.groups import groups_of
from apps.pose.evaluation.metrics import coco_ap, complete_people
from apps.pose.evaluation.pck import pck
from core.tables import Table


def _fraction(value: float) -> str:
    """COCO's evaluation has -1 where nothing was counted."""
    return "-" if value == -1 else f"{value:.3f}"


def gains_table(
    title: str, columns: tuple[str, str], metrics: dict[str, tuple[float, float]]
) -> Table:
    """Metrics before and after, by name, and the points that the second has more."""
    rows = [(name, *pair, 100 * (pair[1] - pair[0])) for name, pair in metrics.items()]
    return Table(title, ("metric", *columns, "points"), rows, forms={"points": "{:+.2f}"})


def coco_report(
    content: dict, results: list[dict], keypoints: KeypointSet, use_area: bool = True
) -> list[Table]:
    """Tables of COCO results; ``content`` and ``use_area`` as for `coco_ap`. Needs sigmas."""
    people = complete_people(content["annotations"], len(keypoints), use_area)
    content = {**content, "annotations": people}
    errors = break_down(content, results, keypoints)
    return [
        _keypoint_table(content, results, keypoints, errors),
        _error_table(content, results, keypoints, errors),
        _visibility_table(content, errors),
        _group_table(content, results, keypoints.sigmas),
    ]


def _keypoint_table(
    content: dict, results: list[dict], keypoints: KeypointSet, errors: Breakdown
) -> Table:
    rows = []
    for k, name in enumerate(keypoints.names):
        # the results stay whole: a keypoint that the truth does not have does not count
        alone = coco_ap(_only(content, k), results, keypoints.sigmas)["AP"]
        known = errors.similarity[:, k][errors.similarity[:, k] >= 0]
        mean = float(known.mean()) if len(known) else float("nan")
        rows.append((name, len(known), alone, mean, *_shares(errors.counts()[k])))
    total = errors.counts().sum(0)
    known = errors.similarity[errors.similarity >= 0]
    mean = float(known.mean()) if len(known) else float("nan")
    rows.append(("all", len(known), float("nan"), mean, *_shares(total)))
    note = (
        "labelled: of people whom a detection matches (similarity .1). AP: with all other "
        "keypoints unlabelled, as COCO-WholeBody (arXiv 2007.11858) evaluates its parts. ks: mean "
        "similarity. The rest: shares of the labelled (Ronchi and Perona, arXiv 1707.05388)."
    )
    columns = ("keypoint", "labelled", "AP", "ks", *KINDS)
    return Table("Keypoints", columns, rows, note, _fraction)


def _only(content: dict, k: int) -> dict:
    """The truth with no keypoint labelled but number k."""
    people = []
    for person in content["annotations"]:
        values = [0] * len(person["keypoints"])
        values[3 * k : 3 * k + 3] = person["keypoints"][3 * k : 3 * k + 3]
        people.append({**person, "keypoints": values, "num_keypoints": int(values[3 * k + 2] > 0)})
    return {**content, "annotations": people}


def _shares(counts: np.ndarray) -> list[float]:
    total = counts.sum()
    return [float(c / total) if total else float("nan") for c in counts]


def _error_table(
    content: dict, results: list[dict], keypoints: KeypointSet, errors: Breakdown
) -> Table:
    base = coco_ap(content, results, keypoints.sigmas)["AP"]
    rows = []
    for kind, count in zip(KINDS[1:], errors.counts().sum(0)[1:].tolist(), strict=True):
        better = put_right(results, content, errors, kind)
        ap = coco_ap(content, better, keypoints.sigmas)["AP"]
        rows.append((kind, count, ap, ap - base))
    note = (
        f"AP with every keypoint of this kind moved to its labelled place (now {base:.3f}). "
        f"Labelled people: {len(errors.annotation)} matched, {len(errors.missed)} without a "
        f"detection; {errors.unmatched} detections of nobody."
    )
    return Table("Errors", ("kind", "keypoints", "AP without", "gain"), rows, note, _fraction)


def _visibility_table(content: dict, errors: Breakdown) -> Table:
    truth = {p["id"]: p["keypoints"][2::3] for p in content["annotations"]}
    shape = errors.kinds.shape
    visibility = np.array([truth[i] for i in errors.annotation.tolist()]).reshape(shape)  # (N, K)
    rows = []
    for name, v in (("visible", 2), ("occluded", 1)):
        kinds = errors.kinds[visibility == v]  # (labelled so,)
        counts = np.bincount(kinds[kinds >= 0], minlength=len(KINDS))
        rows.append((name, int(counts.sum()), *_shares(counts)))
    return Table("Occlusion of keypoints", ("annotated as", "labelled", *KINDS), rows)


def _group_table(content: dict, results: list[dict], sigmas: tuple[float, ...]) -> Table:
    """AP and AR of groups of people; the others are ignored, as COCO ignores other sizes."""
    whole, rows = coco_ap(content, results, sigmas), []
    people = [p for p in content["annotations"] if is_labelled(p)]
    for name, low, high in (("medium", 32**2, 96**2), ("large", 96**2, 1e10)):
        count = sum(low <= p["area"] <= high for p in people)
        size = name[0].upper()
        rows.append((f"size: {name}", count, whole[f"AP{size}"], whole[f"AR{size}"]))
    for name, ids in groups_of(content["annotations"]).items():
        if ids:
            # a person without labels is neither right nor wrong, whatever is predicted there
            part = [
                {**p, "num_keypoints": p["num_keypoints"] if p["id"] in ids else 0}
                for p in content["annotations"]
            ]
            ap = coco_ap({**content, "annotations": part}, results, sigmas)
            rows.append((name, len(ids), ap["AP"], ap["AR"]))
    note = (
        "size: COCO's, by area. keypoints: labelled ones. overlaps: boxes of others with an "
        "intersection over union above 0.1 (both Ronchi and Perona's groups). occluded: share of "
        "the labelled keypoints that are annotated as hidden (v = 1). AP and AR ignore people of "
        "other groups, as COCO ignores other sizes; detections of nobody count in every group."
    )
    return Table("People", ("group", "people", "AP", "AR"), rows, note, _fraction)


def pck_report(
    predicted: np.ndarray, truth: np.ndarray, reference: np.ndarray, keypoints: KeypointSet
) -> list[Table]:
    """PCK of each keypoint at 0.2 and 0.1 of the reference; arguments as for `pck`."""
    shares = [pck(predicted, truth, reference, t)["per_keypoint"].tolist() for t in (0.2, 0.1)]
    valid = np.isfinite(reference) & (np.nan_to_num(reference) > 0)
    counts = (truth[valid][..., 2] > 0).sum(0).tolist()
    names = keypoints.names
    rows = [(name, counts[k], *(share[k] for share in shares)) for k, name in enumerate(names)]
    return [Table("Keypoints", ("keypoint", "labelled", "PCK@0.2", "PCK@0.1"), rows)]
