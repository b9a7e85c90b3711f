"""How far a predicted cloud is from the true one: one definition of each number.

Legend: P predicted points, Q true points, d the distance to the nearest point of the other cloud.
Distances are exact, in float64, in the unit of the clouds. docs/pointcloud_protocol.md has the
formulas again, and which of them others use.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from apps.pointcloud.geometry.normals import estimate_normals
from core.errors import InputError

NEIGHBOURS = 16  # of the planes that a prediction's normals are taken from


def cloud_metrics(
    predicted: np.ndarray,
    true: np.ndarray,
    thresholds: Sequence[float],
    true_normals: np.ndarray | None = None,
    unit: float = 1.0,
) -> dict[str, float]:
    """The metrics of predicted (P, 3) against true (Q, 3).

    chamfer_l1: mean d of the predicted + mean d of the true points: a sum, no half (PoinTr and
    DeepSDF's benchmarks halve it). chamfer_l2: the same of squared d, as PU-GAN's and PCN's CD-T.
    hausdorff: the largest d of both. accuracy@t, completeness@t: percent of the predicted, of the
    true points with d <= t; f1@t: their harmonic mean (Knapitsch et al. 2017). normals: mean |cos|
    between the normal of a point and that of its nearest, over both clouds (Mescheder et al. 2019
    without the sign), where the true ones are given; the predicted ones are those of local planes.

    thresholds and results are in units of `unit`: give a cloud's radius to have metres of what is
    in unit spheres. Raises InputError for clouds that are empty or not finite.
    """
    predicted, true = (_checked(p, n) for p, n in ((predicted, "predicted"), (true, "true")))
    # (P,) distances and places in `true`; then (Q,) in `predicted`
    to_true, nearest_true = cKDTree(true).query(predicted)
    to_predicted, nearest_predicted = cKDTree(predicted).query(true)
    values = distance_metrics(to_true * unit, to_predicted * unit, thresholds)
    if true_normals is not None:
        # a prediction has points alone; the sign is left out, as planes have none
        own = estimate_normals(predicted, NEIGHBOURS)
        values["normals"] = 0.5 * (
            _agreement(own, true_normals[nearest_true])
            + _agreement(true_normals, own[nearest_predicted])
        )
    return values


def distance_metrics(
    to_true: np.ndarray, to_predicted: np.ndarray, thresholds: Sequence[float]
) -> dict[str, float]:
    """The same of the distances of predicted points (P,) and of true points (Q,)."""
    values = {
        "chamfer_l1": float(to_true.mean() + to_predicted.mean()),
        "chamfer_l2": float((to_true**2).mean() + (to_predicted**2).mean()),
        "hausdorff": float(max(to_true.max(), to_predicted.max())),
    }
    for threshold in thresholds:
        accuracy = 100 * float((to_true <= threshold).mean())
        completeness = 100 * float((to_predicted <= threshold).mean())
        both = accuracy + completeness
        values[f"accuracy@{threshold:g}"] = accuracy
        values[f"completeness@{threshold:g}"] = completeness
        values[f"f1@{threshold:g}"] = 2 * accuracy * completeness / both if both else 0.0
    return values


def mean_metrics(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean over clouds of each metric; of `normals` over the clouds that have it.

    f1 is the mean of the clouds' F1, not the F1 of mean accuracy and mean completeness.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    return {n: float(np.mean([row[n] for row in rows if n in row])) for n in names}


def _agreement(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs((a.astype(np.float64) * b).sum(1)).mean())


def _checked(points: np.ndarray, name: str) -> np.ndarray:
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or not len(points):
        raise InputError(f"the {name} cloud is {points.shape}; at least one point (N, 3) is needed")
    if not np.isfinite(points).all():
        raise InputError(f"the {name} cloud has NaN or infinite coordinates")
    return points
