"""Contact sheets: a row for each style, the same scenes in the columns."""

from __future__ import annotations

import numpy as np
from PIL import Image

from apps.style.paintings.styles import STYLES, artist_for, paint
from core.pictures.sheets import sheet

GAP = 4  # pixels between the paintings
SMALLEST_TEXT = 8  # pixels


def contact_sheet(seed: int, columns: int, size: int) -> Image.Image:
    """Scenes 0 to columns - 1 by every style; the longer side of a painting has `size` pixels."""
    rows = [[_painting(seed, style, k, size) for k in range(columns)] for style in STYLES]
    names = [style.replace("_", " ") for style in STYLES]
    return sheet(rows, labels=names, gap=GAP, text=max(size // 7, SMALLEST_TEXT))


def _painting(seed: int, style: str, number: int, size: int) -> np.ndarray:
    return paint(seed, style, artist_for(seed, style, number), number, size)
