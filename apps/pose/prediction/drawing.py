"""Pictures of people with their keypoints."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from apps.pose.data.keypoints import KeypointSet

_DIGITS = 4  # binary digits of a pixel that OpenCV keeps of a position
_FAR = 1e5  # pixels: OpenCV's fixed-point numbers end beyond, and so does every image

Colour = tuple[int, int, int]
BOX = (255, 215, 0)  # RGB


def draw_people(
    image: np.ndarray,
    keypoints: np.ndarray,
    scores: np.ndarray,
    keypoint_set: KeypointSet,
    threshold: float = 0.3,
    ids: Sequence[int] | None = None,
) -> np.ndarray:
    """A copy of the image (H, W, 3) uint8 RGB with the people drawn on it.

    keypoints (N, K, 2) pixels, scores (N, K); below ``threshold`` a keypoint and its limbs are left
    out. Left is green, right orange, the middle blue; limbs are thinner in small people. With
    ``ids`` (N,) limbs have their person's colour, and the id is written above. Not by mmpose's
    visualizer, which makes a figure for every picture and copies it for every limb.
    """
    picture = np.array(image, order="C")
    keypoints = np.reshape(keypoints, (-1, len(keypoint_set), 2)).astype(np.float64)
    shown = np.reshape(scores, (-1, len(keypoint_set))) >= threshold
    shown &= (np.abs(keypoints) < _FAR).all(2)  # False for NaN
    fixed = np.rint(np.where(shown[..., None], keypoints, 0) * 2**_DIGITS).astype(int).tolist()
    limbs, colours = _colours(keypoint_set)
    for n, (points, there) in enumerate(zip(fixed, shown.tolist(), strict=True)):
        own = limbs if ids is None else [(a, b, colour_of(ids[n])) for a, b, _ in limbs]
        _draw_person(picture, points, there, own, colours)
        if ids is not None:
            _write_id(picture, points, there, ids[n])
    return picture


def draw_boxes(image: np.ndarray, boxes: Sequence[Sequence[float]]) -> np.ndarray:
    """A copy of the image (H, W, 3) uint8 RGB with boxes (x, y, width, height) in pixels.

    One without an extent is a spot. The lines are as thick as a picture of this size needs.
    """
    picture = np.array(image, order="C")
    thick = max(1, round(max(picture.shape[:2]) / 400))
    for x, y, width, height in boxes:
        corners = np.clip([x, y, x + width, y + height], -_FAR, _FAR)
        if not np.isnan(corners).any():
            left, top, right, bottom = np.rint(corners).astype(int).tolist()
            cv2.rectangle(picture, (left, top), (right, bottom), BOX, thick)
    return picture


def colour_of(person: int) -> Colour:
    """RGB of an id. A golden section of the circle of hues apart, ids in a row look different."""
    hue = person * (math.sqrt(5) - 1) / 2 % 1
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.75, 1))


def _write_id(picture: np.ndarray, points, shown, person: int) -> None:
    there = [point for point, seen in zip(points, shown, strict=True) if seen]
    if there:
        x, y = min(there, key=lambda point: point[1])
        size = max(picture.shape[:2]) / 1200
        place = (x >> _DIGITS, (y >> _DIGITS) - round(30 * size))
        look = (cv2.FONT_HERSHEY_SIMPLEX, max(size, 0.4), colour_of(person))
        cv2.putText(picture, str(person), place, *look, max(1, round(2 * size)), cv2.LINE_AA)


def _draw_person(picture: np.ndarray, points, shown, limbs, colours) -> None:
    there = [point for point, seen in zip(points, shown, strict=True) if seen]
    if not there:
        return
    extent = np.ptp(there, axis=0).max() / 2**_DIGITS
    radius = max(2.0, min(max(picture.shape[:2]) / 130, extent / 45))
    width, radius = max(1, round(radius / 2)), round(radius * 2**_DIGITS)
    for a, b, colour in limbs:
        if shown[a] and shown[b]:
            cv2.line(picture, points[a], points[b], colour, width, cv2.LINE_AA, _DIGITS)
    for point, seen, colour in zip(points, shown, colours, strict=True):
        if seen:
            cv2.circle(picture, point, radius, colour, -1, cv2.LINE_AA, _DIGITS)


@lru_cache
def _colours(keypoints: KeypointSet) -> tuple[list[tuple[int, int, Colour]], list[Colour]]:
    """The limbs with their colours, and the colours of the keypoints."""
    info = keypoints.metainfo()
    limbs = zip(keypoints.skeleton, info["skeleton_info"].values(), strict=True)
    return (
        [(a, b, tuple(link["color"])) for (a, b), link in limbs],
        [tuple(point["color"]) for point in info["keypoint_info"].values()],
    )
