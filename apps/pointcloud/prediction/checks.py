"""What a person is told about a reconstruction: precision, what it lost, whether it is rougher."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from apps.pointcloud.geometry.cloud import Cloud
from apps.pointcloud.geometry.quadrics import quadrics_of
from apps.pointcloud.geometry.roughness import NEIGHBOURS, Roughness
from apps.pointcloud.geometry.spacing import spacings
from apps.pointcloud.geometry.trees import nearest_of

FEW_BITS = 2.0**-24 * 100  # of a coordinate: what float32 keeps, a hundred times
NEAR = 3.0  # spacings: an input point without output as near is not covered
LOST = 0.01  # share of the input's points that may be outliers
LOOKED_AT = 2_000  # points whose heights are measured
WORSE = 1.5  # times the input's own distance from its surface
WAY_OUT = "--keep keeps them, --method mls covers them"  # of points that are not covered


class Coverage:
    """How far each input point (N, 3) is from what comes out, piece by piece.

    Measured in its own spacing, so that sparse parts are judged as what they are.
    """

    def __init__(self, points: np.ndarray, spacing: float):
        self.points = points
        self.reach = NEAR * np.maximum(spacings(points, points), spacing)
        self.nearest = np.full(len(points), np.inf)

    def add(self, made: np.ndarray, rows: np.ndarray) -> None:
        """Points (P, 3) that were made of the input's rows (n,)."""
        if len(made):
            distance = nearest_of(cKDTree(made), self.points[rows])[0]
            self.nearest[rows] = np.minimum(self.nearest[rows], distance)

    def uncovered(self) -> int:
        """Number of the input points without any output near."""
        return int((self.nearest > self.reach).sum())

    def line(self, keep: bool) -> str | None:
        """What to say where more are lost than outliers are common, or none."""
        lost, total = self.uncovered(), len(self.points)
        if lost <= LOST * total:
            return None
        way_out = "they are kept" if keep else WAY_OUT
        return f"{lost:,} of {total:,} points have nothing reconstructed near: {way_out}"


def rougher(made: np.ndarray, points: np.ndarray, before: Roughness) -> str | None:
    """A line where what comes out lies further from the input's surface than its own points do."""
    if len(points) < NEIGHBOURS or not len(made):
        return None
    away, own = (
        np.median(np.abs(quadrics_of(some, points, NEIGHBOURS).over(some)))
        for some in (cloud[:: -(-len(cloud) // LOOKED_AT)] for cloud in (made, points))
    )
    # of a perfect surface nothing is away: a hundredth of the spacing is not worth a word
    if away <= WORSE * own + 0.01 * before.spacing:
        return None
    return (
        f"what comes out lies {away:.3g} from the surface through the input, whose own points lie "
        f"{own:.3g} from it: it is rougher than it was; compare --method mls"
    )


def few_bits(cloud: Cloud, spacing: float, source: str) -> str | None:
    """A line where a file's 32-bit floats hardly tell points of one spacing apart, or none."""
    largest = float(np.abs(cloud.points).max())
    if largest * FEW_BITS <= spacing:
        return None
    step = largest * 2.0**-24
    return (
        f"{source}: coordinates reach {largest:,.0f}, of which 32-bit floats keep steps of "
        f"{step:g}: export them as doubles, or less an offset"
    )


def summary(source: str, record: dict[str, Any]) -> str:
    """One line: how many points became how many, and where the time went."""
    seconds = record["seconds"]
    share = " ".join(f"{step} {spent:.1f}" for step, spent in seconds.items())
    points = f"{record['points_in']:,} to {record['points_out']:,} points"
    total = sum(seconds.values())
    return f"{source}: {points}, {record['tiles']} tile(s), {total:.1f} s ({share})"
