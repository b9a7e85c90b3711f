"""Contact sheets: many scenes in one picture, with or without their labels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from apps.pose.people.scene import draw_scene
from apps.pose.people.skeleton import BONES, KEYPOINTS

LEFT, RIGHT, MIDDLE = (255, 140, 40), (60, 130, 255), (120, 230, 120)  # RGB


def contact_sheet(path, seed: int = 0, rows: int = 3, columns: int = 5, skeletons: bool = False,
                  cell: tuple[int, int] = (320, 320)) -> None:  # fmt: skip
    """Write a picture of scenes. Skeletons: orange is the person's left, blue the right; a filled
    joint is visible (v=2), a hollow one is occluded (v=1)."""
    tiles = []
    for index in range(rows * columns):
        image, annotations = draw_scene(seed, "train", index)
        if skeletons:
            for annotation in annotations:
                image = draw_skeleton(image, annotation["keypoints"])
        tiles.append(_tile(image, *cell))
    sheet = np.concatenate([np.concatenate(tiles[row * columns : (row + 1) * columns], axis=1)
                            for row in range(rows)])  # fmt: skip
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), sheet[..., ::-1]):
        raise OSError(f"{path}: OpenCV could not write the picture")


def draw_skeleton(image: np.ndarray, keypoints: list[float]) -> np.ndarray:
    """A copy of an RGB image with the bones and joints of one COCO annotation."""
    image, points = np.ascontiguousarray(image), np.array(keypoints).reshape(-1, 3)
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


def _tile(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """The image in the middle of a light cell, with a narrow border."""
    scale = min((width - 6) / image.shape[1], (height - 6) / image.shape[0])
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    tile = np.full((height, width, 3), 250, np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = image
    return tile
