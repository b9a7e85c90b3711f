"""A small town around the place where somebody stands: streets, lots, and what is on them.

The main street runs along y through x = 0; lots lie along it on both sides. A scene is a pure
function of (seed, split, number). Lengths are metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.crossview.towns import kernels, looks
from apps.crossview.towns.looks import HIGH, LOW, SEASONS, vary
from core.data.randomness import chance, pick, stream, uniform
from core.errors import InputError

SPLITS = ("train", "val")
REACH = 110.0  # how far the town goes along the main street, both ways
DISTRICTS = ("centre", "suburb", "suburb", "country")  # one of them, drawn evenly


@dataclass(frozen=True)
class Scene:
    """A town and somebody in it; arrays as in `kernels`."""

    houses: np.ndarray
    trees: np.ndarray
    grounds: np.ndarray
    light: np.ndarray
    eye: tuple[float, float, float]  # where the camera stands
    heading: float  # radians from y towards x; up in the view from above


class Plan:
    """A town that is being laid out."""

    def __init__(self, rng: np.random.Generator):
        self.rng, self.season = rng, pick(rng, SEASONS)
        self.houses: list[list[float]] = []
        self.trees: list[list[float]] = []
        self.grounds: list[list[float]] = []

    def ground(self, box, material: int, colour, axis: int = 1, ellipse: bool = False) -> None:
        """A piece of ground x0 y0 x1 y1, on top of what is there."""
        self.grounds.append([*box, float(ellipse), material, *vary(self.rng, colour), axis])

    def house(self, box, walls: float, ridge: float, style: looks.Style) -> None:
        """A house x0 y0 x1 y1; its ridge runs along the longer side, 0 for a flat roof."""
        wide, deep = box[2] - box[0], box[3] - box[1]
        axis = -1.0 if ridge == 0 else (0.0 if wide > deep else 1.0)
        colours = [*vary(self.rng, style.wall), *vary(self.rng, style.roof), *style.window]
        radius = 0.5 * np.hypot(wide, deep)
        bay = uniform(self.rng, 2.2, 3.4)
        self.houses.append([*box, walls, ridge, axis, *colours, radius, 3.0, bay])

    def tree(self, x: float, y: float, size: float) -> None:
        """A tree of about this height; one in five is a conifer."""
        rng, conical = self.rng, chance(self.rng, 0.2)
        high = size * uniform(rng, 0.8, 1.2)
        half = high * (0.42 if conical else 0.34)
        radius = high * (0.2 if conical else 0.3)
        leaves = (0.16, 0.33, 0.20) if conical else pick(rng, self.season.leaves)
        colour, trunk = vary(rng, leaves, 0.12), 0.02 * high + 0.06
        self.trees.append([x, y, high - half, radius, half, *colour, float(conical), trunk])


def town_scene(seed: int, split: str, number: int) -> Scene:
    """One town; the splits share none. Raises InputError for another split or a number below 0."""
    if split not in SPLITS or min(seed, number) < 0:
        raise InputError(f"no town {seed}, {split!r}, {number}: {' or '.join(SPLITS)}, from 0 on")
    rng = stream(seed, SPLITS.index(split), number)
    plan, district = Plan(rng), pick(rng, DISTRICTS)
    half = uniform(rng, 2.8, 4.8) if district != "centre" else uniform(rng, 4.0, 6.5)
    walk = 0.0 if district == "country" else uniform(rng, 1.5, 2.8)
    crossing = uniform(rng, 14, 45) * pick(rng, (-1, 1)) if chance(rng, 0.6) else None
    _streets(plan, half, walk, crossing)
    river = _river(plan, district, crossing)
    for side in (-1, 1):
        _lots(plan, district, side, half + walk, [p for p in (crossing, river) if p is not None])
        if chance(rng, 0.45):
            _avenue(plan, side * (half + max(walk, 1.2) - 0.5), crossing, half)
    light = looks.light(rng)
    heading = 0.14 * rng.standard_normal() if chance(rng, 0.8) else uniform(rng, -0.7, 0.7)
    if chance(rng, 0.5):
        heading += np.pi
    eye = (uniform(rng, -0.5, 0.5) * half, 0.0, uniform(rng, 1.8, 2.4))
    houses, grounds = _array(plan.houses, 19), _array(plan.grounds, 10)
    trees = _array(_out_of_the_way(plan.trees, eye), 10)
    return Scene(houses, trees, grounds, light, eye, float(heading))


def _array(rows: list[list[float]], columns: int) -> np.ndarray:
    return np.array(rows, float).reshape(-1, columns)


def _out_of_the_way(trees: list[list[float]], eye) -> list[list[float]]:
    """The trees without those that would stand before the camera."""
    return [t for t in trees if np.hypot(t[0] - eye[0], t[1] - eye[1]) > t[3] + 1.5]


def _streets(plan: Plan, half: float, walk: float, crossing: float | None) -> None:
    far = 4 * REACH
    plan.ground((-far, -far, far, far), kernels.MEADOW, plan.season.grass)
    roads = [((-half - walk, -far, half + walk, far), (-half, -far, half, far), 1)]
    if crossing is not None:
        low, high = crossing - half, crossing + half
        roads.append(((-far, low - walk, far, high + walk), (-far, low, far, high), 0))
    if walk:
        for outer, _, axis in roads:
            plan.ground(outer, kernels.PAVEMENT, looks.PAVEMENT, axis)
    for _, inner, axis in reversed(roads):
        plan.ground(inner, kernels.ASPHALT, looks.ASPHALT, axis)


def _river(plan: Plan, district: str, crossing: float | None) -> float | None:
    """A stream that goes under the main street; where, if there is one."""
    rng = plan.rng
    if district == "centre" or crossing is not None or not chance(rng, 0.35):
        return None
    middle, half = uniform(rng, 10, 40) * pick(rng, (-1, 1)), uniform(rng, 2.5, 5)
    for left, right in ((-4 * REACH, -7.5), (7.5, 4 * REACH)):
        plan.ground((left, middle - half, right, middle + half), kernels.POND, looks.WATER, 0)
    return middle


def _lots(plan: Plan, district: str, side: int, start: float, free_of: list[float]) -> None:
    """Lots along one side of the street; those that a street or stream crosses stay empty."""
    rng, y = plan.rng, -REACH + uniform(plan.rng, 0, 10)
    narrow, wide = {"centre": (9, 18), "suburb": (12, 19), "country": (22, 40)}[district]
    while y < REACH:
        front = uniform(rng, narrow, wide)
        if all(abs(y + 0.5 * front - place) > 0.5 * front + 9 for place in free_of):
            fill = {"centre": _block, "suburb": _home, "country": _farm}[district]
            fill = _park if chance(rng, 0.1) else fill
            fill(plan, _Lot(side, start, y, y + front))
        y += front + (uniform(rng, 0, 1.5) if district == "centre" else uniform(rng, 1, 4))


@dataclass(frozen=True)
class _Lot:
    """A side of the street (-1, 1), where the lot begins beside it, and from where to where."""

    side: int
    start: float
    low: float
    high: float

    def box(self, near: float, far: float, low: float, high: float) -> tuple:
        """x0 y0 x1 y1 of a part, from distances to the street's edge and places along it."""
        a, b = self.side * (self.start + near), self.side * (self.start + far)
        return min(a, b), low, max(a, b), high

    def place(self, near: float, along: float) -> tuple[float, float]:
        return self.side * (self.start + near), along


