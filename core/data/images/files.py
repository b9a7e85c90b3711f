"""Image files: which they are, and one of them as 8-bit RGB.

Alpha is dropped, CMYK, grey and palettes are converted, 16-bit grey is divided by 257. The EXIF
orientation is applied only where it is asked for, to name a person's own pictures: neither
torchvision's ImageFolder nor TensorFlow's decoder applies it in training and evaluation, so
published ImageNet figures are without it.
"""

from __future__ import annotations

import io
import os
import stat
import sys
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from core.files import unreadable

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".tif")
SUFFIXES += (".tiff", ".webp")
DEEP = 16  # bits of a grey picture whose numbers go all the way
# Pillow's names, whatever a file's suffix says; not PostScript, which it would hand to Ghostscript
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "PPM", "TIFF", "WEBP", "JPEG2000")
if find_spec("PIL._avif"):  # a newer Pillow, built with it
    SUFFIXES += (".avif",)
    FORMATS += ("AVIF",)
NO_PICTURE = f"it is no picture, or of a kind that is not read ({', '.join(FORMATS)})"
MOST_PIXELS = 50_000_000  # of a picture that somebody names
SIGNATURE = 16  # bytes by which Pillow tells formats


@dataclass(frozen=True)
class PixelLimit:
    """How many pixels a picture may have, and the setting that says so where it is read.

    most: 0 is Pillow's own limit, 179 million. setting: as it is typed (--data.max-pixels), so that
    a refusal names it; empty where there is none.
    """

    most: int = 0
    setting: str = ""

    def allows(self, width: int, height: int) -> bool:
        """Whether a picture of this size may be decoded."""
        return width * height <= self._pixels

    def refusal(self, width: int, height: int) -> ValueError:
        """What is said of a larger one."""
        size = f"{width} x {height} pixels are more than {self._pixels:,}"
        if not self.setting:
            return ValueError(f"{size}: make it smaller")
        if not self.most:
            return ValueError(f"{size}, Pillow's own limit: set {self.setting}")
        return ValueError(f"{size}: raise {self.setting}")

    @property
    def _pixels(self) -> int:
        from PIL import Image

        pillows = Image.MAX_IMAGE_PIXELS  # it warns from there on, and refuses twice as many
        return self.most or (2 * pillows if pillows else sys.maxsize)


PILLOWS = PixelLimit()  # where nothing is set


def decode(
    data: str | bytes,
    limit: PixelLimit = PILLOWS,
    bits: int = DEEP,
    upright: bool = False,
    shrink: bool = True,
):
    """An encoded image, or the file at a path, as an 8-bit RGB PIL image; ``bits`` as in `to_rgb`.

    upright: turned as its EXIF tag says, as viewers show a photograph of a phone. ``limit`` and
    ``shrink`` as in `open_within`, which raises ValueError.
    """
    with open_within(data, limit, shrink) as image:
        image.load()
        return to_rgb(_turned(image) if upright else image, bits)


def open_within(data: str | Path | bytes, limit: PixelLimit, shrink: bool = False):
    """An image of which the header alone is read. Raises ValueError for more pixels than ``limit``.

    shrink: a JPEG of more than `limit.most` will be decoded at 1/2, 1/4 or 1/8 of its sides, so
    that no more memory is needed (but for a progressive one's coefficients); what is larger still
    is refused.
    """
    image = _open(data)
    size = image.size
    if shrink and limit.most:
        _shrink(image, limit)
    if not limit.allows(*image.size):
        image.close()
        raise limit.refusal(*size)
    return image


def _turned(image):
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def _open(data: str | Path | bytes):
    """An image of any size, unlike `Image.open`, which has a limit of its own, and one warning."""
    from PIL import Image, UnidentifiedImageError

    if not isinstance(data, bytes):
        check_regular(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            return Image.open(_source(data), formats=FORMATS)
        except UnidentifiedImageError as error:
            raise ValueError(unreadable(data, NO_PICTURE)) from error
        except Image.DecompressionBombError as error:
            return _open_huge(data, error)


def _open_huge(data: str | Path | bytes, error: Exception):
    """By the format's own class, as `Image.open` does it before it looks at the size.

    TIFF and WebP have Pillow's limit in their classes, too: more than 179 million stay an error.
    """
    from PIL import Image

    with io.BytesIO(data) if isinstance(data, bytes) else open(data, "rb") as file:
        signature = file.read(SIGNATURE)
    for name in FORMATS:
        create, accepts = Image.OPEN[name]
        if accepts(signature) is True:  # else False, or why Pillow lacks the format
            try:
                return create(_source(data))
            except SyntaxError:  # another format
                continue
    raise error


def check_regular(path: str | Path) -> None:
    """Raise ValueError for a pipe or a device: reading one would wait, or never end."""
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ValueError("is a pipe or a device, and no file")


def _source(data: str | Path | bytes) -> str | io.BytesIO:
    return io.BytesIO(data) if isinstance(data, bytes) else str(data)


def _shrink(image, limit: PixelLimit) -> None:
    """Have an opened JPEG decoded at the first of 1, 1/2, 1/4, 1/8 of its sides that is allowed.

    It can be asked once.
    """
    width, height = image.size
    sizes = {divisor: (-(-width // divisor), -(-height // divisor)) for divisor in (1, 2, 4, 8)}
    divisor = next((divisor for divisor, size in sizes.items() if limit.allows(*size)), 8)
    image.draft(None, (max(1, width // divisor), max(1, height // divisor)))


def to_rgb(image, bits: int = DEEP):
    """8-bit RGB of a PIL image of any mode but 32-bit float, whose range nothing tells.

    16-bit grey is divided by the largest number of ``bits``, those in use: 11 or 12 of many
    satellites. Raises ValueError for floats, and for numbers above those of fewer bits.
    """
    from PIL import Image

    if image.mode == "F":
        raise ValueError("a 32-bit float image has no agreed range: store 8 or 16 bits")
    if image.mode.startswith("I"):  # 16-bit grey; Pillow clips it where it should scale
        levels, largest = np.asarray(image).astype(np.int64), 2**bits - 1
        if bits < DEEP and levels.max() > largest:
            raise ValueError(f"has numbers up to {levels.max()}, and {bits} bits end at {largest}")
        levels = np.clip(levels, 0, largest) * (255 / largest)
        image = Image.fromarray(np.round(levels).astype(np.uint8))
    elif image.mode == "P":  # with transparency in its palette Pillow asks for this detour
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")
