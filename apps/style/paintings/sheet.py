"""Contact sheets: a row for each style, the same scenes in the columns."""

from __future__ import annotations

import textwrap
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from apps.style.paintings.styles import STYLES, artist_for, paint

GAP = 4  # pixels between the paintings


def contact_sheet(seed: int, columns: int, size: int) -> Any:
    """A PIL image: scenes 0 to columns - 1 by every style, each in a square of `size` pixels."""
    step, margin = size + GAP, round(1.25 * size)
    picture = Image.new("RGB", (margin + step * columns, step * len(STYLES) + GAP), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(max(size // 7, 8))
    for row, style in enumerate(STYLES):
        middle = GAP + row * step + size // 2
        pen.text(
            (GAP, middle),
            textwrap.fill(style.replace("_", " "), 14),
            "black",
            font,
            anchor="lm",
            spacing=2,
        )
        for column in range(columns):
            image = Image.fromarray(
                paint(seed, style, artist_for(seed, style, column), column, size)
            )
            left = margin + column * step + (size - image.width) // 2
            picture.paste(image, (left, middle - image.height // 2))
    return picture
