"""Contact sheets: many scenes in one picture, with or without their labels."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from apps.pose.people.scene import draw_scene
from apps.pose.people.skeleton import BONES, KEYPOINTS

LEFT, RIGHT, MIDDLE = (255, 140, 40), (60, 130, 255), (120, 230, 120)  # RGB


def contact_sheet(
    seed: int = 0, rows: int = 3, columns: int = 5, skeletons: bool = False, width: int = 1600
) -> Image.Image:
    """A picture of training scenes, each row as wide as the others.

    Skeletons: orange is the person's left, blue the right; a filled joint is visible (v=2), a
    hollow one is occluded (v=1). Not core's sheet: pictures of three formats fill these rows.
    """
    images = []
    for index in range(rows * columns):
        image, annotations = draw_scene(seed, "train", index)
        for annotation in annotations if skeletons else []:
            image = draw_skeleton(image, annotation["keypoints"])
        images.append(image)
    starts = range(0, len(images), columns)
    row_images = [_row(images[start : start + columns], width) for start in starts]
    return Image.fromarray(np.concatenate(row_images))


def _row(images: list[np.ndarray], width: int, gap: int = 6) -> np.ndarray:
    """Images side by side at one height, which makes them fill the width."""
    shares = np.array([image.shape[1] / image.shape[0] for image in images])
    height = round((width - gap * (len(images) + 1)) / shares.sum())
    row = np.full((height + gap, width, 3), 255, np.uint8)
    left = gap
    for image, share in zip(images, shares, strict=True):
        right = min(left + round(height * share), width)
        size = (right - left, height)
        row[gap // 2 : gap // 2 + height, left:right] = cv2.resize(
            image, size, interpolation=cv2.INTER_CUBIC
        )
        left = right + gap
    return row


def draw_skeleton(image: np.ndarray, keypoints: list[float]) -> np.ndarray:
    """A copy of an RGB image with the bones and joints of one COCO annotation."""
    image, points = image.copy(), np.array(keypoints).reshape(-1, 3)
    for first, last in BONES:
        a, b = points[first - 1], points[last - 1]
        if a[2] and b[2]:
            cv2.line(image, _pixel(a), _pixel(b), _colour(first, last), 1, cv2.LINE_AA, 3)
    for index, point in enumerate(points):
        if point[2]:
            _joint(image, point, _colour(index + 1, index + 1))
    return image


def _joint(image: np.ndarray, point: np.ndarray, colour) -> None:
    inner = colour if point[2] == 2 else (255, 255, 255)
    cv2.circle(image, _pixel(point), 24, colour, -1, cv2.LINE_AA, 3)
    cv2.circle(image, _pixel(point), 14, inner, -1, cv2.LINE_AA, 3)


def _pixel(point: np.ndarray) -> tuple[int, int]:
    return round(point[0] * 8), round(point[1] * 8)  # three binary digits below the pixel


def _colour(first: int, last: int) -> tuple[int, int, int]:
    sides = {KEYPOINTS[first - 1].split("_")[0], KEYPOINTS[last - 1].split("_")[0]}
    if sides == {"left"}:
        return LEFT
    return RIGHT if sides == {"right"} else MIDDLE
