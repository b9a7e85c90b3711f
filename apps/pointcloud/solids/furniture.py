"""Seeded tables, chairs, shelves, lamps and sofas in metres, on z = 0, their fronts at -y.

Pieces reach a little (LAP) into one another, so that no hidden face is left between them.
"""

from __future__ import annotations

import numpy as np

from apps.pointcloud.solids.primitives import AROUND, box, extrusion, superquadric, tube, turned
from apps.pointcloud.solids.surfaces import Surface, place
from core.data.randomness import chance, pick, uniform, whole

LAP = 0.005  # metres


def table(rng: np.random.Generator) -> list[Surface]:
    """A top (part 0) on legs, a foot or two boards (part 1), sometimes with a shelf (part 2)."""
    width, depth = uniform(rng, 0.8, 1.8), uniform(rng, 0.6, 1.0)
    height, thick = uniform(rng, 0.45, 0.8), uniform(rng, 0.03, 0.06)
    round_top = chance(rng, 0.35)
    top = _oval(width, depth, thick) if round_top else box((width, depth, thick))
    pieces = [place(top, (0, 0, height - thick / 2))]
    under = height - thick + LAP
    kind = (
        pick(rng, ("legs", "legs", "foot")) if round_top else pick(rng, ("legs", "legs", "boards"))
    )
    if kind == "foot":
        return [*pieces, _foot(rng, under, 0.35 * depth)]
    if kind == "boards":
        spots = [(side * 0.42 * width, 0, under / 2) for side in (-1, 1)]
        return pieces + [box((0.05, 0.85 * depth, under), spot, 1) for spot in spots]
    inset = 0.32 if round_top else 0.44
    pieces += _legs(rng, width * inset, depth * inset, under)
    if chance(rng, 0.3):
        pieces.append(box((2 * width * inset, 2 * depth * inset, 0.025), (0, 0, 0.3 * height), 2))
    return pieces


def chair(rng: np.random.Generator) -> list[Surface]:
    """Seat (part 0), legs (1), back (2), and sometimes arms (3)."""
    width, depth = uniform(rng, 0.4, 0.55), uniform(rng, 0.4, 0.5)
    height, thick = uniform(rng, 0.42, 0.5), uniform(rng, 0.03, 0.08)
    soft = chance(rng, 0.4)
    seat = (
        superquadric((width / 2, depth / 2, thick), (0.3, 0.3))
        if soft
        else box((width, depth, thick))
    )
    pieces = [place(seat, (0, 0, height - thick / 2))]
    under = height - thick + LAP - (0.5 * thick if soft else 0)
    if chance(rng, 0.25):
        pieces += _star_foot(rng, under + 0.02)
    else:
        pieces += _legs(rng, 0.42 * width, 0.42 * depth, under)
    pieces += _back(rng, width, depth, height, uniform(rng, 0.35, 0.55))
    return pieces + (_arms(width, depth, height) if chance(rng, 0.35) else [])


def shelf(rng: np.random.Generator) -> list[Surface]:
    """Sides (part 0), boards (1), and sometimes a back (2) and things on the boards (3)."""
    width, depth = uniform(rng, 0.5, 1.2), uniform(rng, 0.22, 0.4)
    height, thick = uniform(rng, 0.8, 2.0), uniform(rng, 0.018, 0.035)
    sides = [box((thick, depth, height), (s * width / 2, 0, height / 2)) for s in (-1, 1)]
    levels = np.linspace(thick, height - thick, whole(rng, 3, 6))
    board = (width - thick + LAP, depth - LAP, thick)
    pieces = sides + [box(board, (0, 0, z), 1) for z in levels]
    if chance(rng, 0.6):
        pieces.append(box((width, 0.012, height), (0, depth / 2, height / 2), 2))
    if chance(rng, 0.5):
        for z, room in zip(levels[:-1], np.diff(levels), strict=True):
            pieces += _things(rng, width - 3 * thick, depth, z + thick / 2, room - 2 * thick)
    return pieces


def lamp(rng: np.random.Generator) -> list[Surface]:
    """Foot (part 0), pole (1) and shade (2) of a standing lamp, or of one with a bent pole."""
    height, radius = uniform(rng, 0.5, 1.6), uniform(rng, 0.12, 0.2)
    foot = turned([[0, 0], [radius, 0], [radius, 0.02], [0.35 * radius, 0.05], [0, 0.05]])
    reach = uniform(rng, 0.2, 0.5) if chance(rng, 0.4) else 0.0
    t = np.linspace(0, 1, 33)
    bend = np.clip((t - 0.6) / 0.4, 0, 1)
    path = np.stack([reach * bend**2, 0 * t, 0.04 + (height - 0.04) * (t - 0.15 * bend**3)], 1)
    pole = tube(path if reach else path[[0, -1]], uniform(rng, 0.012, 0.025), 1)
    return [foot, pole, place(_shade(rng), path[-1])]


def sofa(rng: np.random.Generator) -> list[Surface]:
    """Base (part 0), back (1), arms (2) and cushions (3), all a little round."""
    width, depth, seats = uniform(rng, 0.9, 2.2), uniform(rng, 0.75, 0.95), 0.40
    high, arm = uniform(rng, 0.7, 0.95), uniform(rng, 0.12, 0.22)
    pieces = [_cushion((width, depth, 0.3), (0, 0, 0.17))]
    pieces.append(
        _cushion((width, 0.22, high - 0.1), (0, depth / 2 - 0.08, 0.1 + (high - 0.1) / 2), 1)
    )
    spots = [(s * (width / 2 - arm / 2 + 0.03), 0, 0.3) for s in (-1, 1)]
    pieces += [_cushion((arm, depth, 0.55), spot, 2) for spot in spots]
    count = max(1, round((width - 2 * arm) / 0.65))
    room = (width - 2 * arm + 0.04) / count
    for i in range(count):
        x = (i + 0.5 - count / 2) * room
        pieces.append(_cushion((room, depth - 0.2, 0.18), (x, -0.06, seats), 3))
    return pieces


