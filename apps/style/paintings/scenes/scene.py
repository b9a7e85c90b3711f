"""A scene: a seeded composition as the colours and fields that all painters look at.

H, W are canvas pixels: twice those of the painting, which is reduced at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from apps.style.paintings import kernels
from apps.style.paintings.scenes.compositions import CHANCES, KINDS
from apps.style.paintings.scenes.moods import INDOORS, OUTDOORS, draw_mood
from apps.style.paintings.scenes.shapes import Shape

OVERSAMPLING = 2  # canvas pixels per pixel of the painting, along a side
SIDES = (0.72, 0.75, 0.8, 0.85, 1.0)  # short by long side, as paintings commonly have them
MOODS = {"landscape": OUTDOORS, "still-life": INDOORS}  # the others: both
UPRIGHT = {"landscape": 0.25, "still-life": 0.45, "bust": 0.85, "abstract": 0.5}


@dataclass(frozen=True)
class Scene:
    """What there is to paint.

    labels (H, W) uint8: the shape of each pixel. colour (H, W, 3) in 0..1. light (H, W): 1 is
    neutral. angle (H, W): direction of strokes, radians. across (H, W): distance across the
    strokes, pixels. depth (H, W): 0 near, 1 far. pixels: of the long side.
    """

    kind: str
    pixels: int
    labels: np.ndarray
    colour: np.ndarray
    light: np.ndarray
    angle: np.ndarray
    across: np.ndarray
    depth: np.ndarray


def kind_of(seed: int, number: int) -> str:
    """What scene `number` of a seed shows: a name of `compositions.KINDS`."""
    return str(np.random.default_rng([seed, number, 0]).choice(list(KINDS), p=CHANCES))


def draw_scene(seed: int, number: int, size: int) -> Scene:
    """Scene `number` of a seed, for paintings whose long side has `size` pixels."""
    rng = np.random.default_rng([seed, number, 1])
    kind = kind_of(seed, number)
    short = max(round(size * SIDES[rng.integers(len(SIDES))]), 1)
    upright = rng.random() < UPRIGHT[kind]
    width, height = (short, size) if upright else (size, short)
    mood = draw_mood(rng, MOODS.get(kind, OUTDOORS | INDOORS))
    shapes = list(KINDS[kind](rng, width / size, height / size, mood))
    canvas = width * OVERSAMPLING, height * OVERSAMPLING
    return render(kind, shapes, *canvas, sun=rng.uniform(-2.4, -0.7))


def render(kind: str, shapes: list[Shape], width: int, height: int, sun: float) -> Scene:
    """Shapes, far to near, as arrays; `sun` is the angle that the light comes from."""
    pixels = max(width, height)
    page = Image.new("L", (width, height))
    pen = ImageDraw.Draw(page)
    for number, shape in enumerate(shapes):
        pen.polygon((shape.outline * pixels).ravel().tolist(), fill=number)
    labels = np.array(page)
    colour = np.empty((height, width, 3), np.float32)
    fields = np.empty((4, height, width), np.float32)
    table = np.array([shape.row(pixels) for shape in shapes], np.float32)
    light = np.array([0.65 * np.cos(sun), 0.65 * np.sin(sun), 0.76], np.float32)
    kernels.shade(labels, table, light, colour, fields)
    return Scene(kind, pixels, labels, colour, *fields)
