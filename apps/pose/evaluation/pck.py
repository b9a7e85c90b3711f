"""Percentage of correct keypoints, and what it divides by: torso, box or (PCKh) head.

N people, K keypoints; points are (x, y) in pixels of the image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from apps.pose.data.keypoints import KeypointSet
from apps.pose.data.mpii import COUNT
from apps.pose.data.names import body_part
from core.errors import InputError

TORSO = ("left_shoulder", "right_hip")
# MPII: columns of PCKh tables -> keypoints; the neck (8) is in the mean alone
PARTS = {
    "Head": (9,),
    "Shoulder": (12, 13),
    "Elbow": (11, 14),
    "Wrist": (10, 15),
    "Hip": (2, 3),
    "Knee": (1, 4),
    "Ankle": (0, 5),
}
IN_MEAN = [k for k in range(COUNT) if k not in (6, 7)]  # pelvis and thorax do not count


def pck(
    predicted: np.ndarray, truth: np.ndarray, reference: np.ndarray, threshold: float = 0.2
) -> dict:
    """Percentage of correct keypoints, as fractions: {"pck", "per_keypoint", "count"}.

    predicted (N, K, 2), truth (N, K, 3) as x, y, v, reference (N,) pixels (`torso_length` or
    `box_size`). A keypoint is correct where its distance to the truth is at most ``threshold`` x
    reference. Valid are labelled keypoints (v > 0) of people whose reference is known (not NaN) and
    above 0. ``pck`` is correct / valid over all keypoints; ``per_keypoint`` (K,) the same for each,
    NaN where none is valid; its mean is what papers that average over joints report. Without any
    valid keypoint ``pck`` is 0 and ``count`` 0.
    """
    reference = np.asarray(reference, dtype=np.float64)
    usable = np.isfinite(reference) & (reference > 0)
    valid = (truth[..., 2] > 0) & usable[:, None]
    distance = np.linalg.norm(predicted - truth[..., :2], axis=-1)  # (N, K)
    limit = threshold * np.where(usable, reference, 0.0)
    correct = valid & (distance <= limit[:, None])
    total = valid.sum(0)  # (K,)
    per_keypoint = np.where(total > 0, correct.sum(0) / np.maximum(total, 1), np.nan)
    return {
        "pck": float(correct.sum() / max(valid.sum(), 1)),
        "per_keypoint": per_keypoint,
        "count": int(valid.sum()),
    }


def torso_length(
    truth: np.ndarray, keypoints: KeypointSet, pair: tuple[str, str] = TORSO
) -> np.ndarray:
    """(N,) distance from left shoulder to right hip; NaN where one of them is not labelled.

    truth (N, K, 3). The torso diagonal of PDJ (DeepPose, arXiv 1312.4659) and of what is published
    as PCK@0.2 on Leeds Sports Pose, where it is joint 10 to joint 3. FLIC (MODEC, CVPR 2013) takes
    the other diagonal, ("left_hip", "right_shoulder"). Raises InputError for an unknown name.
    """
    places = find_parts(keypoints.names, pair)
    for name, place in zip(pair, places, strict=True):
        if place is None:
            raise InputError(
                f"no keypoint {name!r} for the torso length: give a pair of {keypoints.names}"
            )
    a, b = (truth[:, place] for place in places)  # (N, 3) each
    length = np.linalg.norm(a[:, :2] - b[:, :2], axis=-1)
    return np.where((a[:, 2] > 0) & (b[:, 2] > 0), length, np.nan)


def box_size(boxes: np.ndarray) -> np.ndarray:
    """(N,) the longer side of the boxes (N, 4) x, y, w, h: PCK of Yang and Ramanan (PAMI 2013).

    They take the tightest box around the joints; this takes the annotated one. mmpose's PCKAccuracy
    divides x by the width and y by the height, which is another number.
    """
    return np.asarray(boxes)[:, 2:4].max(1)


def find_parts(names: Sequence[str], parts: Sequence[str]) -> list[int | None]:
    """The index of each of these body parts among the names, however they are spelt."""
    index = {body_part(name): i for i, name in reversed(list(enumerate(names)))}
    return [index.get(body_part(part)) for part in parts]


def pckh(predicted: np.ndarray, truth: np.ndarray, heads: np.ndarray) -> dict[str, float]:
    """PCKh@0.5 of each part, their mean "PCKh@0.5" and "PCKh@0.1", as fractions.

    predicted (N, 16, 2), truth (N, 16, 3), heads (N,) (`head_sizes`). A keypoint is right within
    half the head size (Andriluka et al., CVPR 2014). A part is the mean of its left and its right
    keypoint; the mean weighs every keypoint by how often it is annotated (evalMPII). At 0.1 HRNet's
    code, which others took over, counts up to 0.11.
    """
    half = pck(predicted, truth, heads, 0.5)
    mean = {
        f"PCKh@{t:g}": pck(predicted[:, IN_MEAN], truth[:, IN_MEAN], heads, t)["pck"]
        for t in (0.5, 0.1)
    }
    parts = {name: float(np.mean(half["per_keypoint"][list(of)])) for name, of in PARTS.items()}
    return {**mean, **parts}