def _cushion(size, center, part: int = 0) -> Surface:
    return place(superquadric(np.asarray(size) / 2, (0.25, 0.25), part), center)


def _oval(width: float, depth: float, thick: float) -> Surface:
    angle = 2 * np.pi * np.arange(AROUND) / AROUND
    return extrusion(np.stack([width / 2 * np.cos(angle), depth / 2 * np.sin(angle)], 1), thick)


def _legs(rng: np.random.Generator, x: float, y: float, height: float) -> list[Surface]:
    """Four legs below (±x, ±y), square or round, upright or splayed: part 1."""
    thick, splay = uniform(rng, 0.018, 0.04), uniform(rng, 0, 0.12) * chance(rng, 0.5)
    corners = [(sx, sy) for sx in (-1, 1) for sy in (-1, 1)]
    if chance(rng, 0.5):
        ends = [
            ((sx * (x + splay), sy * (y + splay), 0), (sx * x, sy * y, height))
            for sx, sy in corners
        ]
        return [tube(end, thick, 1) for end in ends]
    size = (2 * thick, 2 * thick, height)
    return [box(size, (sx * x, sy * y, height / 2), 1) for sx, sy in corners]


def _foot(rng: np.random.Generator, height: float, radius: float) -> Surface:
    pole = uniform(rng, 0.03, 0.07)
    plate = [[0, 0], [radius, 0], [radius, 0.03]]
    stem = [[pole, 0.1], [pole, height - 0.04], [2 * pole, height], [0, height]]
    return turned(plate + stem, part=1)


def _star_foot(rng: np.random.Generator, height: float) -> list[Surface]:
    """An office chair's five arms and its pole."""
    angle = 2 * np.pi * np.arange(5) / 5 + uniform(rng, 0, 1)
    tips = np.stack([0.28 * np.cos(angle), 0.28 * np.sin(angle), np.full(5, 0.04)], 1)
    arms = [tube([(0, 0, 0.1), tip], 0.022, 1) for tip in tips]
    return [*arms, tube([(0, 0, 0.06), (0, 0, height)], 0.03, 1)]


def _back(rng, width: float, depth: float, seat: float, high: float) -> list[Surface]:
    """A board, slats or bars above the rear edge: part 2."""
    y, low = depth / 2 - 0.02, seat - 0.03
    kind = pick(rng, ("board", "slats", "bars"))
    if kind == "board":
        return [box((width, 0.03, high), (0, y, low + high / 2), 2)]
    ends = width / 2 * np.array([-1, 1]) - 0.02 * np.array([-1, 1])
    posts = [tube([(x, y, low), (x, y + 0.05, low + high)], 0.018, 2) for x in ends]
    rail = [(x, y + 0.045, low + 0.93 * high) for x in ends]
    if kind == "bars":
        spots = np.linspace(-0.3, 0.3, whole(rng, 2, 5)) * width
        bars = [tube([(x, y, low), (x, y + 0.045, low + 0.93 * high)], 0.011, 2) for x in spots]
        return [*posts, tube(rail, 0.018, 2), *bars]
    heights = np.linspace(0.35, 0.9, whole(rng, 2, 4)) * high
    return posts + [
        box((width - 0.04, 0.02, 0.07), (0, y + 0.05 * z / high, low + z), 2) for z in heights
    ]


def _arms(width: float, depth: float, seat: float) -> list[Surface]:
    pieces = []
    for x in (-width / 2, width / 2):
        pieces.append(box((0.04, 0.9 * depth, 0.03), (x, 0, seat + 0.22), 3))
        pieces.append(box((0.03, 0.03, 0.26), (x, -0.3 * depth, seat + 0.1), 3))
    return pieces


def _things(rng, width: float, depth: float, floor: float, room: float) -> list[Surface]:
    """Books, boxes and balls on a board: part 3."""
    pieces, x = [], -width / 2
    while x < width / 2 - 0.06 and room > 0.05:
        thick, high = uniform(rng, 0.03, 0.12), room * uniform(rng, 0.5, 0.9)
        if chance(rng, 0.6) and x + thick < width / 2:
            size = (thick, depth * uniform(rng, 0.5, 0.8), high + LAP)
            pieces.append(box(size, (x + thick / 2, 0, floor + high / 2 - LAP / 2), 3))
        x += thick + uniform(rng, 0, 0.08)
    return pieces


def _shade(rng: np.random.Generator) -> Surface:
    """A cone of thin cloth, or a ball: part 2."""
    low, wall, high = uniform(rng, 0.14, 0.28), 0.008, uniform(rng, 0.15, 0.3)
    if chance(rng, 0.25):
        return superquadric((low * 0.7,) * 3, (1, 1), 2)
    top, under = low * uniform(rng, 0.45, 0.95), -0.6 * high
    profile = [[low - wall, under], [low, under], [top, under + high], [top - wall, under + high]]
    return turned([*profile, profile[0]], 2)
