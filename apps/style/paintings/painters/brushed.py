"""Styles of the brush: paint is put on in dabs, strokes or drips.

Every painter takes the scene, the artist's hand and a generator, and returns the canvas (H, W, 3).
"""

from __future__ import annotations

import numpy as np

from apps.style.paintings.colour import nearest, rgb, rotate_hue, saturate
from apps.style.paintings.hands import Hand
from apps.style.paintings.painters.ground import (
    blur,
    look,
    noise,
    outlines,
    over,
    places,
    put,
    region_means,
    sheet,
)
from apps.style.paintings.scenes.scene import Scene


def pointillism(scene: Scene, hand: Hand, rng) -> np.ndarray:
    """Round dots of pure colour side by side; some are the complement, more so in the shade."""
    unit, seen = scene.pixels / 100, hand.sees(scene.colour)
    half = np.full(scene.light.shape, 0.5, np.float32)
    canvas = over(sheet(scene, rgb("efe6d2")[0]), blur(seen, unit), half)
    for radius in (1.15, 0.85):
        points = places(rng, scene, 1.35 * radius * unit * hand.scale)
        pure = saturate(look(seen, points), 1.7) * 1.05
        turn = rng.choice([0, 0, 25, -25, 180], len(points))
        lit = rng.random(len(points)) < look(scene.light, points) - 0.6
        turn = np.where((turn == 180) & lit, 0, turn)  # complements are for the shade
        for degrees in (25, -25, 180):
            pure[turn == degrees] = rotate_hue(pure[turn == degrees], degrees)
        pure = np.clip(pure + rng.normal(0, 0.05, (len(points), 1)), 0, 1)
        size = radius * unit * hand.scale * rng.uniform(0.8, 1.1, len(points))
        put(canvas, points, pure, size, size)
    return canvas


def impressionism(scene: Scene, hand: Hand, rng) -> np.ndarray:
    """Short strokes along the things, in broken colour, light and without black."""
    unit = scene.pixels / 100
    seen = hand.sees(scene.colour) * 0.82 + 0.15
    seen = saturate(over(seen, rgb("6f6fb4")[0], np.clip(0.8 - scene.light, 0, 0.5)), 1.2)
    canvas = blur(seen, unit)
    for length, width, step in ((4.2, 1.5, 2.4), (2.6, 0.75, 1.5)):
        points = places(rng, scene, step * unit * hand.scale)
        angle = look(scene.angle, points) + hand.angle + rng.normal(0, hand.spread, len(points))
        colour = look(seen, points) + rng.normal(0, 0.045, (len(points), 3))
        colour += rng.normal(0, 0.05, (len(points), 1))
        size = unit * hand.scale * rng.uniform(0.7, 1.2, len(points))
        size = size * (1.2 - 0.4 * look(scene.depth, points))
        brush = {"opacity": 0.95, "bristles": 0.5, "relief": 0.35}
        put(canvas, points, np.clip(colour, 0, 1), length * size, width * size, angle, **brush)
    return canvas


FAUVES = (
    "e4352b f58a1f f9d62e 2ea55a 1f6fc4 7a3fa0 f2a7b8 1fa7a0",
    "d81e4a ff7a2f ffe14d 43b047 2450b8 a03a8c f7c9a0 0f8f8f",
    "f0412c e8a200 fff07a 159a6c 0f7fd4 5b3fa8 ff9fb0 86c440",
)


def fauvism(scene: Scene, hand: Hand, rng) -> np.ndarray:
    """Broad strokes of colours that no thing has, straight from the tube; bare canvas between."""
    unit, paints = scene.pixels / 100, rgb(hand.picks(FAUVES))
    means = hand.sees(region_means(scene, scene.colour))
    gaps = np.array([((means - p) ** 2).sum(1) for p in saturate(paints, 0.8)])
    chosen = np.argmin(gaps * rng.uniform(0.45, 1, gaps.shape), axis=0)  # near, but not always
    tones = np.stack([paints[(chosen + 3) % 8], paints[chosen], paints[chosen] * 0.6 + 0.4])
    canvas = sheet(scene, rgb("f3e9d2")[0])
    put_on = places(rng, scene, 4.3 * unit * hand.scale)
    tone = np.digitize(look(scene.light, put_on), (0.85, 1.1))
    colour = tones[tone, look(scene.labels, put_on)]
    colour = colour + rng.normal(0, 0.04, (len(put_on), 3))
    angle = look(scene.angle, put_on) + hand.angle + rng.normal(0, hand.spread, len(put_on))
    size = unit * hand.scale * rng.uniform(0.8, 1.15, len(put_on))
    put(canvas, put_on, np.clip(colour, 0, 1), 5.2 * size, 2.5 * size, angle, 1.0, 0.25, 0.25)
    return _contour_strokes(canvas, scene, hand, rng)


