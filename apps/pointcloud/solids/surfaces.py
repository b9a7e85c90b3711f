"""Closed surfaces of triangles that know their inside; points on them, uniform by area.

Legend: V vertices, F faces, N points. Lengths are in any unit, z is up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from apps.pointcloud.geometry.meshes import pick_triangles, points_within, triangles


@dataclass(frozen=True)
class Surface:
    """Triangles, and which points lie within them; a sheet without an inside has none."""

    vertices: np.ndarray  # (V, 3) float64
    faces: np.ndarray  # (F, 3) int64, counter-clockwise seen from outside
    inside: Callable[[np.ndarray], np.ndarray] | None  # (N, 3) -> (N,) bool
    part: int = 0  # which part of an object it is


@dataclass(frozen=True)
class Samples:
    """Points on surfaces."""

    points: np.ndarray  # (N, 3) float64
    normals: np.ndarray  # (N, 3) unit vectors, outwards
    parts: np.ndarray  # (N,) int64


def place(surface: Surface, shift=(0, 0, 0), rotation: np.ndarray | None = None) -> Surface:
    """The surface turned by a rotation (3, 3) about the origin, then moved by `shift`."""
    turn = np.eye(3) if rotation is None else rotation
    shift, within = np.asarray(shift, float), surface.inside
    moved = None if within is None else lambda points: within((points - shift) @ turn)
    return replace(surface, vertices=surface.vertices @ turn.T + shift, inside=moved)


def place_all(surfaces: Sequence[Surface], shift=(0, 0, 0), turn: float = 0.0) -> list[Surface]:
    """Surfaces turned together about z by `turn` radians, then moved."""
    return [place(surface, shift, about_z(turn)) for surface in surfaces]


def about_z(angle: float) -> np.ndarray:
    """The rotation (3, 3) by an angle in radians about z."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def z_to(axis: np.ndarray) -> np.ndarray:
    """A rotation (3, 3) that takes z to a vector's direction."""
    z = np.asarray(axis, float) / np.linalg.norm(axis)
    x = np.cross(z, [0, 1, 0] if abs(z[1]) < 0.9 else [1, 0, 0])
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], 1)


def sample(
    surfaces: Sequence[Surface],
    count: int,
    rng: np.random.Generator,
    region: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Samples:
    """`count` points, uniform over what is seen: points within another surface are drawn again.

    region: which points (N, 3) are wanted; it has to hold some of the surfaces. A pure function of
    the arguments and of the generator's state.
    """
    pieces, parts, have = _pieces(surfaces), [], 0
    while have < count:
        drawn = _draw(*pieces, 2 * count, rng)
        if region is not None:
            near = region(drawn[0])
            drawn = tuple(rows[near] for rows in drawn)
        parts.append(_visible(surfaces, drawn))
        have += len(parts[-1][0])
    points, normals, owners = (np.concatenate(rows)[:count] for rows in zip(*parts, strict=True))
    part_of = np.array([surface.part for surface in surfaces])
    return Samples(points, normals, part_of[owners])


def _pieces(surfaces: Sequence[Surface]) -> tuple[np.ndarray, ...]:
    """All triangles: corners, sums of the areas up to each, normals, the surfaces' places."""
    pieces = [triangles(surface.vertices, surface.faces) for surface in surfaces]
    owner = np.repeat(np.arange(len(pieces)), [len(areas) for _, areas, _ in pieces])
    corners, areas, normals = (np.concatenate(rows) for rows in zip(*pieces, strict=True))
    return corners, np.cumsum(areas), normals, owner


def _draw(corners, ends, normals, owner, count: int, rng) -> tuple[np.ndarray, ...]:
    """Points, normals and the surfaces' places, uniform by area; hidden ones too."""
    chosen = pick_triangles(ends, count, rng)
    return points_within(corners[chosen], rng), normals[chosen], owner[chosen]


def _visible(surfaces: Sequence[Surface], drawn: tuple) -> tuple:
    points, _, owner = drawn
    hidden = np.zeros(len(points), bool)
    for number, surface in enumerate(surfaces):
        others = np.flatnonzero((owner != number) & ~hidden)
        if surface.inside is not None and len(others):
            hidden[others] = surface.inside(points[others])
    return tuple(rows[~hidden] for rows in drawn)
