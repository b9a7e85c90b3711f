"""Where people are: six kinds of places, painted from far to near."""

from __future__ import annotations

import numpy as np

from apps.pose.people import props
from apps.pose.people.canvas import Canvas, Colour, darker, lighter, mix, palette

Rng = np.random.Generator
SKIES = tuple(
    palette(pair)
    for pair in (
        "7abce8 def0f6",
        "fabe96 fee8c8",
        "a0b0d6 ecdee2",
        "6096d2 c4e2f0",
        "c6ced6 e8eae8",
    )
)  # above, at the horizon
WALLS = palette("ecdec8 ceded6 deced8 c6d4e4 f0eae2 e2c4aa a8bab0")
GRASS = palette("8aba62 a8c468 70a260 bebc78")
FLOORS = palette("be9670 ceb08c a07c60 b6b4b2 d6cec2")


def pick(rng: Rng, options: tuple) -> Colour:
    """One of the colours, drawn."""
    return options[rng.integers(len(options))]


def paint_backdrop(canvas: Canvas, rng: Rng) -> float:
    """Paint a place; returns the height (pixel row) of its horizon."""
    places = (park, street, room, beach, court, studio)
    place = places[rng.choice(len(places), p=(0.24, 0.2, 0.22, 0.12, 0.12, 0.1))]
    horizon = canvas.height * rng.uniform(0.42, 0.62)
    place(canvas, rng, horizon)
    return horizon


def _sky(canvas: Canvas, rng: Rng, horizon: float) -> None:
    upper, lower = pick(rng, SKIES)
    canvas.gradient(0, horizon + 1, upper, lower)
    if rng.random() < 0.5:
        x, radius = rng.uniform(0, canvas.width), rng.uniform(7, 16)
        canvas.oval(x, rng.uniform(0.1, 0.5) * horizon, radius, radius, lighter(lower, 0.5))
    for _ in range(rng.integers(0, 4)):
        x, y = rng.uniform(0, canvas.width), rng.uniform(0.05, 0.6) * horizon
        for shift, size in ((-0.8, 0.7), (0, 1.0), (0.9, 0.6)):
            canvas.oval(x + 12 * shift, y - 3 * size, 13 * size, 7 * size, lighter(lower, 0.6))


def _hills(canvas: Canvas, rng: Rng, horizon: float, colour: Colour) -> None:
    for _ in range(rng.integers(1, 4)):
        wide, high = rng.uniform(60, 160), rng.uniform(12, 50)
        shade = mix(darker(colour, rng.uniform(0, 0.25)), (200, 220, 230), 0.25)
        canvas.oval(rng.uniform(0, canvas.width), horizon, wide, high, shade)


def park(canvas: Canvas, rng: Rng, horizon: float) -> None:
    """Grass and sky, with what stands in a park."""
    grass = pick(rng, GRASS)
    _sky(canvas, rng, horizon)
    _hills(canvas, rng, horizon, grass)
    canvas.gradient(horizon, canvas.height, lighter(grass, 0.12), darker(grass, 0.12))
    if rng.random() < 0.5:
        _path(canvas, rng, horizon)
    for _ in range(rng.integers(1, 6)):
        y = horizon + rng.uniform(0, 0.2) * canvas.height
        props.tree(canvas, rng, rng.uniform(0, canvas.width), y, rng.uniform(0.25, 0.7) * y)
    for _ in range(rng.integers(4, 16)):
        x, y = rng.uniform(0, canvas.width), rng.uniform(horizon, canvas.height)
        canvas.oval(x, y, rng.uniform(1, 3), 1, pick(rng, ((250, 240, 180), darker(grass, 0.25))))


def _path(canvas: Canvas, rng: Rng, horizon: float) -> None:
    far, near = rng.uniform(0, canvas.width, 2)
    wide = rng.uniform(30, 90)
    corners = [
        (far - 4, horizon),
        (far + 4, horizon),
        (near + wide, canvas.height),
        (near - wide, canvas.height),
    ]
    canvas.fill(np.array(corners), (216, 198, 166))


def street(canvas: Canvas, rng: Rng, horizon: float) -> None:
    """A pavement before houses."""
    _sky(canvas, rng, horizon)
    x = rng.uniform(-30, 0)
    while x < canvas.width:
        wide = rng.uniform(34, 80)
        _house(canvas, rng, x, x + wide, horizon - rng.uniform(0.35, 0.95) * horizon, horizon)
        x += wide + rng.choice((0, 0, rng.uniform(4, 20)))
    paving, kerb = rng.uniform(150, 205), horizon + rng.uniform(0.15, 0.5) * canvas.height
    canvas.gradient(horizon, kerb, (paving, paving - 4, paving - 12), (paving - 14,) * 3)
    canvas.gradient(kerb, canvas.height, (112, 114, 122), (92, 94, 102))
    canvas.box(0, kerb, canvas.width, kerb + 3, (222, 220, 214))
    for left in np.arange(rng.uniform(-40, 0), canvas.width, 56):
        y = kerb + 0.55 * (canvas.height - kerb)
        canvas.box(left, y, left + 28, y + 3, (232, 226, 196))
    for _ in range(rng.integers(0, 3)):
        props.lamp(canvas, rng, rng.uniform(0, canvas.width), horizon + 6, 0.8 * horizon)