def _block(plan: Plan, lot: _Lot) -> None:
    """A building as wide as its lot, and another one behind it."""
    rng, style = plan.rng, pick(plan.rng, HIGH)
    deep, walls = uniform(rng, 9, 15), 3.0 * uniform(rng, 2, 7)
    setback = uniform(rng, 0, 1.2)
    plan.ground(lot.box(0, deep + 14, lot.low, lot.high), kernels.PAVEMENT, looks.PAVEMENT)
    low_roof = walls < 11 and chance(rng, 0.5)
    style = pick(rng, LOW) if low_roof else style
    box = lot.box(setback, setback + deep, lot.low, lot.high)
    plan.house(box, walls, uniform(rng, 2, 4) if low_roof else 0.0, style)
    if chance(rng, 0.6):
        box = lot.box(deep + 8, deep + 20, lot.low, lot.high)
        plan.house(box, 3.0 * uniform(rng, 3, 10), 0.0, pick(rng, HIGH))
    else:
        plan.tree(*lot.place(deep + 6, 0.5 * (lot.low + lot.high)), uniform(rng, 6, 10))


def _home(plan: Plan, lot: _Lot) -> None:
    """A house in its garden, a path, trees."""
    rng, front = plan.rng, lot.high - lot.low
    near, deep = uniform(rng, 3, 7), uniform(rng, 7, 10)
    wide = min(front - 2.5, uniform(rng, 8, 13))
    low = lot.low + uniform(rng, 0, front - wide)
    door = low + 0.5 * wide
    plan.ground(lot.box(0, near, door - 0.7, door + 0.7), kernels.PAVEMENT, looks.PAVEMENT)
    _house_with_ridge(plan, lot.box(near, near + deep, low, low + wide))
    for _ in range(2 if chance(rng, 0.6) else 1):
        along = uniform(rng, lot.low + 1, lot.high - 1)
        beyond = uniform(rng, near + deep + 2, near + deep + 9)
        plan.tree(*lot.place(1.8 if chance(rng, 0.35) else beyond, along), uniform(rng, 4, 8))
    if chance(rng, 0.5):
        box = lot.box(near + deep + 12, near + deep + 21, lot.low, lot.low + wide)
        _house_with_ridge(plan, box)


