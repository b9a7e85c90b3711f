"""What is done with the people of frames that follow each other, once their keypoints are known.

Duplicates are removed; in a video people get ids and their keypoints are smoothed; and of the
keypoints those are kept that were asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from apps.pose.data.keypoints import KeypointSet
from apps.pose.evaluation.metrics import distinct_people, person_scores
from apps.pose.prediction.pipeline import Frame
from apps.pose.prediction.smoothing import Smoother
from apps.pose.prediction.tracking import Tracker
from core.config import did_you_mean
from core.errors import InputError


@dataclass(frozen=True)
class Refining:
    """What is wanted."""

    distinct: bool = False  # remove duplicates by OKS-NMS, where the keypoints have sigmas
    smooth: bool = True  # videos alone
    min_score: float = 0.3  # of a keypoint that smoothing heeds
    chosen: tuple[int, ...] = ()  # keypoints to keep; none: all


USUAL = Refining()


class Refiner:
    """Refines the frames of one input, in their order: a frame in, the same frame out."""

    def __init__(self, keypoints: KeypointSet, wanted: Refining):
        self.wanted, self.sigmas = wanted, keypoints.sigmas
        self.track, self.smooth = Tracker(keypoints.sigmas), Smoother(wanted.min_score)

    def __call__(self, frame: Frame) -> Frame:
        if frame.points is None:
            return frame
        if self.wanted.distinct and self.sigmas and len(frame.boxes) > 1:
            self._remove_duplicates(frame)
        if frame.video:
            self._follow(frame)
        if self.wanted.chosen:
            chosen = list(self.wanted.chosen)
            frame.points, frame.scores = frame.points[:, chosen], frame.scores[:, chosen]
        return frame

    def _remove_duplicates(self, frame: Frame) -> None:
        scores = person_scores(frame.scores, [score for _, score in frame.boxes])
        triples = np.concatenate([frame.points, frame.scores[..., None]], 2)
        one_image = np.zeros(len(scores))
        kept = distinct_people(triples, scores, one_image, frame.areas, self.sigmas)
        frame.boxes = [frame.boxes[n] for n in kept]
        frame.points, frame.scores, frame.areas = (
            values[kept] for values in (frame.points, frame.scores, frame.areas)
        )

    def _follow(self, frame: Frame) -> None:
        boxes, seconds = np.array([box for box, _ in frame.boxes], float), frame.seconds
        frame.ids = self.track(boxes, frame.points, seconds)
        if self.wanted.smooth:
            frame.points = self.smooth(frame.ids, boxes, frame.points, frame.scores, seconds)


def choose(keypoints: KeypointSet, names: Sequence[str]) -> tuple[int, ...]:
    """Indices of the keypoints of these names, in the set's order. Raises InputError."""
    for name in names:
        if name not in keypoints.names:
            hint = did_you_mean(name, keypoints.names)
            raise InputError(f"--keypoints: the run has no keypoint {name!r}.{hint}")
    return tuple(i for i, name in enumerate(keypoints.names) if name in names)