def _house(canvas: Canvas, rng: Rng, left, right, top, bottom) -> None:
    wall = mix(pick(rng, WALLS), pick(rng, ((196, 110, 84), (120, 130, 150), (210, 180, 120))), 0.5)
    glass = pick(rng, ((92, 116, 140), (250, 226, 150), (196, 222, 232)))
    canvas.box(left, top, right, bottom, wall)
    canvas.box(left, top, right, top + 3, darker(wall, 0.25))
    columns, pitch = max(2, int((right - left) // 14)), rng.uniform(15, 24)
    step = (right - left) / columns
    for y in np.arange(top + 8, bottom - 12, pitch):
        for x in left + step * (np.arange(columns) + 0.5):
            canvas.box(x - 3.5, y, x + 3.5, y + 9, glass)


def room(canvas: Canvas, rng: Rng, horizon: float) -> None:
    """A wall and a floor, furnished."""
    wall, floor = pick(rng, WALLS), pick(rng, FLOORS)
    foot = horizon + rng.uniform(0.02, 0.14) * canvas.height
    canvas.gradient(0, foot, lighter(wall, 0.15), wall)
    if rng.random() < 0.4:
        for left in np.arange(0, canvas.width, rng.uniform(14, 34)):
            canvas.box(left, 0, left + 4, foot, lighter(wall, 0.3))
    canvas.gradient(foot, canvas.height, floor, darker(floor, 0.15))
    _boards(canvas, rng, foot, darker(floor, 0.14))
    canvas.box(0, foot - 4, canvas.width, foot, lighter(wall, 0.6))
    furniture = (
        props.window,
        props.picture,
        props.shelf,
        props.sofa,
        props.floor_lamp,
        props.plant,
    )
    for _ in range(rng.integers(2, 6)):
        paint = furniture[rng.integers(len(furniture))]
        paint(canvas, rng, rng.uniform(0, canvas.width), foot + 2, rng.uniform(0.6, 0.95) * foot)
    if rng.random() < 0.5:
        y = rng.uniform(foot + 10, canvas.height)
        rug = props.bright(rng)
        canvas.oval(rng.uniform(0, canvas.width), y, rng.uniform(50, 100), rng.uniform(8, 22), rug)


def _boards(canvas: Canvas, rng: Rng, foot: float, colour: Colour) -> None:
    middle = rng.uniform(0, canvas.width)
    for x in np.linspace(-2.5, 2.5, 16) * canvas.width:
        near, far = middle + x, middle + 0.45 * x
        corners = [
            (far, foot),
            (far + 0.7, foot),
            (near + 1.6, canvas.height),
            (near, canvas.height),
        ]
        canvas.fill(np.array(corners), colour)


def beach(canvas: Canvas, rng: Rng, horizon: float) -> None:
    """Sand, sea and sky."""
    _sky(canvas, rng, horizon)
    sand, sea = (238, 214, 168), pick(rng, ((70, 160, 196), (60, 140, 180), (110, 190, 200)))
    shore = horizon + rng.uniform(0.1, 0.25) * canvas.height
    canvas.gradient(horizon, shore, darker(sea, 0.12), lighter(sea, 0.25))
    canvas.gradient(shore, canvas.height, lighter(sand, 0.2), darker(sand, 0.08))
    for _ in range(10):
        x, y = rng.uniform(0, canvas.width), rng.uniform(horizon, shore)
        canvas.box(x, y, x + rng.uniform(8, 30), y + 1, lighter(sea, 0.5))
    for _ in range(rng.integers(0, 3)):
        y = rng.uniform(shore, shore + 30)
        props.parasol(canvas, rng, rng.uniform(0, canvas.width), y, rng.uniform(40, 90))


def court(canvas: Canvas, rng: Rng, horizon: float) -> None:
    """A sports hall."""
    wall = pick(rng, WALLS)
    floor = pick(rng, ((196, 120, 84), (92, 140, 170), (206, 160, 104), (110, 160, 120)))
    canvas.gradient(0, horizon, darker(wall, 0.3), darker(wall, 0.08))
    for left in np.arange(rng.uniform(-40, 0), canvas.width, 64):
        canvas.box(left, 0.62 * horizon, left + 60, 0.92 * horizon, props.bright(rng))
    canvas.gradient(horizon, canvas.height, lighter(floor, 0.1), darker(floor, 0.1))
    for y in horizon + np.array([0.12, 0.6]) * (canvas.height - horizon):
        canvas.box(0, y, canvas.width, y + 2.5, (246, 244, 236))
    x, lean = rng.uniform(0, canvas.width), rng.uniform(-60, 60)
    corners = [
        (x, horizon),
        (x + 2, horizon),
        (x + lean + 5, canvas.height),
        (x + lean, canvas.height),
    ]
    canvas.fill(np.array(corners), (246, 244, 236))


def studio(canvas: Canvas, rng: Rng, horizon: float) -> None:
    """A painted wall with shapes that are nothing: what a detector of colours would fall for."""
    base = pick(rng, WALLS)
    canvas.gradient(0, canvas.height, lighter(base, 0.25), darker(base, 0.1))
    for _ in range(rng.integers(4, 14)):
        x, y = rng.uniform(0, canvas.width), rng.uniform(0, canvas.height)
        size, colour = rng.uniform(6, 46), mix(base, props.bright(rng), rng.uniform(0.25, 0.8))
        if rng.random() < 0.45:
            canvas.oval(x, y, size, size * rng.uniform(0.4, 1.2), colour)
        else:
            canvas.fill(np.array([x, y]) + rng.normal(0, size, (rng.integers(3, 5), 2)), colour)
    canvas.gradient(horizon + 0.3 * canvas.height, canvas.height, darker(base, 0.1), base)
