"""What is in a picture: the kinds of scenes by name, among them abstract compositions of shapes.

Each kind is a function of a generator of random numbers, the width and height of the picture (the
longer is 1) and a mood, and yields shapes from the farthest to the nearest.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from apps.style.paintings.scenes.bust import bust
from apps.style.paintings.scenes.landscape import landscape
from apps.style.paintings.scenes.moods import Mood, mix, near
from apps.style.paintings.scenes.shapes import Shape, bent, box, oval
from apps.style.paintings.scenes.still_life import still_life


def abstract(rng, w: float, h: float, mood: Mood) -> Iterator[Shape]:
    """Discs, rings, wedges and bars that lie over each other."""
    colours = [mood.sky, mood.sun, mood.warm, mood.water, mood.leaf, mood.dark, mood.pale]
    yield Shape(box(0, 0, w, h), mix(mood.pale, mood.glow, 0.4), mood.glow, angle=0.6, depth=1)
    for k in range(rng.integers(9, 16)):
        at = np.array([w * rng.uniform(0.08, 0.92), h * rng.uniform(0.08, 0.92)])
        size = rng.uniform(0.22, 0.34) if k < 3 else rng.uniform(0.05, 0.16)
        colour, end = (near(rng, colours[i]) for i in rng.choice(len(colours), 2, replace=False))
        outline = _figure(rng, k, size)
        yield Shape(
            outline + at,
            colour,
            mix(colour, end, rng.choice([0, 0.5])),
            axis=rng.uniform(0, 6),
            round=rng.choice([0, 0.4]),
            angle=rng.uniform(0, 3),
            swirl=bool(k % 2),
            depth=0.9 - 0.05 * k,
        )
        if k % 5 == 1:
            yield Shape(outline * 0.6 + at, end, swirl=True, depth=0.2)


def _figure(rng, k: int, size: float) -> np.ndarray:
    turn = rng.uniform(0, np.pi)
    if k % 5 < 2:
        return oval(0, 0, size, size * rng.choice([1, 0.7]), turn)
    c, s = np.cos(turn), np.sin(turn)
    turned = np.array([(c, s), (-s, c)]) * size
    if k % 5 == 2:
        return np.array([(-1, 0.7), (1, 0.7), (0.1, -0.9)]) @ turned
    if k % 5 == 3:
        return box(-1.6, -0.12, 1.6, 0.12) @ turned
    arch = np.linspace(0, np.pi * 1.2, 14)
    return bent(np.stack([np.cos(arch), np.sin(arch)], 1), 0.25) @ turned


KINDS = {"landscape": landscape, "still-life": still_life, "bust": bust, "abstract": abstract}
CHANCES = (0.4, 0.25, 0.2, 0.15)
