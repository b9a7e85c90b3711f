"""One file as a photograph in 8-bit RGB or as a map: colours, or numbers of classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from apps.crossview.data.maps import MOST_UNKNOWN, Palette
from core.data.images.files import DEEP, PILLOWS, PixelLimit, decode, open_within
from core.errors import InputError

DARK = 2**12  # levels: what has none above is no picture of 16 bits
GREY = ("L", "I", "I;16", "I;16B", "I;16L", "I;16N")  # Pillow's modes of one number a pixel


def read_photograph(path: str | Path, bits: int = DEEP, limit: PixelLimit = PILLOWS) -> Image.Image:
    """8-bit RGB; ``bits`` as in `to_rgb`. Raises ValueError above the limit: panels lie at places
    of the file's own pixels, so that none is read smaller."""
    return decode(str(path), limit, bits, shrink=False)


def read_map(
    path: str | Path, palette_ids: bool = False, limit: PixelLimit = PILLOWS
) -> Image.Image:
    """Grey of 8 or 16 bits as it is, ids; all else RGB, colours. Raises ValueError above the limit.

    ``palette_ids``: the numbers of a picture with a palette of its own are ids, too (CVUSA).
    """
    with open_within(path, limit) as image:
        if image.mode in GREY or (image.mode == "P" and palette_ids):
            return Image.fromarray(np.asarray(image))
    return decode(str(path), limit, shrink=False)


def check_bits(paths: Sequence[Path], bits: int, limit: PixelLimit = PILLOWS) -> None:
    """InputError where all 16-bit pictures among these are too dark to be of 16 bits.

    Satellites' pictures have 11 or 12 bits in files of 16: read as 16, they are night.
    """
    largest: dict[Path, int] = {}  # number of each 16-bit picture
    for path in paths if bits == DEEP else ():
        try:
            with open_within(path, limit) as image:
                if image.mode.startswith("I"):
                    largest[path] = int(np.asarray(image).max())
        except Exception:  # damaged and too large files are named when they are read
            continue
    if largest and (most := max(largest.values())) < DARK:
        used = max(8, most.bit_length())
        raise InputError(
            f"{next(iter(largest))}: a 16-bit picture, and no number of {len(largest)} such "
            f"pictures is above {most}, which would be night: say how many bits are in use, "
            f"--data.bits {used}"
        )


def class_ids(
    pixels: np.ndarray, palette: Palette, uniform: bool = False, void: int = -1
) -> np.ndarray:
    """A map's pixels, colours (H, W, 3) or ids (H, W), as ids, uint8 (H, W).

    ``void``: the id of what is not labelled, which becomes the palette's last class; -1: none.
    ValueError, whose words go on from a name, for a blank map (unless `uniform`), ids beyond the
    palette's, or too many colours that are none of it.
    """
    if pixels.ndim == 2:
        ids, unknown = _numbers(pixels, len(palette), void), 0.0
    else:
        ids, unknown = palette.ids(pixels)
    if unknown > MOST_UNKNOWN:
        raise ValueError(
            f"is no map of this palette: {100 * unknown:.0f} % is in none of its colours"
        )
    if ids.min() == ids.max() and not uniform:
        raise ValueError("is blank: all of it is one class")
    return ids.astype(np.uint8)


def _numbers(ids: np.ndarray, classes: int, void: int) -> np.ndarray:
    known = classes - (void >= 0)  # those that maps can name
    nobodys = ids == void if void >= 0 else np.zeros(ids.shape, bool)
    wrong = ids[~nobodys & ((ids < 0) | (ids >= known))]
    if wrong.size:
        hint = f": if it is what nobody labelled, --data.void {wrong[0]}" if void < 0 else ""
        raise ValueError(f"has class {wrong[0]}, and the palette {known} classes{hint}")
    return np.where(nobodys, classes - 1, ids)


def alike(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether the sides (width, height) of two pictures have one proportion, up to a tenth."""
    return abs(size[0] * other[1] / (size[1] * other[0]) - 1) < 0.1


def squeezed(size: tuple[int, int], name: str, height: int, width: int) -> str:
    """What is said of a picture (width, height) whose sides are not as those it is brought to."""
    if alike(size, (width, height)):
        return ""
    wide, tall = size
    return f"{name}: {wide}x{tall} pixels are stretched to {width}x{height}"
