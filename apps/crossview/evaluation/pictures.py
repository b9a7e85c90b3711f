"""Pictures for a person: sheets of samples, maps as colours, weights as grey or heat.

Images are (3, H, W) in [-1, 1]; a sheet has a row for each sample and a column for each kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from core.files import whole_file

GAP, TITLE = 4, 18  # pixels between pictures, and of the line of titles


def to_image(image: Tensor) -> Image.Image:
    """(3, H, W) in [-1, 1] -> an 8-bit RGB image."""
    pixels = (image.detach().float().cpu().clamp(-1, 1) + 1) * 127.5
    return Image.fromarray(pixels.round().byte().permute(1, 2, 0).numpy())


def weights_image(weights: Tensor) -> Tensor:
    """(H, W), any range -> grey (3, H, W) in [-1, 1], the smallest black, the largest white."""
    low, high = weights.min(), weights.max()
    grey = (weights - low) / (high - low).clamp(min=1e-8)
    return (2 * grey - 1).expand(3, *weights.shape)


def save_image(path: Path, image: Tensor | Image.Image) -> Path:
    """Write a png whole or not at all; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = to_image(image) if isinstance(image, Tensor) else image
    with whole_file(path) as partial:
        picture.save(partial)
    return path


def sheet(rows: Sequence[Sequence[Tensor]], titles: Sequence[str], enlarge: int = 1) -> Image.Image:
    """Rows of pictures (3, H, W) under their titles; pictures of a column are of one size.

    enlarge: pixels of the sheet for each pixel of a picture, at its side.
    """
    widths = [enlarge * image.shape[2] for image in rows[0]]
    height = enlarge * max(image.shape[1] for image in rows[0])
    total = sum(widths) + GAP * (len(widths) + 1)
    page = Image.new("RGB", (total, TITLE + (height + GAP) * len(rows) + GAP), "white")
    lefts = np.cumsum([GAP, *[width + GAP for width in widths[:-1]]]).tolist()
    draw = ImageDraw.Draw(page)
    for left, width, title in zip(lefts, widths, titles, strict=True):
        draw.text((left, 2), title, fill="black", font=_font(title, width))
    for number, row in enumerate(rows):
        for left, image in zip(lefts, row, strict=True):
            picture = to_image(image)
            size = (enlarge * picture.width, enlarge * picture.height)
            page.paste(picture.resize(size, Image.NEAREST), (left, TITLE + number * (height + GAP)))
    return page


def _font(title: str, width: int):
    """The largest font, from 12 down to 6 pixels, in which the title is no wider than `width`."""
    fonts = [ImageFont.load_default(size=size) for size in range(12, 5, -1)]
    return next((font for font in fonts if font.getlength(title) <= width), fonts[-1])
