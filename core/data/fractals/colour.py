"""From points per pixel to an RGB image: tones, hues and clouds behind."""

from __future__ import annotations

import numpy as np

from core.data.fractals.render import kernels
from core.data.fractals.systems import Stream

GREY = 127  # of a pixel with points: FractalDB's code
BRIGHTEST = 1023  # points per pixel from which on nothing becomes brighter


def palette(tone: str, colour: str, peak: int, stream: Stream) -> np.ndarray:
    """The colour of 0, 1 ... min(peak, 1023) points in a pixel: (levels, 3) uint8.

    tone   binary: all alike; log: log(1 + points), the fullest pixel is 1
    colour grey: 127 if binary, else tone x 255; hue: the tone turns the hue from a random one, with
           a saturation of U(0.3, 1) and a value of U(0.5, 1), as in Anderson & Farrell's code
    """
    number = np.arange(min(peak, BRIGHTEST) + 1)
    tones = np.log1p(number) / np.log1p(number[-1]) if tone == "log" else number > 0
    if colour == "grey":
        values = np.round(tones * (255 if tone == "log" else GREY)).astype(np.uint8)
        return np.repeat(values[:, None], 3, axis=1)
    hue, saturation, value = stream.uniform(0, 1, 3)
    return hsv(tones + hue, 0.3 + 0.7 * saturation, 0.5 + 0.5 * value)


def hsv(hue: np.ndarray, saturation, value) -> np.ndarray:
    """RGB (..., 3) uint8; hue in turns, any real number; the others in [0, 1]."""
    place = (np.array([5, 3, 1]) + 6 * np.asarray(hue)[..., None]) % 6
    away = np.clip(np.minimum(place, 4 - place), 0, 1)
    saturation, value = np.asarray(saturation)[..., None], np.asarray(value)[..., None]
    return np.round(255 * value * (1 - saturation * away)).astype(np.uint8)


def clouds(size: int, stream: Stream) -> np.ndarray:
    """A random coloured background (size, size, 3) uint8.

    Diamond-square heights as hues, saturations and values, with the ranges of Anderson & Farrell's
    code. Deviations: the heights repeat at the borders, and are cut to [0, 1] in 256 steps.
    """
    heights = diamond_square(size, float(stream.uniform(0.4, 0.8)), stream)
    scales = stream.uniform(0, 1, 3) * (0.75, 0.2, 0.3) + (0.25, 0.1, 0.3)
    shifts = stream.uniform(0, 1, 3) * (1, 0.2, 0.2) + (0, 0.4, 0.4)
    steps = np.linspace(0, 1, 256)[:, None] * scales + shifts
    colours = hsv(steps[:, 0], *np.minimum(steps[:, 1:], 1).T)
    levels = (np.clip(heights, 0, 1) * np.float32(255)).astype(np.uint32) + np.uint32(1)
    image = np.empty((size, size, 3), np.uint8)
    kernels().colour(levels, np.concatenate([colours[:1], colours]), image)  # level 0 is no colour
    return image


def diamond_square(size: int, decay: float, stream: Stream) -> np.ndarray:
    """Heights (size, size) float32 about 0.5; each finer step has exp(-decay) of the noise."""
    heights = stream.uniform(0, 1, 1, 1).astype(np.float32)
    noise = 0.5
    while (n := len(heights)) < size:
        finer = np.empty((2 * n, 2 * n), np.float32)
        kernels().refine(heights, np.float32(noise), np.uint64(stream.word()), finer)
        heights, noise = finer, noise * np.exp(-decay)
    return heights[:size, :size]
