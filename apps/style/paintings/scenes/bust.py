"""Busts: head and shoulders of a sitter, with hair or a hat."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from apps.style.paintings.scenes.moods import Mood, mix, near
from apps.style.paintings.scenes.shapes import Shape, bent, blob, box, oval, profile, ridge

SKINS = ((0.93, 0.74, 0.6), (0.75, 0.52, 0.38), (0.5, 0.33, 0.25))  # RGB, 0..1


def bust(rng, w: float, h: float, mood: Mood) -> Iterator[Shape]:
    """Head and shoulders before a wall, or before a landscape in a window."""
    yield Shape(box(0, 0, w, h), mood.sky, mood.glow, axis=rng.uniform(0, 3), angle=0.7, depth=1)
    if rng.random() < 0.5:
        view = box(w * 0.06, h * 0.08, w * 0.94, h * 0.55)
        yield Shape(view, mood.glow, mood.far, depth=0.95)
        yield Shape(ridge(rng, w, h * 0.7, h * 0.42, 0.05), mood.leaf, mood.near, depth=0.9)
        yield Shape(box(-0.02, h * 0.55, w + 0.02, h), mix(mood.near, mood.dark, 0.3), depth=0.8)
    x, y, size = w * rng.uniform(0.42, 0.58), h * rng.uniform(0.36, 0.44), h * 0.16
    skin = near(rng, np.array(SKINS[rng.integers(len(SKINS))]), 0.03)
    hair = near(rng, mix(mood.dark, (mood.warm, mood.sun, mood.dark)[rng.integers(3)], 0.4))
    if long := rng.random() < 0.6:
        locks = blob(rng, x, y + 0.3 * size, 1.25 * size, 1.7 * size, 0.08)
        yield Shape(locks, hair, round=0.4, angle=1.5)
    yield from _body(rng, x, y, size, h, skin, mood)
    yield Shape(oval(x, y, 0.8 * size, 1.08 * size), skin, round=0.45, angle=1.3, swirl=True)
    yield from _face(rng, x, y, size, skin, mood)
    yield from _crown(rng, x, y, size, hair, mood, hat=not long or rng.random() < 0.4)


def _body(rng, x, y, size, h, skin, mood) -> Iterator[Shape]:
    coat = near(rng, (mood.water, mood.warm, mood.dark, mood.leaf)[rng.integers(4)])
    widths = np.array((2.4, 2.35, 2.2, 2.0, 1.6, 0.9, 0.5)) * size
    top = y + 1.25 * size
    shoulders = profile(x, h + 0.05, h + 0.05 - top, widths)
    lit, shaded = mix(coat, mood.pale, 0.15), mix(coat, mood.dark, 0.4)
    yield Shape(shoulders, lit, shaded, axis=0.3, round=0.35, angle=1.2)
    neck = box(x - 0.34 * size, y + 0.6 * size, x + 0.34 * size, y + 1.6 * size)
    yield Shape(neck, mix(skin, mood.dark, 0.2), angle=1.57)
    collar = np.array([(-0.9, 1.35), (0, 2.3), (0.9, 1.35), (0.4, 1.25), (0, 1.6), (-0.4, 1.25)])
    yield Shape(collar * size + (x, y), mood.pale, angle=0.8)


def _face(rng, x, y, size, skin, mood) -> Iterator[Shape]:
    turn = rng.uniform(-0.14, 0.14) * size
    dark = mix(skin, mood.dark, 0.75)
    for side in (-1, 1):
        at = x + turn + side * 0.33 * size
        yield Shape(oval(at, y - 0.1 * size, 0.16 * size, 0.09 * size), mood.pale)
        yield Shape(oval(at, y - 0.1 * size, 0.085 * size), mood.dark)
        brow = np.array([(-0.2, -0.27), (0, -0.33), (0.2, -0.27)]) * size + (at, y)
        yield Shape(bent(brow, 0.07 * size), dark)
        middle = x + turn + side * 0.42 * size
        cheek = oval(middle, y + 0.3 * size, 0.17 * size, 0.12 * size)
        yield Shape(cheek, mix(skin, mood.warm, 0.35), swirl=True)
    nose = np.array([(0, -0.15), (0.17, 0.32), (-0.05, 0.34)]) * size + (x + turn, y)
    yield Shape(nose, mix(skin, mood.dark, 0.3), angle=1.57)
    smile = rng.uniform(-0.04, 0.1) * size
    mouth = [(x + turn + k * 0.26 * size, y + 0.58 * size - smile * k * k) for k in (-1, 0, 1)]
    yield Shape(bent(mouth, 0.12 * size), mix(mood.warm, skin, 0.25))


def _crown(rng, x, y, size, hair, mood, hat: bool) -> Iterator[Shape]:
    arch = np.linspace(np.pi, 2 * np.pi, 12)
    across, down = 0.82 * size * np.cos(arch), 0.85 * size * np.sin(arch)
    line = np.stack([x + across, y - 0.2 * size + down], 1)  # (12, 2)
    yield Shape(bent(line, 0.36 * size), hair, swirl=True)
    if hat:
        colour = near(rng, (mood.warm, mood.water, mood.dark, mood.sun)[rng.integers(4)])
        tall = rng.uniform(0.7, 1.1) * size
        top = profile(x, y - 0.62 * size, tall, np.array((0.85, 0.83, 0.8, 0.7)) * size)
        yield Shape(top, colour, mix(colour, mood.dark, 0.4), axis=0, round=0.3, angle=1.57)
        yield Shape(oval(x, y - 0.62 * size, 1.35 * size, 0.2 * size), mix(colour, mood.dark, 0.2))
