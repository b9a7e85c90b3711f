"""Sheets of images, with titles and captions, and image files that appear whole or not at all.

A picture is an array (H, W, 3) or (H, W) uint8, or a PIL image; what comes back is a PIL image.

    save_image("sheet.png", sheet(in_rows(pictures, columns=6)))                  a contact sheet
    sheet(rows, titles=("input", "output"), labels=names)                         a table of images
    sheet([[caption(p, [name]) for p, name in zip(pictures, names)]], gap=0)      captions of each
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw

from core.errors import InputError
from core.files import whole_file
from core.pictures.fonts import SMALLEST, draw_line, font, text_width

Picture = np.ndarray | Image.Image
Item = TypeVar("Item")

KINDS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
QUALITY = 90  # of JPEG and WebP
INSET = 2  # pixels between a caption and its picture's edge
LINE_HEIGHT = 1.5  # of a line of text, in sizes of its font


def sheet(
    rows: Sequence[Sequence[Picture]],
    titles: Sequence[str] = (),
    labels: Sequence[str] = (),
    gap: int = 4,
    margin: int | None = None,
    background: str | tuple[int, int, int] = "white",
    text: int = 12,
) -> Image.Image:
    """Rows of pictures of any sizes, each in the middle of a cell of its column and row.

    titles: above the columns; labels: on the left of the rows, broken into lines. gap: pixels
    between the pictures, and around them all unless margin says otherwise. text: the largest size
    of titles and labels, in pixels. Rows may be of unequal length.
    """
    images = [[as_image(picture) for picture in row] for row in rows]
    widths, heights = _cells(images)
    margin = gap if margin is None else margin
    left = margin + (_label_width(labels, text) + gap if labels else 0)
    top = margin + (round(LINE_HEIGHT * text) if titles else 0)
    lefts, tops = _places(left, widths, gap), _places(top, heights, gap)
    size = (lefts[-1] - gap + margin, tops[-1] - gap + margin)
    page = Image.new("RGB", size, background)
    for y, height, row in zip(tops, heights, images, strict=False):
        for x, width, image in zip(lefts, widths, row, strict=False):
            page.paste(image, (x + (width - image.width) // 2, y + (height - image.height) // 2))
    draw = ImageDraw.Draw(page)
    for x, width, title in zip(lefts, widths, titles, strict=False):
        draw_line(draw, (x + width / 2, margin), title, width, text, anchor="ma")
    for y, height, label in zip(tops, heights, labels, strict=False):
        _draw_label(draw, (margin, y + height / 2), label, height, text)
    return page


def caption(
    picture: Picture,
    lines: Sequence[str],
    fills: Sequence[str] = (),
    below: bool = False,
    text: int = 12,
    width: int = 0,
    centred: bool = False,
) -> Image.Image:
    """The picture under (or above) lines of text that are no wider than it, or than `width`.

    fills: the lines' colours, black where there are none. text: the largest size, in pixels.
    """
    image = as_image(picture)
    width, line = max(width, image.width), round(LINE_HEIGHT * text)
    card = Image.new("RGB", (width, image.height + line * len(lines)), "white")
    card.paste(image, ((width - image.width) // 2, 0 if below else line * len(lines)))
    draw, first = ImageDraw.Draw(card), image.height if below else 0
    x, anchor = (width / 2, "mm") if centred else (INSET, "lm")
    for i, words in enumerate(lines):
        fill = fills[i] if i < len(fills) else "black"
        place = (x, first + (i + 0.5) * line)
        draw_line(draw, place, words, width - 2 * INSET, text, fill, anchor)
    return card


def in_rows(pictures: Sequence[Item], columns: int) -> list[list[Item]]:
    """A list in rows of `columns`; the last one may be shorter."""
    return [list(pictures[i : i + columns]) for i in range(0, len(pictures), columns)]


def enlarged(picture: Picture, factor: int) -> Image.Image:
    """Every pixel as a square of `factor` pixels."""
    image = as_image(picture)
    return image.resize((factor * image.width, factor * image.height), Image.Resampling.NEAREST)


def as_image(picture: Picture) -> Image.Image:
    """An RGB image of an array (H, W, 3) or (H, W) uint8, or of a PIL image."""
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8:
            raise TypeError(f"pictures are uint8, not {picture.dtype}")
        picture = Image.fromarray(np.ascontiguousarray(picture))
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def save_image(path: str | os.PathLike, picture: Picture, **options) -> Path:
    """Write an image whole or not at all, as its name's ending says; returns the path.

    options: as Pillow's `save` has them, beside a quality of 90. Raises InputError for an ending
    that is not .png, .jpg, .jpeg or .webp.
    """
    path = Path(path)
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise InputError(f"{path}: an image's name ends in {', '.join(KINDS)}")
    palette = kind == "PNG" and isinstance(picture, Image.Image)  # keeps its mode: it is small
    image = picture if palette else as_image(picture)
    if kind != "PNG":
        options = {"quality": QUALITY, **options}
    with whole_file(path) as partial:
        image.save(partial, kind, **options)
    return path


def save_sheet(out: str, draw: Callable[[], Picture]) -> Path:
    """Write the image that ``draw`` gives; an existing file is an InputError, said at once."""
    path = Path(out).expanduser()
    if path.exists():
        raise InputError(f"{path} exists already: give another --out")
    return save_image(path, draw(), optimize=True)


def _cells(images: Sequence[Sequence[Image.Image]]) -> tuple[list[int], list[int]]:
    """The widths of the columns and the heights of the rows."""
    columns = range(max(map(len, images), default=0))
    widths = [max(row[c].width for row in images if c < len(row)) for c in columns]
    return widths, [max((image.height for image in row), default=0) for row in images]


def _places(start: int, sizes: Sequence[int], gap: int) -> list[int]:
    """Where each cell begins, and one more."""
    return [start, *(start + np.cumsum([size + gap for size in sizes])).tolist()]


def _broken(label: str) -> str:
    """A label in lines of at most 14 characters, or of its longest word."""
    return textwrap.fill(label, 14, break_long_words=False, break_on_hyphens=False)


def _label_width(labels: Sequence[str], text: int) -> int:
    return int(max(text_width(_broken(label), text) for label in labels)) + 1


def _draw_label(draw, place: tuple[float, float], label: str, height: int, text: int) -> None:
    """A label of as many lines as it needs, smaller where they are higher than the row."""
    words = _broken(label)
    size = max(SMALLEST, min(text, int(height / (LINE_HEIGHT * (words.count("\n") + 1)))))
    draw.multiline_text(place, words, fill="black", font=font(size), anchor="lm", spacing=2)
