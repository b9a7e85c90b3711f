"""Contact sheets of the embedded shapes: a row for each kind."""

from __future__ import annotations

from typing import Any

import numpy as np

from apps.pointcloud.geometry.render import PALETTE, View, render
from apps.pointcloud.solids.shapes import KINDS, make_shape

POINTS = 20_000  # of a shape in the sheet: more than the data set has, so that surfaces close


def contact_sheet(seed: int, columns: int, size: int) -> Any:
    """A PIL image: training shapes 0 to columns - 1 of every kind, coloured by part."""
    from PIL import Image, ImageDraw, ImageFont

    margin = round(0.9 * size)
    whole = Image.new("RGB", (margin + size * columns, size * len(KINDS)), "white")
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(max(10, size // 9))
    for row, kind in enumerate(KINDS):
        pen.text((8, (row + 0.5) * size), kind.name, "black", font, anchor="lm")
        for column in range(columns):
            picture = shape_picture(make_shape(seed, "train", row, column, POINTS), size)
            whole.paste(Image.fromarray(picture), (margin + column * size, row * size))
    return whole


def shape_picture(rows: np.ndarray, size: int) -> np.ndarray:
    """The picture (size, size, 3) of rows x, y, z, nx, ny, nz, part, coloured by part."""
    part = rows[:, 6].astype(int)
    colours = PALETTE[(part - part.min()) % len(PALETTE)]
    return render(rows[:, :3], View(), normals=rows[:, 3:6], colours=colours, size=size, cull=True)
