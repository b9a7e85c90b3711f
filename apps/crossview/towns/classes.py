"""What a pixel can show, and its colour in the maps."""

from __future__ import annotations

import numpy as np

CLASSES = ("sky", "building", "road", "grass", "tree", "water")
SKY, BUILDING, ROAD, GRASS, TREE, WATER = range(len(CLASSES))
PALETTE = np.array(
    [(70, 130, 180), (90, 90, 90), (160, 90, 170), (150, 215, 120), (30, 110, 30), (40, 60, 200)],
    np.uint8,
)
