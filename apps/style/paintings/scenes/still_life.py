"""Still lifes: a table with a cloth, bottles, a bowl and fruit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from apps.style.paintings.scenes.moods import Mood, mix, near
from apps.style.paintings.scenes.shapes import Shape, bent, box, oval, profile

BOTTLES = (
    (0.05, 0.055, 0.055, 0.055, 0.055, 0.05, 0.03, 0.018, 0.017, 0.02),
    (0.04, 0.07, 0.085, 0.08, 0.06, 0.035, 0.02, 0.018, 0.025),
    (0.05, 0.06, 0.065, 0.06, 0.045, 0.035, 0.045, 0.055),
)  # half widths: a bottle, a carafe, a jug


def still_life(rng, w: float, h: float, mood: Mood) -> Iterator[Shape]:
    """A table with a cloth before a wall; bottles, a bowl and fruit on it."""
    edge = h * rng.uniform(0.5, 0.64)
    yield Shape(box(0, 0, w, h), mood.sky, mood.glow, axis=rng.uniform(0, 3), angle=1.1, depth=1)
    if rng.random() < 0.6:
        left, top = w * rng.uniform(0, 0.5), h * rng.uniform(0, 0.12)
        frame = box(left, top, left + 0.42 * w, edge - 0.1)
        yield Shape(frame, mix(mood.dark, mood.warm, 0.4), depth=0.9)
        inside = (frame - frame.mean(0)) * 0.84 + frame.mean(0)
        yield Shape(inside, mood.water, mood.pale, depth=0.9)
    table = np.array([(-0.02, edge + 0.02), (w + 0.02, edge), (w + 0.02, h), (-0.02, h)])
    yield Shape(table, mix(mood.near, mood.pale, 0.2), mood.near, angle=0.05, depth=0.5)
    x = w * rng.uniform(0.2, 0.6)
    folds = (0, 0.03), (0.4, 0.02), (0.5, 0.2), (0.42, 0.36), (0.2, 0.27), (0.1, 0.4), (-0.1, 0.3)
    cloth = np.array(folds) + np.array((x - 0.15, edge))
    yield Shape(cloth, mood.pale, mood.water, axis=0.9, angle=1.0)
    yield from _bottles(rng, w, h, edge, mood)
    yield from _fruit(rng, w, h, edge, mood)


def _shadow(x, y, size, mood) -> Shape:
    return Shape(oval(x + 0.5 * size, y, 1.2 * size, 0.3 * size), mix(mood.near, mood.dark, 0.6))


def _bottles(rng, w, h, edge, mood) -> Iterator[Shape]:
    for x in rng.permutation([0.2, 0.5, 0.8])[: rng.integers(1, 4)]:
        form = np.array(BOTTLES[rng.integers(len(BOTTLES))]) * rng.uniform(0.9, 1.4)
        x, bottom = w * x + rng.normal(0, 0.03), edge + h * rng.uniform(0.04, 0.14)
        height = h * rng.uniform(0.3, 0.5)
        glass = near(rng, (mood.leaf, mood.water, mood.warm, mood.dark)[rng.integers(4)])
        yield _shadow(x, bottom, form.max(), mood)
        body, lit = profile(x, bottom, height, form), mix(glass, mood.pale, 0.3)
        shaded = mix(glass, mood.dark, 0.5)
        yield Shape(body, lit, shaded, axis=0, round=0.3, angle=1.57)
        shine = box(x - form[2] * 0.6, bottom - height * 0.5, x - form[2] * 0.35, bottom - 0.06)
        yield Shape(shine, mix(glass, mood.pale, 0.8), angle=1.57, depth=0.3)


def _fruit(rng, w, h, edge, mood) -> Iterator[Shape]:
    if rng.random() < 0.5:
        x, y = w * rng.uniform(0.35, 0.65), edge + h * 0.2
        for shift in (-0.09, 0.09, 0.0):
            fruit = oval(x + shift, y - 0.13, 0.055)
            yield Shape(fruit, near(rng, mood.sun), round=0.6, swirl=True)
        bowl = profile(x, y, 0.13, (0.06, 0.11, 0.14, 0.155, 0.16))
        yield Shape(bowl, mood.pale, mood.water, axis=0, round=0.25, depth=0.2)
    for k in range(rng.integers(3, 8)):
        size = rng.uniform(0.035, 0.065)
        x, y = w * rng.uniform(0.08, 0.92), edge + h * (0.12 + 0.035 * k)
        colour = near(rng, (mood.warm, mood.sun, mood.leaf, mood.warm)[rng.integers(4)], 0.08)
        yield _shadow(x, y + 0.8 * size, size, mood)
        yield Shape(oval(x, y, size), colour, round=0.7, swirl=True, depth=0.2)
        stalk = bent([(x, y - 0.7 * size), (x + 0.25 * size, y - 1.4 * size)], 0.2 * size)
        yield Shape(stalk, mood.dark, angle=1.57, depth=0.2)
