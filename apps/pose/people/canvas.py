"""The sheet that is painted on: colours at twice the size, and who owns each pixel."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

Colour = tuple[int, int, int]
SUPERSAMPLE = 2
_SUBPIXEL = 4  # binary digits of a pixel that OpenCV keeps in polygon corners
_HALF = (SUPERSAMPLE - 1) << (_SUBPIXEL - 1)  # centre of a pixel among its parts
_ANGLES = np.linspace(0, 2 * np.pi, 16, endpoint=False)
CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)  # (16, 2)
NOBODY, OBJECT = 0, 1  # owners; people have owners from PERSON on (`figure.py`)


def palette(colours: str) -> tuple[Colour, ...]:
    """Colours as the web writes them, "7a4e36 5c3a2c": RGB, two hexadecimal digits each."""
    return tuple(tuple(bytes.fromhex(colour)) for colour in colours.split())


def corners(points: np.ndarray) -> np.ndarray:
    """Pixel coordinates -> OpenCV's fixed-point corners on the enlarged canvas, int32."""
    return np.rint(points * (SUPERSAMPLE << _SUBPIXEL) + _HALF).astype(np.int32)


class Canvas:
    """Painter's algorithm. Pixel centres are at whole numbers, as in COCO keypoints.

    colours: (2H, 2W, 3) uint8 RGB. owners: (H, W) uint8, the part painted last at each pixel.
    """

    def __init__(self, width: int, height: int):
        self.width, self.height = width, height
        self.colours = np.zeros((SUPERSAMPLE * height, SUPERSAMPLE * width, 3), np.uint8)
        self.owners = np.zeros((height, width), np.uint8)

    def fill(self, polygon: np.ndarray, colour: Colour, owner: int | None = None) -> None:
        """Paint a polygon (N, 2) in pixels; with an owner, claim its pixels too."""
        fixed = corners(polygon)
        self.fill_corners(fixed, colour)
        if owner is not None:
            self.claim_corners(fixed, owner)

    def fill_corners(self, fixed: np.ndarray, colour: Colour) -> None:
        """Paint a polygon whose corners are whole numbers of sub-pixels."""
        cv2.fillPoly(self.colours, [fixed], colour, cv2.LINE_AA, _SUBPIXEL)

    def claim_corners(self, fixed: np.ndarray, owner: int) -> None:
        """Note the polygon's pixels as this owner's."""
        digits = _SUBPIXEL + SUPERSAMPLE.bit_length() - 1
        cv2.fillPoly(self.owners, [fixed - _HALF], owner, cv2.LINE_8, digits)

    def box(self, left, top, right, bottom, colour: Colour, owner: int | None = None) -> None:
        """Paint an upright rectangle, in pixels."""
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        self.fill(np.array(corners, float), colour, owner)

    def oval(self, x, y, half_width, half_height, colour: Colour, owner: int | None = None) -> None:
        """Paint an upright ellipse, in pixels."""
        self.fill(np.array([x, y]) + CIRCLE * (half_width, half_height), colour, owner)

    def gradient(self, top: float, bottom: float, upper: Colour, lower: Colour) -> None:
        """Rows from top to bottom (pixels) blend from one colour to the other."""
        first, last = (round(np.clip(y, 0, self.height) * SUPERSAMPLE) for y in (top, bottom))
        blend = np.linspace(0, 1, max(last - first, 1))[: last - first, None]
        rows = np.rint(np.array(upper) * (1 - blend) + np.array(lower) * blend).astype(np.uint8)
        if len(rows):  # several times as fast as broadcasting
            cv2.repeat(rows[:, None], 1, self.colours.shape[1], dst=self.colours[first:last])

    def image(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB: the colours averaged down."""
        size = (self.width, self.height)
        return cv2.resize(self.colours, size, interpolation=cv2.INTER_AREA)


def hull(circles: np.ndarray) -> np.ndarray:
    """Outline (M, 2) around circles (N, 3) of pixel x, y, radius."""
    points = circles[:, None, :2] + circles[:, None, 2:] * CIRCLE
    return cv2.convexHull(points.reshape(-1, 2).astype(np.float32))[:, 0]


def mix(colour: Sequence[float], other: Sequence[float], share: float) -> Colour:
    """The colour with a share of the other in it."""
    (r, g, b), (x, y, z) = colour, other
    return (round(r + (x - r) * share), round(g + (y - g) * share), round(b + (z - b) * share))


def darker(colour: Sequence[float], share: float) -> Colour:
    """A colour in shadow, by this share."""
    return mix(
        colour, (28, 22, 48), share
    )  # towards a blue night, not black: flat colours stay warm


def lighter(colour: Sequence[float], share: float) -> Colour:
    """A colour in warm light, by this share."""
    return mix(colour, (255, 250, 235), share)
