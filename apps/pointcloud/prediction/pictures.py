"""Pictures of clouds side by side, with titles."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError


def panels(pictures: Sequence[np.ndarray], titles: Sequence[str]) -> Any:
    """A PIL image: pictures of one size side by side, each with its title above it."""
    from PIL import Image, ImageDraw, ImageFont

    height, width = pictures[0].shape[:2]
    font = ImageFont.load_default(max(11, width // 22))
    top = font.size * 2
    whole = Image.new("RGB", (width * len(pictures), height + top), "white")
    pen = ImageDraw.Draw(whole)
    for i, (picture, title) in enumerate(zip(pictures, titles, strict=True)):
        whole.paste(Image.fromarray(picture), (i * width, top))
        pen.text(((i + 0.5) * width, top / 2), title, "black", font, anchor="mm")
    return whole


def save_picture(path: str | os.PathLike, picture: Any) -> Path:
    """Write a PIL image as png, whole or not at all; replaces what is there."""
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise InputError(f"{path}: pictures are written as .png")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    picture.save(partial, "PNG", optimize=True)
    os.replace(partial, path)
    return path
