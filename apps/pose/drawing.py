"""Pictures of people with their keypoints."""

from __future__ import annotations

import numpy as np

from apps.pose.keypoints import SIDE_COLORS, KeypointSet


def draw_people(
    image: np.ndarray,
    keypoints: np.ndarray,
    scores: np.ndarray,
    keypoint_set: KeypointSet,
    boxes: np.ndarray | None = None,
    threshold: float = 0.3,
) -> np.ndarray:
    """A copy of the image (H, W, 3) uint8 RGB with the people drawn by mmpose's visualizer.

    keypoints (N, K, 2) pixels, scores (N, K); below ``threshold`` a keypoint and its limbs are left
    out. boxes (N, 4) as x1, y1, x2, y2. Left is green, right orange, the middle blue.
    """
    from apps.pose.mmpose_compat import (
        InstanceData,
        PoseDataSample,
        PoseVisualizer,
        parse_pose_metainfo,
    )

    size = max(image.shape[:2])
    visualizer = PoseVisualizer(
        bbox_color=SIDE_COLORS["centre"], line_width=max(1, round(size / 250)),
        radius=max(2.0, size / 130), text_color=None,
    )  # fmt: skip
    visualizer.set_dataset_meta(parse_pose_metainfo(keypoint_set.metainfo()))
    people = InstanceData(
        keypoints=np.asarray(keypoints, dtype=np.float64).reshape(-1, len(keypoint_set), 2),
        keypoints_visible=np.asarray(scores, dtype=np.float64).reshape(-1, len(keypoint_set)),
    )
    if boxes is not None:
        people.bboxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    visualizer.add_datasample(
        "people",
        np.ascontiguousarray(image),
        PoseDataSample(pred_instances=people),
        draw_gt=False,
        draw_bbox=boxes is not None,
        kpt_thr=threshold,
    )
    return visualizer.get_image()


def sheet(images: list[np.ndarray], columns: int, gap: int = 4) -> np.ndarray:
    """Tile RGB pictures (h, w, 3) uint8 of any sizes, row by row, on white; (H, W, 3) uint8."""
    columns = min(columns, len(images))
    height = max(image.shape[0] for image in images) + gap
    width = max(image.shape[1] for image in images) + gap
    rows = -(-len(images) // columns)
    canvas = np.full((rows * height + gap, columns * width + gap, 3), 255, dtype=np.uint8)
    for i, image in enumerate(images):
        top, left = gap + i // columns * height, gap + i % columns * width
        canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
    return canvas
