"""Contact sheets of the embedded shapes: a row for each kind."""

from __future__ import annotations

import numpy as np
from PIL import Image

from apps.pointcloud.geometry.render import PALETTE, View, render
from apps.pointcloud.solids.shapes import KINDS, make_shape
from core.pictures.sheets import sheet

POINTS = 20_000  # of a shape in the sheet: more than the data set has, so that surfaces close


def contact_sheet(seed: int, columns: int, size: int) -> Image.Image:
    """Training shapes 0 to columns - 1 of every kind, coloured by part."""
    rows = [
        [shape_picture(make_shape(seed, "train", kind, n, POINTS), size) for n in range(columns)]
        for kind in range(len(KINDS))
    ]
    names = [kind.name for kind in KINDS]
    return sheet(rows, labels=names, gap=0, margin=8, text=max(10, size // 9))


def shape_picture(rows: np.ndarray, size: int) -> np.ndarray:
    """The picture (size, size, 3) of rows x, y, z, nx, ny, nz, part, coloured by part."""
    part = rows[:, 6].astype(int)
    colours = PALETTE[(part - part.min()) % len(PALETTE)]
    return render(rows[:, :3], View(), normals=rows[:, 3:6], colours=colours, size=size, cull=True)
