"""What the numbers of a keypoint json are: pixels, and boxes as x, y, width, height.

Other conventions are told from all people together, where no file in pixels could look so: a field
by itself would be taken for an odd one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from core.errors import InputError

BEYOND = 0.1  # of a side of the image, by which no box in pixels leaves it without being an odd one
TOUCH = 1.0  # pixels by which a keypoint may lie outside its box


def check_units(
    path: str | Path, people: Sequence[dict], sizes: Mapping[int, tuple[int, int]]
) -> None:
    """Raise InputError for shares of the image, and for boxes that are two corners.

    ``people`` as `mending` completes them; sizes: width and height of images, by id.
    """
    people = [person for person in people if person["num_keypoints"]]
    if not people:
        return
    points = [np.reshape(person["keypoints"], (-1, 3)) for person in people]
    points = [values[values[:, 2] > 0, :2] for values in points]
    boxes = np.array([person["bbox"] for person in people], dtype=np.float64)  # (N, 4)
    for name, values in (("keypoints", np.concatenate(points)), ("boxes", boxes)):
        if ((values >= 0) & (values <= 1)).all() and (values % 1 > 0).any():
            raise InputError(
                f"{path}: all {name} lie from 0 to 1, as shares of the image: multiply x by its "
                "width and y by its height"
            )
    images = np.array([sizes[person["image_id"]] for person in people], dtype=np.float64)  # (N, 2)
    if _are_corners(boxes, points, images):
        raise InputError(
            f"{path}: all boxes look like two corners, x1, y1, x2, y2: write x, y, width, height; "
            "where they are that, end them at the image's border"
        )


def _are_corners(boxes: np.ndarray, points: list[np.ndarray], images: np.ndarray) -> bool:
    """Whether each box holds all its keypoints as corners, and as widths some leave the image."""
    start, end = boxes[:, :2], boxes[:, 2:]
    leave = (start + end > (1 + BEYOND) * images).any()
    if not (leave and (end > start).all() and (end <= images).all()):
        return False
    around = zip(points, start, end, strict=True)
    return all(((p >= a - TOUCH) & (p <= b + TOUCH)).all() for p, a, b in around)