def _contour_strokes(canvas, scene, hand, rng) -> np.ndarray:
    """Some of the outlines again, in a broken dark blue or red line."""
    ink = rgb(hand.picks(["20306e", "7a1430", "103f3f"]))[0]
    broken = noise(rng, scene.labels.shape, 14) > 0.5
    return over(canvas, ink, outlines(scene.labels, scene.pixels * 0.012) * broken * 0.9)


GROUNDS = "e8dcc0 f2efe6 2a2a2c d8c8a8 c9b48c"


def action_painting(scene: Scene, hand: Hand, rng) -> np.ndarray:
    """Paint thrown and dripped on a canvas on the floor, in skeins and spatters."""
    unit, seen = scene.pixels / 100, hand.sees(scene.colour)
    canvas = sheet(scene, rgb(hand.picks(GROUNDS.split()))[0])
    canvas += 0.05 * (rng.random(scene.labels.shape, np.float32)[..., None] - 0.5)
    paints = _thrown_paints(seen, rng)
    which = nearest(blur(seen, 3 * unit), paints)
    for k in rng.permutation(len(paints)):
        mass = which == k
        _skeins(canvas, scene, hand, rng, mass, paints[k])
        _spatter(canvas, scene, hand, rng, mass, paints[k])
    return canvas


def _thrown_paints(seen: np.ndarray, rng) -> np.ndarray:
    """Four strong colours of the scene, black and white enamel."""
    spots = seen.reshape(-1, 3)[rng.integers(seen.shape[0] * seen.shape[1], size=4)]
    return np.concatenate([saturate(spots, 1.6), rgb("141414 f6f2ea")])


def _skeins(canvas, scene, hand, rng, mass, paint) -> None:
    """Curves of a swinging arm; thick where it is slow, and denser where the colour belongs."""
    unit, steps, count = scene.pixels / 100, 90, 11
    height, width = scene.labels.shape
    turn = np.cumsum(rng.normal(0, 0.22, (count, steps)) + rng.normal(0, 0.1, (count, 1)), axis=1)
    turn += rng.uniform(0, 2 * np.pi, (count, 1)) + hand.angle
    swing = np.sin(np.linspace(0, 9, steps) + rng.uniform(0, 6, (count, 1)))
    pace = unit * 1.1 * np.exp(0.6 * swing)  # (count, steps) pixels between two drops
    start = rng.random((count, 1, 2)) * (width, height)
    line = start + np.cumsum(np.stack([np.cos(turn), np.sin(turn)], 2) * pace[..., None], axis=1)
    points, turn, pace = line.reshape(-1, 2), turn.ravel(), pace.ravel()
    inside = ((points >= 0) & (points < (width, height))).all(1)
    points, turn, pace = points[inside], turn[inside], pace[inside]
    belongs = np.where(look(mass, points), 1.0, 0.32)
    thick = np.clip(hand.scale * belongs * 1.5 * unit**2 / pace, 0.16 * unit, 2.8 * unit)
    put(canvas, points, paint, pace * 0.8 + thick, thick, turn, 1.0, 0.0, 0.0)


def _spatter(canvas, scene, hand, rng, mass, paint) -> None:
    unit = scene.pixels / 100
    rows, columns = np.nonzero(mass)
    if rows.size == 0:
        return
    pick = rng.integers(rows.size, size=140)
    points = np.stack([columns[pick], rows[pick]], 1) + rng.normal(0, 3 * unit, (140, 2))
    size = unit * hand.scale * np.clip(rng.pareto(2.2, 140) * 0.35 + 0.15, 0, 2.6)
    put(canvas, points, paint, size * rng.uniform(1, 1.5, 140), size, rng.uniform(0, 3, 140))
