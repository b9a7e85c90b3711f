"""Keypoints that do not tremble: the one-euro filter (Casiez, Roussel, Vogel, CHI 2012).

A low pass whose cutoff rises with the speed: a keypoint at rest is held still, one that moves is
followed closely. Deviations from the paper: x and y have one cutoff, by their common speed, so that
the filter is the same in every direction; and the speed is counted in sizes of the person, so that
``BETA`` means the same for people near and far.

K keypoints; points are (x, y) in pixels.
"""

from __future__ import annotations

import math

import numpy as np

from apps.pose.prediction.tracking import LOST

MIN_CUTOFF = 1.0  # Hz, of a keypoint at rest (f_cmin of the paper)
BETA = 10.0  # Hz for each size of the person that a keypoint moves in a second
SPEED_CUTOFF = 3.0  # Hz, of the speed itself (d_cutoff of the paper, 1 there)


class OneEuro:
    """The filter of one person's keypoints."""

    def __init__(self, min_cutoff: float = MIN_CUTOFF, beta: float = BETA):
        self.min_cutoff, self.beta = min_cutoff, beta
        self.points: np.ndarray | None = None

    def __call__(
        self, points: np.ndarray, seen: np.ndarray, size: float, seconds: float
    ) -> np.ndarray:
        """The filtered points (K, 2) of points (K, 2) at a time; size of the person, pixels.

        Where a keypoint is not ``seen`` (K,), its point comes back as it is and the filter does not
        change; the next one that is seen then counts the more, since more time has gone by.
        """
        if self.points is None:
            self.points, self.speed = points.astype(np.float64), np.zeros(points.shape)
            self.times, self.started = np.full(len(points), seconds), seen.copy()
            return points
        begins, goes_on = seen & ~self.started, seen & self.started & (seconds > self.times)
        self._follow(points, goes_on, size, seconds)
        self.points[begins], self.times[begins] = points[begins], seconds
        self.started |= seen
        return np.where(seen[:, None], self.points, points)

    def _follow(self, points: np.ndarray, chosen: np.ndarray, size: float, seconds: float) -> None:
        """Algorithm 1 of the paper, for the chosen keypoints."""
        before, gone = self.points[chosen], (seconds - self.times[chosen])[:, None]
        moved = (points[chosen] - before) / gone
        speed = mix(self.speed[chosen], moved, share(SPEED_CUTOFF, gone))
        pace = np.linalg.norm(speed, axis=1, keepdims=True) / max(size, 1e-9)  # sizes per second
        cutoff = self.min_cutoff + self.beta * pace
        self.points[chosen] = mix(before, points[chosen], share(cutoff, gone))
        self.speed[chosen], self.times[chosen] = speed, seconds


def share(cutoff, gone):
    """Of the newest value in a low pass: alpha of the paper. Hz, and seconds since the last one."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * gone))


def mix(before, now, part):
    """The place `part` of the way from before to now."""
    return before + part * (now - before)


class Smoother:
    """The people of one video, each with a filter of their own."""

    def __init__(self, min_score: float):
        """``min_score`` of a keypoint that counts."""
        self.min_score = min_score
        self.filters: dict[int, tuple[OneEuro, float]] = {}  # by id, with when it was last used

    def __call__(
        self,
        ids: list[int],
        boxes: np.ndarray,
        points: np.ndarray,
        scores: np.ndarray,
        seconds: float,
    ) -> np.ndarray:
        """Points (N, K, 2) of a frame, filtered; boxes (N, 4), whose root of the area is the size,
        scores (N, K)."""
        # whoever is lost comes back with another id
        self.filters = {i: kept for i, kept in self.filters.items() if seconds - kept[1] <= LOST}
        filtered = np.empty(points.shape)
        for n, person in enumerate(ids):
            smooth, _ = self.filters.get(person, (OneEuro(), 0))
            size = math.sqrt(boxes[n, 2] * boxes[n, 3])
            filtered[n] = smooth(points[n], scores[n] >= self.min_score, size, seconds)
            self.filters[person] = smooth, seconds
        return filtered
