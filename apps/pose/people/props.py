"""Things: trees, furniture, and what may stand between the camera and a person.

Every function paints one thing that stands at pixel (x, y) and is `size` pixels high; with an owner
it also claims its pixels, which hides the people behind it.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from apps.pose.people.canvas import OBJECT, Canvas, Colour, darker, lighter
from apps.pose.people.outfit import BOTTOM, CLOTH

Rng = np.random.Generator
WOOD = ((134, 92, 60), (166, 120, 78), (98, 70, 52), (196, 156, 108))
LEAVES = ((84, 142, 78), (110, 164, 84), (62, 118, 84), (158, 170, 76), (206, 140, 70))


def bright(rng: Rng) -> Colour:
    """A colour of cloth, drawn."""
    return CLOTH[rng.integers(len(CLOTH))]


def wood(rng: Rng) -> Colour:
    """A colour of wood, drawn."""
    return WOOD[rng.integers(len(WOOD))]


def leaf(rng: Rng) -> Colour:
    """A colour of leaves, drawn."""
    return LEAVES[rng.integers(len(LEAVES))]


def tree(canvas: Canvas, rng: Rng, x, y, size, owner=None) -> None:
    """Draw a tree that stands at (x, y)."""
    colour, wide = leaf(rng), 0.3 * size
    canvas.box(x - 0.05 * size, y - 0.5 * size, x + 0.05 * size, y, wood(rng), owner)
    if rng.random() < 0.3:  # a fir
        for low, half in ((0.2, 0.26), (0.45, 0.2), (0.68, 0.13)):
            foot = y - low * size
            corners = [(x - half * size, foot), (x + half * size, foot), (x, foot - 0.4 * size)]
            canvas.fill(np.array(corners), darker(colour, 0.3 - 0.3 * low), owner)
        return
    for dx, dy, part in ((-0.5, 0.5, 0.6), (0.5, 0.52, 0.6), (0, 0.7, 0.85), (-0.2, 0.78, 0.4)):
        shade = lighter(colour, 0.12) if part < 0.5 else colour
        canvas.oval(x + dx * wide, y - dy * size, part * wide, part * wide, shade, owner)


def bush(canvas: Canvas, rng: Rng, x, y, size, owner=None) -> None:
    """Draw a bush that stands at (x, y)."""
    colour = leaf(rng)
    for dx, high in ((-0.7, 0.7), (0.7, 0.65), (0.0, 1.0)):
        canvas.oval(
            x + dx * size,
            y - 0.42 * high * size,
            0.62 * size,
            0.55 * high * size,
            darker(colour, 0.2 - 0.2 * high),
            owner,
        )
    for _ in range(5):
        dx, dy = rng.uniform(-0.8, 0.8), rng.uniform(0.2, 0.7)
        canvas.oval(x + dx * size, y - dy * size, 2, 2, lighter(colour, 0.25))


def crate(canvas: Canvas, rng: Rng, x, y, size, owner=None) -> None:
    """Draw a crate that stands at (x, y)."""
    colour, half = wood(rng) if rng.random() < 0.6 else bright(rng), rng.uniform(0.5, 0.9) * size
    canvas.box(x - half, y - size, x + half, y, colour, owner)
    canvas.box(x - half, y - size, x + half, y - 0.86 * size, lighter(colour, 0.25))
    for dy in (0.6, 0.3):
        canvas.box(x - half, y - dy * size, x + half, y - dy * size + 1.5, darker(colour, 0.3))


def bench(canvas: Canvas, rng: Rng, x, y, size, owner=None) -> None:
    """Draw a bench that stands at (x, y)."""
    colour, half = wood(rng), 1.5 * size
    for dx in (-0.85, 0.85):
        canvas.box(x + dx * half - 2, y - size, x + dx * half + 2, y, (74, 74, 84), owner)
    for dy in (1.0, 0.74, 0.48):
        top = y - dy * size
        canvas.box(x - half, top, x + half, top + 0.17 * size, colour, owner)


def table(canvas: Canvas, rng: Rng, x, y, size, owner=None) -> None:
    """Draw a table that stands at (x, y)."""
    colour, half = wood(rng), 1.2 * size
    for dx in (-0.85, 0.85):
        canvas.box(
            x + dx * half - 2.5, y - size, x + dx * half + 2.5, y, darker(colour, 0.3), owner
        )
    canvas.box(x - half, y - size, x + half, y - 0.86 * size, colour, owner)
    cup = bright(rng)
    canvas.box(x + 0.2 * half, y - 1.2 * size, x + 0.2 * half + 0.14 * size, y - size, cup, owner)


def sign(canvas: Canvas, rng: Rng, x, y, size, owner=None) -> None:
    """Draw a sign on a post that stands at (x, y)."""
    size, colour = 1.6 * size, bright(rng)
    canvas.box(x - 1.5, y - size, x + 1.5, y, (122, 126, 134), owner)
    canvas.box(x - 0.2 * size, y - size, x + 0.2 * size, y - 0.72 * size, colour, owner)
    canvas.box(x - 0.13 * size, y - 0.88 * size, x + 0.13 * size, y - 0.84 * size, (250, 250, 246))


def ball(canvas: Canvas, rng: Rng, x, y, size, owner=None) -> None:
    """Draw a ball that lies at (x, y)."""
    radius, colour = 0.35 * size, bright(rng)
    canvas.oval(x, y - radius, radius, radius, colour, owner)
    canvas.oval(
        x - 0.25 * radius, y - 1.25 * radius, 0.5 * radius, 0.45 * radius, lighter(colour, 0.35)
    )


def plant(canvas: Canvas, rng: Rng, x, y, size, owner=None) -> None:
    """Draw a plant in its pot at (x, y)."""
    size, colour = 0.6 * size, leaf(rng)
    for angle in np.linspace(-1.0, 1.0, 7):
        tip = np.array(
            [x + 0.42 * size * np.sin(angle), y - 0.3 * size - 0.7 * size * np.cos(angle)]
        )
        foot = np.array([[x - 2, y - 0.3 * size], [x + 2, y - 0.3 * size]])
        side = np.array([0.08 * size, 0.0])
        middle = 0.45 * foot.mean(axis=0) + 0.55 * tip
        leafs = np.concatenate([foot[:1], [middle - side, tip, middle + side], foot[1:]])
        canvas.fill(leafs, darker(colour, 0.2 * abs(angle)), owner)
    pot = [
        (x - 0.16 * size, y - 0.32 * size),
        (x + 0.16 * size, y - 0.32 * size),
        (x + 0.11 * size, y),
        (x - 0.11 * size, y),
    ]
    canvas.fill(np.array(pot), bright(rng), owner)


def lamp(canvas: Canvas, rng: Rng, x, y, size, owner=None) -> None:
    """Draw a street lamp that stands at (x, y)."""
    canvas.box(x - 1.5, y - size, x + 1.5, y, (70, 74, 86), owner)
    canvas.oval(x, y - size, 5, 5, (254, 236, 170), owner)


def floor_lamp(canvas: Canvas, rng: Rng, x, y, size, owner=None) -> None:
    """Draw a floor lamp that stands at (x, y)."""
    top, shade = y - 0.85 * size, bright(rng)
    canvas.box(x - 1, top, x + 1, y, (90, 84, 84), owner)
    corners = [(x - 7, top), (x + 7, top), (x + 12, top + 18), (x - 12, top + 18)]
    canvas.fill(np.array(corners), lighter(shade, 0.4), owner)


def parasol(canvas: Canvas, rng: Rng, x, y, size, owner=None) -> None:
    """Draw a parasol that stands at (x, y)."""
    canvas.box(x - 1.2, y - size, x + 1.2, y, (236, 230, 220), owner)
    colours, angles = (bright(rng), (250, 246, 236)), np.linspace(np.pi, 2 * np.pi, 6)
    for index, (first, last) in enumerate(pairwise(angles)):
        arc = np.linspace(first, last, 5)
        rim = np.stack(
            [x + 0.6 * size * np.cos(arc), y - 0.75 * size + 0.3 * size * np.sin(arc)], 1
        )
        tip = np.array([[x, y - 1.05 * size]])
        canvas.fill(np.concatenate([rim, tip]), colours[index % 2], owner)


def window(canvas: Canvas, rng: Rng, x, y, size, owner=None) -> None:
    """Draw a window in the wall above (x, y)."""
    wide, top, bottom = rng.uniform(20, 36), y - size, y - 0.4 * size
    canvas.box(x - wide, top, x + wide, bottom, (250, 248, 242), owner)
    for dx in (-1, 1):
        left, right = sorted((x + dx * 2, x + dx * (wide - 3)))
        canvas.box(left, top + 3, right, bottom - 3, (176, 214, 236))
        canvas.box(left, bottom - 0.25 * (bottom - top), right, bottom - 3, (150, 190, 130))


def picture(canvas: Canvas, rng: Rng, x, y, size, owner=None) -> None:
    """Draw a picture on the wall above (x, y)."""
    half, middle = rng.uniform(9, 22), y - 0.72 * size
    high = half * rng.uniform(0.7, 1.2)
    canvas.box(x - half, middle - high, x + half, middle + high, wood(rng), owner)
    canvas.box(
        x - half + 2.5, middle - high + 2.5, x + half - 2.5, middle + high - 2.5, bright(rng)
    )
    canvas.oval(x, middle, 0.4 * half, 0.4 * high, bright(rng))


def shelf(canvas: Canvas, rng: Rng, x, y, size, owner=None) -> None:
    """Draw a shelf at (x, y)."""
    wide, colour = rng.uniform(18, 34), wood(rng)
    canvas.box(x - wide, y - 0.9 * size, x + wide, y, colour, owner)
    for low in (0.05, 0.33, 0.61):
        floor, ceiling = y - low * size, y - (low + 0.24) * size
        canvas.box(x - wide + 3, ceiling, x + wide - 3, floor, darker(colour, 0.4))
        for left in np.arange(x - wide + 4, x + wide - 8, 5):
            canvas.box(left, floor - rng.uniform(0.1, 0.2) * size, left + 4, floor, bright(rng))


def sofa(canvas: Canvas, rng: Rng, x, y, size, owner=None) -> None:
    """Draw a sofa that stands at (x, y)."""
    size, colour = 0.5 * size, BOTTOM[rng.integers(len(BOTTOM))]
    wide = 0.95 * size
    canvas.box(x - wide, y - 0.8 * size, x + wide, y - 0.2 * size, lighter(colour, 0.15), owner)
    canvas.box(x - wide, y - 0.42 * size, x + wide, y, colour, owner)
    for dx in (-1, 1):
        left, right = sorted((x + dx * wide, x + dx * (wide + 0.2 * size)))
        canvas.box(left, y - 0.6 * size, right, y, darker(colour, 0.2), owner)


def paint_occluder(canvas: Canvas, rng: Rng, x: float, y: float, size: float) -> None:
    """Something that stands in front of everything painted so far."""
    things = (bush, crate, bench, table, sign, ball, plant)
    things[rng.integers(len(things))](canvas, rng, x, y, size, owner=OBJECT)
