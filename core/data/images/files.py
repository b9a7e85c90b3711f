"""Image files: which they are, and one of them as 8-bit RGB.

Alpha is dropped, CMYK, grey and palettes are converted, 16-bit grey is divided by 257. The EXIF
orientation is applied only where it is asked for, to name a person's own pictures: neither
torchvision's ImageFolder nor TensorFlow's decoder applies it in training and evaluation, so
published ImageNet figures are without it.
"""

from __future__ import annotations

import io
import warnings

import numpy as np

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".tif")
SUFFIXES += (".tiff", ".webp")
DEEP = 16  # bits of a grey picture whose numbers go all the way
# Pillow's names, whatever a file's suffix says; not PostScript, which it would hand to Ghostscript
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "PPM", "TIFF", "WEBP", "JPEG2000")


def decode(data: str | bytes, max_pixels: int = 0, bits: int = DEEP, upright: bool = False):
    """An encoded image, or the file at a path, as an 8-bit RGB PIL image; ``bits`` as in `to_rgb`.

    upright: turned as its EXIF tag says, as viewers show a photograph of a phone.

    A JPEG of more than `max_pixels` is decoded at 1/2, 1/4 or 1/8 of its sides, so that no more
    memory is needed; what is larger still is a ValueError. 0: whatever Pillow takes, which warns
    from 89 million pixels on and refuses 179 million. It refuses them in other formats anyway.
    """
    source = io.BytesIO(data) if isinstance(data, bytes) else data
    with _open_large(source) if max_pixels else _open(source) as image:
        if max_pixels:
            _shrink(image, max_pixels)
        image.load()
        return to_rgb(_turned(image) if upright else image, bits)


def _turned(image):
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def _open(source: str | io.BytesIO):
    from PIL import Image

    return Image.open(source, formats=FORMATS)


def _open_large(source: str | io.BytesIO):
    """A file whose size `_shrink` looks after. A JPEG is opened past Pillow's own limit."""
    from PIL.Image import DecompressionBombError, DecompressionBombWarning
    from PIL.JpegImagePlugin import JpegImageFile

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DecompressionBombWarning)
        try:
            return _open(source)
        except DecompressionBombError as error:
            if isinstance(source, io.BytesIO):
                source.seek(0)
            try:
                return JpegImageFile(source)
            except SyntaxError:  # no JPEG
                raise error from None


def _shrink(image, most: int) -> None:
    """Have an opened JPEG decoded at the first of 1, 1/2, 1/4, 1/8 that has `most` pixels or fewer.

    It can be asked once.
    """
    width, height = image.size
    sizes = {divisor: -(-width // divisor) * -(-height // divisor) for divisor in (1, 2, 4, 8)}
    divisor = next((divisor for divisor, size in sizes.items() if size <= most), 8)
    image.draft(None, (max(1, width // divisor), max(1, height // divisor)))
    if image.width * image.height > most:
        raise ValueError(f"{width} x {height} pixels are more than max_pixels, {most}: raise it")


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
