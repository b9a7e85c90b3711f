"""Seeded rooms in metres: floor, walls with a door and a window, and furniture.

z is up, the floor's middle is the origin; normals of floor and walls point into the room.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from apps.pointcloud.solids.furniture import chair, lamp, shelf, sofa, table
from apps.pointcloud.solids.primitives import sheet
from apps.pointcloud.solids.surfaces import Samples, Surface, place_all, sample
from core.data.randomness import chance, pick, stream, uniform, whole


def room(rng: np.random.Generator) -> list[Surface]:
    """Floor and walls are part 0, furniture part 1."""
    width, depth, height = uniform(rng, 3.0, 5.5), uniform(rng, 3.0, 5.0), uniform(rng, 2.3, 2.8)
    floor = sheet((-width / 2, -depth / 2, 0), (width, 0, 0), (0, depth, 0))
    pieces = [floor, *_walls(rng, width, depth, height)]
    for objects in (_middle(rng), _along_walls(rng, width, depth)):
        pieces += objects
    return pieces


def room_crop(rng: np.random.Generator, count: int) -> Samples:
    """`count` points of a room in a ball of 0.7 to 1.5 m, more often about furniture than not."""
    surfaces = room(rng)
    part = int(chance(rng, 0.7))  # 1 is furniture
    center = sample([s for s in surfaces if s.part == part], 1, rng).points[0]
    radius = uniform(rng, 0.7, 1.5)
    return sample(surfaces, count, rng, lambda p: ((p - center) ** 2).sum(1) < radius**2)


def room_scene(seed: int, number: int, count: int) -> Samples:
    """`count` points of a whole room, a pure function of the seed and the number."""
    rng = stream(seed, number, ROOM_KEY)
    return sample(room(rng), count, rng)


ROOM_KEY = 77  # keeps the scenes' streams apart from the shapes'


def _walls(rng: np.random.Generator, width: float, depth: float, height: float) -> list[Surface]:
    """The four walls seen from within; the first has a door, the second a window."""
    corners = np.array([[1, -1], [1, 1], [-1, 1], [-1, -1]]) * [width / 2, depth / 2]
    door = (uniform(rng, 0.1, 0.4), 0.0, 0.9, 2.0)  # left share, sill, width, height in metres
    window = (uniform(rng, 0.1, 0.4), 0.9, uniform(rng, 0.8, 1.5), uniform(rng, 0.8, 1.1))
    pieces = []
    for side, hole in zip(range(4), (door, window, None, None), strict=True):
        start, end = corners[side], corners[(side + 1) % 4]
        length = float(np.linalg.norm(end - start))
        step = (end - start) / length
        for left, low, right, high in _around(hole, length, height):
            corner, along = np.append(start + left * step, low), np.append((right - left) * step, 0)
            # up x along points to the left of the way round, into the room
            pieces.append(sheet(corner, (0, 0, high - low), along))
    return pieces


def _around(hole, length: float, height: float) -> list[tuple[float, float, float, float]]:
    """The rectangles (left, low, right, high) that remain of a wall around a hole."""
    if hole is None:
        return [(0, 0, length, height)]
    share, sill, wide, high = hole
    left = share * (length - wide)
    pieces = [(0, 0, left, height), (left + wide, 0, length, height)]
    pieces.append((left, sill + high, left + wide, height))
    return pieces + ([(left, 0, left + wide, sill)] if sill > 0 else [])


def _middle(rng: np.random.Generator) -> list[Surface]:
    """A table, with up to three chairs around it."""
    surfaces = table(rng)
    reach = np.max([np.abs(surface.vertices[:, :2]).max(0) for surface in surfaces], 0)
    for turn in range(whole(rng, 0, 3)):
        angle = (turn - 1) * np.pi / 2
        away = reach[turn % 2] + uniform(rng, 0.1, 0.3)  # a chair faces -y
        spot = (-away * np.sin(angle), away * np.cos(angle), 0)
        surfaces += place_all(chair(rng), spot, angle + uniform(rng, -0.3, 0.3))
    return _as_part(surfaces, uniform(rng, -0.5, 0.5))


def _along_walls(rng: np.random.Generator, width: float, depth: float) -> list[Surface]:
    """A shelf or a sofa at three of the walls, and a lamp in a corner."""
    surfaces = []
    for side, (half, across) in enumerate(((depth, width), (width, depth), (depth, width))):
        if chance(rng, 0.75):
            objects = pick(rng, (shelf, sofa))(rng)
            back = max(surface.vertices[:, 1].max() for surface in objects)
            slide = uniform(rng, -0.5, 0.5) * max(across - 2.4, 0)
            spot = np.array([slide, half / 2 - back - 0.01])
            c, s = np.cos(side * np.pi / 2), np.sin(side * np.pi / 2)
            spot = (c * spot[0] - s * spot[1], s * spot[0] + c * spot[1], 0)
            surfaces += place_all(objects, spot, side * np.pi / 2)
    corner = np.array([width, depth]) / 2 - 0.35
    surfaces += place_all(lamp(rng), (*(corner * pick(rng, ((1, -1), (-1, -1)))), 0))
    return _as_part(surfaces, 0.0)


def _as_part(surfaces: list[Surface], turn: float) -> list[Surface]:
    return [replace(s, part=1) for s in place_all(surfaces, (0, 0, 0), turn)]
