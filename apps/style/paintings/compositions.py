"""What is in a picture: landscapes, still lifes, busts and abstract compositions of shapes.

Each function takes a generator of random numbers, the width and height of the picture (the longer
is 1) and a mood, and yields shapes from the farthest to the nearest.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from apps.style.paintings.moods import Mood, mix, near
from apps.style.paintings.shapes import Shape, bent, blob, box, oval, profile, ridge

BOTTLES = (
    (0.05, 0.055, 0.055, 0.055, 0.055, 0.05, 0.03, 0.018, 0.017, 0.02),
    (0.04, 0.07, 0.085, 0.08, 0.06, 0.035, 0.02, 0.018, 0.025),
    (0.05, 0.06, 0.065, 0.06, 0.045, 0.035, 0.045, 0.055),
)  # half widths: a bottle, a carafe, a jug


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
        sail = np.array(
            [(x, y - 0.3 * size), (x, y - 2.6 * size), (x + 1.1 * size, y - 0.3 * size)]
        )
        yield Shape(sail, near(rng, mood.pale), mood.glow, axis=0, angle=1.3, depth=0.4)
        jib = np.array([(x, y - 0.3 * size), (x, y - 2.2 * size), (x - 0.6 * size, y - 0.3 * size)])
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
            crown = blob(rng, x + shift * size, y - (1.6 + 0.3 * (shift == 0)) * size,
                         across * size, down * size)  # fmt: skip
            yield Shape(crown, leaf, mix(leaf, mood.dark, 0.45), round=0.5, angle=0.9,
                        swirl=not slender, depth=0.25)  # fmt: skip


def still_life(rng, w: float, h: float, mood: Mood) -> Iterator[Shape]:
    """A table with a cloth before a wall; bottles, a bowl and fruit on it."""
    edge = h * rng.uniform(0.5, 0.64)
    yield Shape(box(0, 0, w, h), mood.sky, mood.glow, axis=rng.uniform(0, 3), angle=1.1, depth=1)
    if rng.random() < 0.6:
        left, top = w * rng.uniform(0, 0.5), h * rng.uniform(0, 0.12)
        frame = box(left, top, left + 0.42 * w, edge - 0.1)
        yield Shape(frame, mix(mood.dark, mood.warm, 0.4), depth=0.9)
        yield Shape(
            (frame - frame.mean(0)) * 0.84 + frame.mean(0), mood.water, mood.pale, depth=0.9
        )
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
            yield Shape(
                oval(x + shift, y - 0.13, 0.055), near(rng, mood.sun), round=0.6, swirl=True
            )
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


def bust(rng, w: float, h: float, mood: Mood) -> Iterator[Shape]:
    """Head and shoulders before a wall, or before a landscape in a window."""
    yield Shape(box(0, 0, w, h), mood.sky, mood.glow, axis=rng.uniform(0, 3), angle=0.7, depth=1)
    if rng.random() < 0.5:
        view = box(w * 0.06, h * 0.08, w * 0.94, h * 0.55)
        yield Shape(view, mood.glow, mood.far, depth=0.95)
        yield Shape(ridge(rng, w, h * 0.7, h * 0.42, 0.05), mood.leaf, mood.near, depth=0.9)
        yield Shape(box(-0.02, h * 0.55, w + 0.02, h), mix(mood.near, mood.dark, 0.3), depth=0.8)
    x, y, size = w * rng.uniform(0.42, 0.58), h * rng.uniform(0.36, 0.44), h * 0.16
    skin = near(rng, np.array(((0.93, 0.74, 0.6), (0.75, 0.52, 0.38), (0.5, 0.33, 0.25))[
        rng.integers(3)]), 0.03)  # fmt: skip
    hair = near(rng, mix(mood.dark, (mood.warm, mood.sun, mood.dark)[rng.integers(3)], 0.4))
    if long := rng.random() < 0.6:
        yield Shape(blob(rng, x, y + 0.3 * size, 1.25 * size, 1.7 * size, 0.08), hair,
                    round=0.4, angle=1.5)  # fmt: skip
    yield from _body(rng, x, y, size, h, skin, mood)
    yield Shape(oval(x, y, 0.8 * size, 1.08 * size), skin, round=0.45, angle=1.3, swirl=True)
    yield from _face(rng, x, y, size, skin, mood)
    yield from _crown(rng, x, y, size, hair, mood, hat=not long or rng.random() < 0.4)


def _body(rng, x, y, size, h, skin, mood) -> Iterator[Shape]:
    coat = near(rng, (mood.water, mood.warm, mood.dark, mood.leaf)[rng.integers(4)])
    widths = np.array((2.4, 2.35, 2.2, 2.0, 1.6, 0.9, 0.5)) * size
    top = y + 1.25 * size
    yield Shape(profile(x, h + 0.05, h + 0.05 - top, widths), mix(coat, mood.pale, 0.15),
                mix(coat, mood.dark, 0.4), axis=0.3, round=0.35, angle=1.2)  # fmt: skip
    yield Shape(box(x - 0.34 * size, y + 0.6 * size, x + 0.34 * size, y + 1.6 * size),
                mix(skin, mood.dark, 0.2), angle=1.57)  # fmt: skip
    collar = np.array([(-0.9, 1.35), (0, 2.3), (0.9, 1.35), (0.4, 1.25), (0, 1.6), (-0.4, 1.25)])
    yield Shape(collar * size + (x, y), mood.pale, angle=0.8)


def _face(rng, x, y, size, skin, mood) -> Iterator[Shape]:
    turn = rng.uniform(-0.14, 0.14) * size
    dark = mix(skin, mood.dark, 0.75)
    for side in (-1, 1):
        at = x + turn + side * 0.33 * size
        yield Shape(oval(at, y - 0.1 * size, 0.16 * size, 0.09 * size), mood.pale)
        yield Shape(oval(at, y - 0.1 * size, 0.085 * size), mood.dark)
        brow = [(at - 0.2 * size, y - 0.27 * size), (at, y - 0.33 * size),
                (at + 0.2 * size, y - 0.27 * size)]  # fmt: skip
        yield Shape(bent(brow, 0.07 * size), dark)
        yield Shape(oval(x + turn + side * 0.42 * size, y + 0.3 * size, 0.17 * size, 0.12 * size),
                    mix(skin, mood.warm, 0.35), swirl=True)  # fmt: skip
    nose = np.array([(0, -0.15), (0.17, 0.32), (-0.05, 0.34)]) * size + (x + turn, y)
    yield Shape(nose, mix(skin, mood.dark, 0.3), angle=1.57)
    smile = rng.uniform(-0.04, 0.1) * size
    mouth = [(x + turn + k * 0.26 * size, y + 0.58 * size - smile * k * k) for k in (-1, 0, 1)]
    yield Shape(bent(mouth, 0.12 * size), mix(mood.warm, skin, 0.25))


def _crown(rng, x, y, size, hair, mood, hat: bool) -> Iterator[Shape]:
    arch = np.linspace(np.pi, 2 * np.pi, 12)
    line = np.stack(
        [x + 0.82 * size * np.cos(arch), y - 0.2 * size + 0.85 * size * np.sin(arch)], 1
    )
    yield Shape(bent(line, 0.36 * size), hair, swirl=True)
    if hat:
        colour = near(rng, (mood.warm, mood.water, mood.dark, mood.sun)[rng.integers(4)])
        tall = rng.uniform(0.7, 1.1) * size
        top = profile(x, y - 0.62 * size, tall, np.array((0.85, 0.83, 0.8, 0.7)) * size)
        yield Shape(top, colour, mix(colour, mood.dark, 0.4), axis=0, round=0.3, angle=1.57)
        yield Shape(oval(x, y - 0.62 * size, 1.35 * size, 0.2 * size), mix(colour, mood.dark, 0.2))


def abstract(rng, w: float, h: float, mood: Mood) -> Iterator[Shape]:
    """Discs, rings, wedges and bars that lie over each other."""
    colours = [mood.sky, mood.sun, mood.warm, mood.water, mood.leaf, mood.dark, mood.pale]
    yield Shape(box(0, 0, w, h), mix(mood.pale, mood.glow, 0.4), mood.glow, angle=0.6, depth=1)
    for k in range(rng.integers(9, 16)):
        at = np.array([w * rng.uniform(0.08, 0.92), h * rng.uniform(0.08, 0.92)])
        size = rng.uniform(0.22, 0.34) if k < 3 else rng.uniform(0.05, 0.16)
        colour, end = (near(rng, colours[i]) for i in rng.choice(len(colours), 2, replace=False))
        outline = _figure(rng, k, size)
        yield Shape(outline + at, colour, mix(colour, end, rng.choice([0, 0.5])),
                    axis=rng.uniform(0, 6), round=rng.choice([0, 0.4]), angle=rng.uniform(0, 3),
                    swirl=bool(k % 2), depth=0.9 - 0.05 * k)  # fmt: skip
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
