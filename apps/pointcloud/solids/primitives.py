"""What objects are put together from: boxes, superquadrics, tubes, extrusions, turned profiles.

Each is centred at the origin unless it says otherwise. Legend: E corners of an outline, R rings.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from apps.pointcloud.solids.surfaces import Surface

AROUND = 40  # corners of a circle
TOUCH = 1e-6  # what is less deep within a surface lies on it


def box(size, center=(0, 0, 0), part: int = 0) -> Surface:
    """A box with edges along the axes: `size` (x, y, z)."""
    half, center = np.asarray(size, float) / 2, np.asarray(center, float)
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]

    def inside(points: np.ndarray) -> np.ndarray:
        return (np.abs(points - center) < half - TOUCH).all(1)

    return Surface(signs * half + center, _split(quads), inside, part)


def sheet(corner, along, across, part: int = 0) -> Surface:
    """A parallelogram seen from along x across; it has no inside."""
    corner, along, across = (np.asarray(v, float) for v in (corner, along, across))
    corners = np.stack([corner, corner + along, corner + along + across, corner + across])
    return Surface(corners, _split([[0, 1, 2, 3]]), None, part)


def superquadric(radii, exponents, part: int = 0) -> Surface:
    """Barr 1981: half axes `radii` (3,), exponents (of the z profile, of the xy outline).

    1, 1 is an ellipsoid; towards 0 it becomes a box, 2 is an octahedron.
    """
    radii, (e1, e2) = np.asarray(radii, float), exponents
    latitude = np.linspace(-np.pi / 2, np.pi / 2, AROUND // 2 + 1)[:, None]
    longitude = np.linspace(-np.pi, np.pi, AROUND, endpoint=False)[None]
    ring = _power(np.cos(latitude), e1)
    x, y = ring * _power(np.cos(longitude), e2), ring * _power(np.sin(longitude), e2)
    rings = np.stack(np.broadcast_arrays(x, y, _power(np.sin(latitude), e1)), -1) * radii

    def inside(points: np.ndarray) -> np.ndarray:
        scaled = np.abs(points) / radii
        outline = (scaled[:, 0] ** (2 / e2) + scaled[:, 1] ** (2 / e2)) ** (e2 / e1)
        return outline + scaled[:, 2] ** (2 / e1) < 1 - TOUCH

    return Surface(rings.reshape(-1, 3), _ring_faces(len(rings), AROUND), inside, part)


def tube(path, radius: float, part: int = 0, around: int = 16) -> Surface:
    """A round rod along a polyline (R, 3), with flat ends; two points make a cylinder."""
    path = np.asarray(path, float)
    circle = 2 * np.pi * np.arange(around) / around
    x, y = _frames(path)
    cosine, sine = np.cos(circle)[None, :, None], np.sin(circle)[None, :, None]
    ring = radius * (cosine * x[:, None] + sine * y[:, None])  # (R, around, 3)
    ends = [path[place, None].repeat(around, 1) for place in (slice(0, 1), slice(-1, None))]
    rings = np.concatenate([ends[0], path[:, None] + ring, ends[1]])  # rings of one point close it

    def inside(points: np.ndarray) -> np.ndarray:
        return _within_rods(points, path, radius)

    return Surface(rings.reshape(-1, 3), _ring_faces(len(rings), around), inside, part)


def extrusion(outline, height: float, top_scale: float = 1.0, part: int = 0) -> Surface:
    """An outline (E, 2), counter-clockwise around the origin, drawn up from -height/2 to height/2.

    Every corner is to be seen from the origin. top_scale: of the outline at the top.
    """
    outline = np.asarray(outline, float)
    half = height / 2
    levels = ((0, -half), (1, -half), (top_scale, half), (0, half))
    rings = np.stack([np.c_[outline * scale, np.full(len(outline), z)] for scale, z in levels])

    def inside(points: np.ndarray) -> np.ndarray:
        scale = 1 + (top_scale - 1) * (points[:, 2] / height + 0.5)
        within = np.abs(points[:, 2]) < half - TOUCH
        within[within] = in_outline(points[within, :2] / scale[within, None], outline)
        return within

    return Surface(rings.reshape(-1, 3), _ring_faces(len(rings), len(outline)), inside, part)


def turned(profile, part: int = 0, around: int = AROUND) -> Surface:
    """A profile (R, 2) of (radius, z) turned about z, from its lower end on the axis to its upper.

    A hollow thing's profile goes up outside and down inside; one that ends where it began is a
    ring.
    """
    profile = np.asarray(profile, float)
    angle = 2 * np.pi * np.arange(around) / around
    circle = np.stack([np.cos(angle), np.sin(angle)], 1)
    rings = [np.c_[circle * radius, np.full(around, z)] for radius, z in profile]

    def inside(points: np.ndarray) -> np.ndarray:
        return in_outline(np.c_[np.hypot(points[:, 0], points[:, 1]), points[:, 2]], profile)

    return Surface(np.concatenate(rings), _ring_faces(len(rings), around), inside, part)


def in_outline(points: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """Whether points (N, 2) lie in a polygon (E, 2): (N,), by counting crossings to the right."""
    inside = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, 0), strict=True):
        if y0 != y1:
            crosses = (y0 > points[:, 1]) != (y1 > points[:, 1])
            inside ^= crosses & (points[:, 0] < x0 + (points[:, 1] - y0) / (y1 - y0) * (x1 - x0))
    return inside


def _power(values: np.ndarray, exponent: float) -> np.ndarray:
    """The power with its base's sign; rounding at the poles and the seam is taken away."""
    values = np.where(np.abs(values) < 1e-12, 0, values)
    return np.sign(values) * np.abs(values) ** exponent


def _split(quads) -> np.ndarray:
    """Two triangles of each quadrilateral (F, 4)."""
    quads = np.asarray(quads)
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def _ring_faces(rings: int, around: int) -> np.ndarray:
    """Faces between rings of `around` corners each, counter-clockwise outside where they go up."""
    low = (np.arange(rings - 1)[:, None] * around + np.arange(around)).ravel()
    following = low - low % around + (low + 1) % around
    return _split(np.stack([low, following, following + around, low + around], 1))


def _frames(path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors across the path at each point, (R, 3) each, that turn little along it."""
    steps = np.diff(path, axis=0)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    tangents = np.concatenate([steps[:1], steps[:-1] + steps[1:], steps[-1:]])
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    across = np.cross(tangents[0], [0, 1, 0] if abs(tangents[0, 1]) < 0.9 else [1, 0, 0])
    x = []
    for tangent in tangents:  # project the last one: a rotation-minimising frame to first order
        across = across - (across @ tangent) * tangent
        across /= np.linalg.norm(across)
        x.append(across)
    return np.array(x), np.cross(tangents, x)


def _within_rods(points: np.ndarray, path: np.ndarray, radius: float) -> np.ndarray:
    within = np.zeros(len(points), bool)
    for start, end in pairwise(path):
        step = end - start
        along = (points - start) @ step / (step @ step)
        nearest = start + np.clip(along, 0, 1)[:, None] * step
        near = np.linalg.norm(points - nearest, axis=1) < radius - TOUCH
        within |= near & (along > 0) & (along < 1)
    return within
