"""Seeded objects of one kind of surface each: superquadrics, boxes, tubes, extrusions, vases."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from apps.pointcloud.solids.primitives import box, extrusion, superquadric, tube, turned
from apps.pointcloud.solids.surfaces import Surface, about_z, place, z_to
from core.data.randomness import chance, direction, pick, uniform, whole


def superquadrics(rng: np.random.Generator) -> list[Surface]:
    """One to four of them that reach into one another."""
    blobs, center = [], np.zeros(3)
    for part in range(whole(rng, 1, 4)):
        radii = uniform(rng, 0.25, 1.0, 3) * 0.8**part
        blob = superquadric(radii, uniform(rng, 0.15, 1.6, 2), part)
        blobs.append(place(blob, center, z_to(direction(rng))))
        center = center + direction(rng) * uniform(rng, 0.4, 0.9)
    return blobs


def boxes(rng: np.random.Generator) -> list[Surface]:
    """Two to five boxes, each let a little into the one below, turned about the upright axis."""
    stack, height, widest = [], 0.0, uniform(rng, 0.8, 1.6, 2)
    for part in range(whole(rng, 2, 5)):
        size = np.append(widest * uniform(rng, 0.45, 1.0, 2), uniform(rng, 0.2, 0.9))
        shift = np.append(uniform(rng, -0.3, 0.3, 2) * widest, height + size[2] / 2 - 0.02)
        stack.append(place(box(size, part=part), shift, about_z(uniform(rng, -0.6, 0.6))))
        height += size[2] - 0.02
    return stack


def tubes(rng: np.random.Generator) -> list[Surface]:
    """A bent pipe, a spring, a ring or a knot."""
    t = np.linspace(0, 1, 97)[:, None]
    kind = pick(rng, ("pipe", "spring", "ring", "knot"))
    if kind == "pipe":
        return [tube(_bezier(uniform(rng, -1, 1, (5, 3)), t), uniform(rng, 0.05, 0.14))]
    turns, height = uniform(rng, 2, 5), uniform(rng, 0.8, 1.8)
    angle = 2 * np.pi * t
    if kind == "spring":
        path = np.concatenate(
            [0.6 * np.cos(turns * angle), 0.6 * np.sin(turns * angle), height * t], 1
        )
        return [tube(path, uniform(rng, 0.05, 0.3 * height / turns))]
    if kind == "ring":
        path = np.concatenate([np.cos(angle), np.sin(angle) * uniform(rng, 0.5, 1), 0 * t], 1)
        return [place(tube(path, uniform(rng, 0.1, 0.3)), rotation=z_to(direction(rng)))]
    radius = 2 + np.cos(3 * angle)  # the trefoil on a torus
    path = [radius * np.cos(2 * angle), radius * np.sin(2 * angle), 1.2 * np.sin(3 * angle)]
    return [tube(np.concatenate(path, 1), uniform(rng, 0.2, 0.45))]


def extrusions(rng: np.random.Generator) -> list[Surface]:
    """A drawn-out outline, sometimes with a second one on top."""
    low = extrusion(_outline(rng), height := uniform(rng, 0.3, 1.8), _taper(rng))
    if chance(rng, 0.6):
        return [low]
    upper = 0.6 * _outline(rng)
    high = extrusion(upper, above := uniform(rng, 0.2, 0.8), _taper(rng), part=1)
    return [low, place(high, (0, 0, height / 2 + above / 2 - 0.02))]


def vases(rng: np.random.Generator) -> list[Surface]:
    """A hollow turned body, sometimes with a handle."""
    height, wall = uniform(rng, 0.8, 1.8), 0.04
    z = np.linspace(0, 1, 24)
    shape = uniform(rng, 0.25, 0.65, 5)
    radius = _bezier(shape[:, None], z[:, None])[:, 0]
    if chance(rng, 0.3):
        radius[:] = shape[0]  # a mug's or a can's
    outer = np.c_[radius, z * height]
    inner = np.c_[radius - wall, wall + z * (height - wall)][::-1]
    body = turned(np.concatenate([[[0, 0]], outer, inner, [[0, wall]]]))
    if chance(rng, 0.5):
        return [body]
    angle = np.linspace(-1, 1, 25) * np.pi / 2
    out = np.interp(0.5 + 0.28 * np.sin(angle), z, radius) - wall / 2
    reach = out + np.cos(angle) * uniform(rng, 0.15, 0.3)
    path = np.stack([reach, 0 * angle, height * (0.5 + 0.28 * np.sin(angle))], 1)
    return [body, tube(path, uniform(rng, 0.035, 0.06), part=1)]


def _bezier(controls: np.ndarray, t: np.ndarray) -> np.ndarray:
    """De Casteljau: controls (K, D) at t (T, 1) in 0..1 -> (T, D)."""
    points = [np.repeat(row[None], len(t), 0) for row in controls]
    while len(points) > 1:
        points = [(1 - t) * a + t * b for a, b in pairwise(points)]
    return points[0]


def _taper(rng: np.random.Generator) -> float:
    return 1.0 if chance(rng, 0.5) else uniform(rng, 0.4, 0.9)


def _outline(rng: np.random.Generator) -> np.ndarray:
    """A regular polygon, a star, a gear, a cross, an angle or an oval: (E, 2)."""
    kind = pick(rng, ("polygon", "star", "gear", "cross", "angle", "oval"))
    if kind == "cross":
        return _cross(uniform(rng, 0.2, 0.45))
    if kind == "angle":  # an L seen from its corner, which sees all of it
        w, a, b = uniform(rng, 0.2, 0.4), uniform(rng, 0.7, 1.3), uniform(rng, 0.7, 1.3)
        return np.array([[-w, -w], [a, -w], [a, w], [w, w], [w, b], [-w, b]])
    corners = {
        "polygon": whole(rng, 3, 8),
        "star": 2 * whole(rng, 4, 7),
        "gear": 4 * whole(rng, 6, 10),
        "oval": 40,
    }[kind]  # all are drawn, whatever the kind: the stream of random numbers stays the same
    angle = 2 * np.pi * np.arange(corners) / corners
    depth = uniform(rng, 0.45, 0.8)
    pattern = {"polygon": [1], "oval": [1], "star": [1, depth], "gear": [1, 1, 0.8, 0.8]}[kind]
    radius = np.tile(pattern, corners // len(pattern))
    stretch = [1, uniform(rng, 0.5, 1)] if kind == "oval" else [1, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1) * stretch


def _cross(w: float) -> np.ndarray:
    quarter = np.array([[1, -w], [1, w], [w, w]])
    turns = [
        np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
        for a in np.arange(4) * np.pi / 2
    ]
    return np.concatenate([quarter @ turn.T for turn in turns])
