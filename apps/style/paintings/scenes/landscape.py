"""Landscapes: sky and sun, hills, water or fields, and what stands in them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from apps.style.paintings.scenes.moods import Mood, mix, near
from apps.style.paintings.scenes.shapes import Shape, bent, blob, box, oval, ridge


def landscape(rng, w: float, h: float, mood: Mood) -> Iterator[Shape]:
    """Sky, sun, clouds, hills, then land or water, and what stands in it."""
    horizon = h * rng.uniform(0.38, 0.62)
    yield Shape(box(0, 0, w, h), mood.sky, mood.glow, angle=rng.uniform(-0.2, 0.2), depth=1)
    x, y, radius = w * rng.uniform(0.12, 0.88), horizon * rng.uniform(0.2, 0.75), 0.05
    radius *= rng.uniform(0.7, 1.7)
    if rng.random() < 0.6:
        yield Shape(oval(x, y, radius * 1.7), mix(mood.glow, mood.sun, 0.4), swirl=True, depth=1)
    yield Shape(oval(x, y, radius), mood.sun, swirl=True, depth=1)
    yield from _clouds(rng, w, horizon, mood)
    yield from _hills(rng, w, h, horizon, mood)
    if rng.random() < 0.5:
        yield from _water(rng, w, h, horizon, x, mood)
        yield from _boats(rng, w, h, horizon, mood)
        bank = ridge(rng, w, h + 0.02, mix(horizon, h, 0.82), 0.02, 1)
        yield Shape(bank, mix(mood.near, mood.dark, 0.15), mood.leaf, angle=0.2, depth=0.3)
        yield from _trees(rng, w, h, mix(horizon, h, 0.8), mood, 0.14)
    else:
        yield from _field(rng, w, h, horizon, mood)
        yield from _houses(rng, w, h, horizon, mood)
        yield from _trees(rng, w, h, horizon, mood, 0.05)


def _clouds(rng, w, horizon, mood) -> Iterator[Shape]:
    for _ in range(rng.integers(0, 4)):
        x, y, size = w * rng.random(), horizon * rng.uniform(0.1, 0.7), rng.uniform(0.05, 0.11)
        pale = mix(mood.pale, mood.glow, rng.uniform(0, 0.5))
        for shift in (-0.9, 0.8, 0):
            outline = blob(rng, x + shift * size, y + abs(shift) * size * 0.2, size, size * 0.45)
            yield Shape(outline, pale, mix(pale, mood.sky, 0.35), round=0.25, depth=0.95)


def _hills(rng, w, h, horizon, mood) -> Iterator[Shape]:
    count = rng.integers(1, 4)
    peaks = rng.choice([1.0, 1.6, 3.0])
    for k in range(count):
        level = horizon - h * 0.13 * (count - k - 0.6) / count
        outline = ridge(rng, w, h, level, h * rng.uniform(0.04, 0.1), peaks)
        colour = mix(mood.far, mix(mood.leaf, mood.near, 0.5), k / max(count, 2))
        lit = mix(colour, mood.glow, 0.25)
        yield Shape(outline, lit, colour, angle=rng.uniform(-0.5, 0.5), depth=0.9 - 0.15 * k)


def _water(rng, w, h, horizon, sun: float, mood) -> Iterator[Shape]:
    deep = mix(mood.water, mood.dark, 0.3)
    yield Shape(box(0, horizon, w, h), mix(mood.water, mood.glow, 0.5), deep, depth=0.5)
    for k in range(7):  # the sun's path
        y = horizon + (h - horizon) * (k + 0.5) / 7
        half, x = (0.02 + 0.012 * k) * rng.uniform(0.5, 1.5), sun + rng.normal(0, 0.01 + 0.01 * k)
        yield Shape(oval(x, y, half, 0.003 + 0.0012 * k), mix(mood.sun, mood.water, 0.2), depth=0.5)


def _boats(rng, w, h, horizon, mood) -> Iterator[Shape]:
    for k in range(rng.integers(1, 4)):
        y = horizon + (h - horizon) * (0.1 + 0.25 * k + rng.uniform(0, 0.1))
        size, x = 0.05 + 0.05 * k, w * rng.uniform(0.1, 0.9)
        sail = np.array([(0, -0.3), (0, -2.6), (1.1, -0.3)]) * size + (x, y)
        yield Shape(sail, near(rng, mood.pale), mood.glow, axis=0, angle=1.3, depth=0.4)
        jib = np.array([(0, -0.3), (0, -2.2), (-0.6, -0.3)]) * size + (x, y)
        yield Shape(jib, mood.warm, angle=1.8, depth=0.4)
        hull = np.array([(-1.0, -0.2), (1.2, -0.2), (0.8, 0.2), (-0.7, 0.2)]) * size + (x, y)
        yield Shape(hull, mood.dark, mood.warm, depth=0.4)


def _field(rng, w, h, horizon, mood) -> Iterator[Shape]:
    yield Shape(box(0, horizon, w, h), mix(mood.near, mood.glow, 0.3), mood.near, depth=0.5)
    for k in range(rng.integers(2, 5)):
        level = horizon + (h - horizon) * (k + rng.uniform(0.2, 0.8)) / 4
        colour = near(rng, mix(mood.near, (mood.leaf, mood.warm, mood.sun)[k % 3], 0.45))
        outline = ridge(rng, w, h + 0.02, level, 0.02, 1)
        yield Shape(outline, colour, angle=rng.uniform(-0.6, 0.6), depth=0.45)
    if rng.random() < 0.6:
        foot, goal, bend = w * rng.uniform(0.2, 0.8), w * rng.uniform(0.2, 0.8), rng.normal(0, 0.1)
        t = np.linspace(0, 1, 14)[:, None]
        line = np.hstack([foot + (goal - foot) * t + bend * np.sin(3 * t), h + (horizon - h) * t])
        half = (0.09 * (1 - t) ** 1.5 + 0.004) * (1, 0)
        outline = np.concatenate([line - half, (line + half)[::-1]])
        yield Shape(outline, mix(mood.pale, mood.near, 0.3), angle=1.4, depth=0.4)


def _houses(rng, w, h, horizon, mood) -> Iterator[Shape]:
    for _ in range(rng.integers(0, 4)):
        size, x = rng.uniform(0.05, 0.1), w * rng.uniform(0.1, 0.9)
        y = horizon + (h - horizon) * rng.uniform(0.02, 0.3)
        wall, top = near(rng, mood.pale), y - size
        side = box(x + size * 0.7, top, x + size * 1.6, y)
        yield Shape(box(x - size * 0.7, top, x + size * 0.7, y), wall, angle=1.57, depth=0.35)
        yield Shape(side, mix(wall, mood.dark, 0.35), angle=1.57, depth=0.35)
        roof = np.array([(-0.8, 0), (0, -0.9), (1, -0.9), (1.7, 0)]) * size + (x, top)
        yield Shape(roof, near(rng, mood.warm), angle=0.8, depth=0.35)
        door = box(x - size * 0.15, y - size * 0.5, x + size * 0.15, y)
        yield Shape(door, mood.dark, angle=1.57, depth=0.35)


def _trees(rng, w, h, farthest, mood, least: float) -> Iterator[Shape]:
    """Crowns of a radius from `least` on, the larger the lower below the farthest they stand."""
    slender = rng.random() < 0.35
    for k in range(rng.integers(1, 6 if least < 0.1 else 4)):
        near_by = rng.uniform(0.05, 0.95) ** 1.5
        x, y = w * rng.uniform(0.02, 0.98), mix(farthest, h, near_by)
        size = mix(least, 0.2, near_by)
        trunk = bent([(x, y), (x + rng.normal(0, 0.1) * size, y - 1.6 * size)], 0.2 * size)
        yield Shape(trunk, mix(mood.dark, mood.warm, 0.3), angle=1.57, depth=0.3)
        leaf = near(rng, mix(mood.leaf, (mood.leaf, mood.warm, mood.near)[k % 3], 0.3), 0.08)
        across, down = (0.28, 1.3) if slender else (0.8, 0.65)
        for shift in (0.0,) if slender else (-0.5, 0.5, 0.0):
            middle = y - (1.6 + 0.3 * (shift == 0)) * size
            crown = blob(rng, x + shift * size, middle, across * size, down * size)
            brush = {"round": 0.5, "angle": 0.9, "swirl": not slender, "depth": 0.25}
            yield Shape(crown, leaf, mix(leaf, mood.dark, 0.45), **brush)
