"""Groups of people that a network finds easy or hard: by labelled keypoints, overlap, occlusion.

A person is an annotation of `complete_people`.
"""

from __future__ import annotations

import numpy as np

from apps.pose.evaluation.breakdown import is_labelled
from apps.pose.evaluation.similarity import box_overlap

OVERLAP = 0.1  # intersection over union from which two boxes overlap
LABELLED = ((1, 5), (6, 10), (11, 15), (16, None))  # groups of Ronchi and Perona's analysis of
OVERLAPS = ((0, 0), (1, 2), (3, None))  # occlusion and crowding (arXiv 1707.05388 and its code)


def groups_of(people: list[dict]) -> dict[str, set[int]]:
    """Name of a group -> ids of the labelled people in it."""
    asked = [p for p in people if is_labelled(p)]
    labelled = {p["id"]: sum(v > 0 for v in p["keypoints"][2::3]) for p in asked}
    hidden = {p["id"]: sum(v == 1 for v in p["keypoints"][2::3]) / labelled[p["id"]] for p in asked}
    overlaps = _overlaps(people)
    groups = {}
    for low, high in LABELLED:
        groups[f"keypoints: {_span(low, high)}"] = _within(labelled, low, high)
    for low, high in OVERLAPS:
        groups[f"overlaps: {_span(low, high)}"] = _within(
            {i: overlaps[i] for i in labelled}, low, high
        )
    groups["occluded: none"] = {i for i, share in hidden.items() if share == 0}
    groups["occluded: up to 1/4"] = {i for i, share in hidden.items() if 0 < share <= 0.25}
    groups["occluded: more"] = {i for i, share in hidden.items() if share > 0.25}
    return groups


def _span(low: int, high: int | None) -> str:
    return f"{low}+" if high is None else str(low) if low == high else f"{low}-{high}"


def _within(numbers: dict[int, int], low: int, high: int | None) -> set[int]:
    return {i for i, n in numbers.items() if n >= low and (high is None or n <= high)}


def _overlaps(people: list[dict]) -> dict[int, int]:
    """Annotation id -> how many other boxes of its image overlap its box by more than OVERLAP."""
    images: dict[int, list[dict]] = {}
    for person in people:
        images.setdefault(person["image_id"], []).append(person)
    return {
        person["id"]: int(count)
        for group in images.values()
        for person, count in zip(group, _overlap_counts(group), strict=True)
    }


def _overlap_counts(people: list[dict]) -> np.ndarray:
    boxes = np.array([p["bbox"] for p in people], dtype=float)
    shared = box_overlap(boxes, boxes) > OVERLAP
    return shared.sum(1) - shared.diagonal()
