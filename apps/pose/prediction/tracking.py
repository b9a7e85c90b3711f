"""Who is who in a video: an id for each person that stays from frame to frame.

People of a frame are given to those of the frames before, so that the sum of their similarities is
the largest (Hungarian assignment, by SciPy, which mmpose needs anyway). A similarity is the mean of
two: the boxes' intersection over union, which coarse keypoints leave alone, and the object keypoint
similarity, which tells people apart whose boxes overlap. Before, who was seen moves on at the last
speed, so that people who cross keep their ids, and who is hidden for a moment gets it back.

No library: supervision has no tracker any more (0.31.2: no ByteTrack in it) and brings PyAV and six
more; what there is elsewhere looks at boxes alone, which is least where people cross.

N people seen before, M of this frame, K keypoints; points (x, y) and boxes (x, y, width, height) in
pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from apps.pose.evaluation.similarity import box_overlap, keypoint_similarity

LOST = 1.0  # seconds out of sight after which somebody is a new person
SIMILAR = 0.2  # least similarity of the same person
SPEED_SHARE = 0.5  # of the newest frame, in a person's speed: keypoints tremble


@dataclass
class Track:
    """A person who has been seen."""

    id: int
    box: np.ndarray  # (4,)
    points: np.ndarray  # (K, 2)
    seconds: float  # when it was
    speed: np.ndarray  # (2,) pixels per second

    def at(self, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """Box and points where the person would be at a time."""
        shift = self.speed * (seconds - self.seconds)
        return np.concatenate([self.box[:2] + shift, self.box[2:]]), self.points + shift

    def see(self, box: np.ndarray, points: np.ndarray, seconds: float) -> None:
        """Take a sighting at this second for the last one, and the speed since the one before."""
        if seconds > self.seconds:
            # of half of the keypoints: the box's middle jumps when something hides a part of it
            speed = np.median(points - self.points, 0) / (seconds - self.seconds)
            self.speed = self.speed + SPEED_SHARE * (speed - self.speed)
        self.box, self.points, self.seconds = box, points, seconds


class Tracker:
    """Ids of the people of one video, from 1 in the order in which they appear.

    ``sigmas`` (K,) of the keypoints; without, boxes alone are compared.
    """

    def __init__(self, sigmas: tuple[float, ...] | None):
        self.sigmas, self.tracks, self.count = sigmas, [], 0

    def __call__(self, boxes: np.ndarray, points: np.ndarray, seconds: float) -> list[int]:
        """The ids of the people of the next frame: boxes (M, 4), points (M, K, 2)."""
        self.tracks = [track for track in self.tracks if seconds - track.seconds <= LOST]
        same = dict(self._pairs(boxes, points, seconds))
        ids = []
        for person, (box, body) in enumerate(zip(boxes, points, strict=True)):
            track = same.get(person) or self._new(box, body, seconds)
            track.see(box, body, seconds)
            ids.append(track.id)
        return ids

    def _pairs(self, boxes: np.ndarray, points: np.ndarray, seconds: float):
        """The people of this frame, by number, whose track is known, with the track."""
        if not (self.tracks and len(boxes)):
            return
        places = [track.at(seconds) for track in self.tracks]
        then_boxes, then_points = map(np.stack, zip(*places, strict=True))
        alike = box_overlap(then_boxes, boxes)  # (N, M)
        if self.sigmas:
            areas = then_boxes[:, 2:].prod(1), boxes[:, 2:].prod(1)
            alike = (alike + object_similarity(then_points, points, *areas, self.sigmas)) / 2
        alike[alike < SIMILAR] = 0
        for track, person in zip(*linear_sum_assignment(alike, maximize=True), strict=True):
            if alike[track, person]:
                yield int(person), self.tracks[track]

    def _new(self, box: np.ndarray, points: np.ndarray, seconds: float) -> Track:
        self.count += 1
        self.tracks.append(Track(self.count, box, points, seconds, np.zeros(2)))
        return self.tracks[-1]


def object_similarity(
    a: np.ndarray, b: np.ndarray, areas_a: np.ndarray, areas_b: np.ndarray, sigmas
) -> np.ndarray:
    """COCO's object keypoint similarity (N, M) of points (N, K, 2) and (M, K, 2).

    The larger area counts: a box shrinks when its person is half hidden, and the body does not.
    (mmpose's `oks_iou` takes the mean.)
    """
    areas = np.maximum.outer(areas_a, areas_b)
    return keypoint_similarity(a[:, None], b[None], areas, sigmas).mean(2)
