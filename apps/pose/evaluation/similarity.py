"""How alike two boxes or two people's keypoints are."""

from __future__ import annotations

import numpy as np


def box_overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union (N, M) of boxes (N, 4) and (M, 4): x, y, width, height."""
    start = np.maximum(a[:, None, :2], b[None, :, :2])
    end = np.minimum(a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:])
    common = (end - start).clip(0).prod(2)
    both = a[:, 2:].prod(1)[:, None] + b[:, 2:].prod(1)[None]
    return common / np.maximum(both - common, 1e-9)


def keypoint_similarity(
    a: np.ndarray, b: np.ndarray, areas: np.ndarray, sigmas: tuple[float, ...]
) -> np.ndarray:
    """COCO's similarity (..., K) of points (..., K, 2) of people of these areas (...): 1 in the
    same place. Its mean over keypoints is the object keypoint similarity."""
    squared = ((a - b) ** 2).sum(-1)  # (..., K)
    # COCO's k is twice sigma; the spacing, as in pycocotools, lets an area of 0 divide
    reach = 2 * (areas[..., None] + np.spacing(1)) * (2 * np.array(sigmas)) ** 2
    return np.exp(-squared / reach)