def _house_with_ridge(plan: Plan, box) -> None:
    """One or two storeys high."""
    walls, ridge = uniform(plan.rng, 2.8, 5.8), uniform(plan.rng, 2, 3.6)
    plan.house(box, walls, ridge, pick(plan.rng, LOW))


def _farm(plan: Plan, lot: _Lot) -> None:
    """A field, a pond or a farm house with trees."""
    rng = plan.rng
    if chance(rng, 0.35):
        _home(plan, _Lot(lot.side, lot.start + 3, lot.low, min(lot.high, lot.low + 20)))
    elif chance(rng, 0.25):
        _pond(plan, lot)
    else:
        deep = uniform(rng, 25, 70)
        box = lot.box(1.5, deep, lot.low, lot.high)
        plan.ground(box, kernels.FIELD, pick(rng, plan.season.fields), pick(rng, (0, 1)))
        if chance(rng, 0.5):
            for along in np.arange(lot.low, lot.high, uniform(rng, 5, 9)):
                plan.tree(*lot.place(deep + 2, along), uniform(rng, 6, 10))


def _park(plan: Plan, lot: _Lot) -> None:
    """Grass and trees, perhaps a pond."""
    rng = plan.rng
    plan.ground(lot.box(0, 26, lot.low, lot.high), kernels.MEADOW, plan.season.grass)
    if chance(rng, 0.4):
        _pond(plan, lot)
    for _ in range(int(uniform(rng, 2, 6))):
        near, along = uniform(rng, 14, 26), uniform(rng, lot.low, lot.high)
        plan.tree(*lot.place(near, along), uniform(rng, 5, 10))


def _pond(plan: Plan, lot: _Lot) -> None:
    rng = plan.rng
    near = uniform(rng, 1.5, 4)
    far = near + min(lot.high - lot.low, uniform(rng, 7, 12))
    plan.ground(lot.box(near, far, lot.low, lot.high), kernels.POND, looks.WATER, ellipse=True)


def _avenue(plan: Plan, x: float, crossing: float | None, half: float) -> None:
    """Trees along one side of the street."""
    rng, size = plan.rng, uniform(plan.rng, 4, 7)
    for y in np.arange(-60, 60, uniform(rng, 8, 13)):
        if crossing is None or abs(y - crossing) > half + 3:
            plan.tree(x, float(y), size)
