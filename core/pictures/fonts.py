"""Text in pictures: one font, as large as it may be where it has to fit a width."""

from __future__ import annotations

from functools import lru_cache

from PIL import ImageFont

SMALLEST = 6  # pixels: below nobody reads it


@lru_cache
def font(size: int):
    """Pillow's own font, in pixels."""
    return ImageFont.load_default(size=size)


def text_width(text: str, size: int) -> float:
    """Pixels of the longest line."""
    return max(font(size).getlength(line) for line in text.split("\n"))


def fitting_size(text: str, width: float, largest: int = 12, smallest: int = SMALLEST) -> int:
    """The largest size of a font in which the text is no wider than `width`, in pixels.

    Where none is, the smallest.
    """
    sizes = range(largest, smallest, -1)
    return next((size for size in sizes if text_width(text, size) <= width), smallest)


def shortened(text: str, width: float, size: int) -> str:
    """The line, or as much of its begin as fits `width` pixels, and "…"."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text + "…"


def draw_line(
    draw,
    place: tuple[float, float],
    text: str,
    width: float,
    largest: int = 12,
    fill="black",
    anchor: str = "la",
) -> None:
    """Write one line into `width` pixels: smaller where it must be, cut where that is too little.

    place and anchor: as `PIL.ImageDraw.Draw.text` has them.
    """
    size = fitting_size(text, width, largest, min(largest, SMALLEST))
    draw.text(place, shortened(text, width, size), fill=fill, font=font(size), anchor=anchor)
