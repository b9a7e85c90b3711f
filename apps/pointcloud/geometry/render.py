"""Pictures of clouds without a display: balls or discs, a depth buffer, light and shadow, in numpy.

Legend: N points, H and W of the picture in pixels, before it is made smaller SUPER times as large.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

SUPER = 2  # pixels of a side that become one
LIGHT = np.array([-0.45, 0.65, -0.62])  # towards the light: right, up, away from the eye
AMBIENT = 0.42
FAR = 4.0  # of the eye, in radii of what is looked at
LARGEST = 32  # balls have a radius of at most the picture's side divided by this
EDGE = 14.0  # how dark the shadow behind a nearer point is
BACKGROUND = np.array([1.0, 1.0, 1.0])
CLAY = np.array([0.74, 0.71, 0.66])
# Few colours that can be told apart in print and by the colour-blind: Okabe and Ito 2008, softened.
BLUE, ORANGE, GREEN = (86, 150, 200), (230, 160, 60), (90, 170, 130)
PINK, SAND, VIOLET = (200, 110, 150), (170, 150, 120), (120, 120, 190)
PALETTE = np.array([BLUE, ORANGE, GREEN, PINK, SAND, VIOLET]) / 255


@dataclass(frozen=True)
class View:
    """Where one looks from, and what fills the picture: a ball."""

    azimuth: float = -60.0  # degrees about z; -90 looks along +y
    elevation: float = 22.0  # degrees above the horizon
    center: tuple[float, float, float] = (0.0, 0.0, 0.0)
    radius: float = 1.0


def view_of(points: np.ndarray, azimuth: float = -60.0, elevation: float = 22.0) -> View:
    """A view that holds all points (N, 3)."""
    center = (points.min(0) + points.max(0)) / 2
    radius = float(np.linalg.norm(points - center, axis=1).max()) or 1.0
    return View(azimuth, elevation, tuple(center.tolist()), radius)


def render(
    points: np.ndarray,
    view: View | None = None,
    *,
    normals: np.ndarray | None = None,
    colours: np.ndarray | None = None,
    size: int = 320,
    ball: float | None = None,
    cull: bool = False,
) -> np.ndarray:
    """A square picture (size, size, 3) uint8 of points (N, 3).

    With normals points are discs lit by them, else they are balls. colours (N, 3) in 0..1, clay
    where there are none. ball: radius in the cloud's unit; if none is given 0.8 of the median
    distance to the fourth nearest point (points at random have many pairs, and would be drawn finer
    than a grid of as many), and for discs, which are to close a surface, 3 of that to the nearest.
    cull: leave out points whose normals look away, else both sides are lit. Without points the
    picture is empty.
    """
    side = size * SUPER
    picture = np.broadcast_to(BACKGROUND, (side, side, 3)).copy()
    if len(points):
        view = view or view_of(points)
        if ball is None:
            ball = 0.8 * _spacing(points, 4) if normals is None else 3.0 * _spacing(points, 1)
        if cull and normals is not None:
            faces = _faces_eye(points, normals, view)
            points, normals = points[faces], normals[faces]
            colours = None if colours is None else colours[faces]
        seen = _project(points, view, side)
        radius = min(max(ball / view.radius * side / 2 * 0.92, 1.2), side / LARGEST)
        colours = np.broadcast_to(CLAY, points.shape) if colours is None else colours
        owner, depth, bulge = _splat(*seen, side, radius)
        picture = _shade(picture, view, owner, depth, bulge, colours, normals)
    small = picture.reshape(size, SUPER, size, SUPER, 3).mean((1, 3))
    return (small * 255).round().astype(np.uint8)


def _spacing(points: np.ndarray, k: int) -> float:
    """The median distance to the kth nearest point, to the farthest where there are fewer."""
    points = np.unique(points, axis=0)  # a cloud may have points twice
    if len(points) < 2:
        return 0.05
    near = cKDTree(points).query(points, min(k + 1, len(points)))[0]
    return float(np.median(near[:, -1]))


def _axes(view: View) -> np.ndarray:
    """Unit vectors to the right, up and away from the eye: (3, 3) rows."""
    a, e = np.radians([view.azimuth, view.elevation])
    away = -np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    right = np.array([-np.sin(a), np.cos(a), 0])
    return np.stack([right, np.cross(right, away), away])


def _faces_eye(points: np.ndarray, normals: np.ndarray, view: View) -> np.ndarray:
    eye = np.asarray(view.center) - FAR * view.radius * _axes(view)[2]
    return ((eye - points) * normals).sum(1) > 0


def _project(points: np.ndarray, view: View, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 2) column and row, and distances from the eye (N,), in radii."""
    seen = (points - np.asarray(view.center)) / view.radius @ _axes(view).T
    depth = FAR + seen[:, 2]
    screen = seen[:, :2] * (FAR / depth)[:, None] * 0.92  # (N, 2) in -1..1: what is near is larger
    return (np.stack([screen[:, 0], -screen[:, 1]], 1) + 1) * side / 2, depth


def _splat(pixels, depth, side: int, radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a ball at each point: owner (H*W,) or -1, depth (H*W,), place in the ball (H*W, 2)."""
    reach = int(np.ceil(radius))
    span = np.arange(-reach, reach + 1)
    offsets = np.stack(np.meshgrid(span, span), -1).reshape(-1, 2)
    offsets = offsets[(offsets**2).sum(1) <= radius**2]
    # One number a pixel: depth in the upper 32 bits, the point's number in the lower ones. The
    # smallest number is the nearest point, so that a minimum is all that a depth buffer takes.
    nearest = np.full(side * side, np.iinfo(np.uint64).max, np.uint64)
    corner, number = np.floor(pixels).astype(np.int64), np.arange(len(pixels), dtype=np.uint64)
    for offset in offsets:
        spot = corner + offset
        # a ball bulges towards the eye: its middle is nearer than its rim
        lift = np.sqrt(max(radius**2 - (offset**2).sum(), 0)) * 2 / side
        key = ((depth - lift) * 2**24).astype(np.uint64) << np.uint64(32) | number
        within = ((spot >= 0) & (spot < side)).all(1) & (depth > lift + 0.1)
        np.minimum.at(nearest, spot[within, 1] * side + spot[within, 0], key[within])
    owner = np.where(
        nearest == np.iinfo(np.uint64).max, -1, (nearest & 0xFFFFFFFF).astype(np.int64)
    )
    there = np.flatnonzero(owner >= 0)
    depths, bulge = np.full(side * side, np.inf), np.zeros((side * side, 2))
    depths[there] = (nearest[there] >> np.uint64(32)).astype(float) / 2**24
    middle = np.stack([there % side, there // side], 1) + 0.5
    bulge[there] = np.clip((middle - pixels[owner[there]]) / radius, -1, 1)
    return owner, depths, bulge


def _shade(picture, view: View, owner, depth, bulge, colours, normals) -> np.ndarray:
    there = owner >= 0
    if normals is None:
        x, y = bulge[there].T
        facing = np.stack([x, -y, -np.sqrt(np.clip(1 - x**2 - y**2, 0.05, 1))], 1)
    else:
        facing = normals[owner[there]] @ _axes(view).T
        facing = facing * np.where(facing[:, 2:] > 0, -1, 1)  # both sides are seen
    light = LIGHT / np.linalg.norm(LIGHT)
    lit = AMBIENT + (1 - AMBIENT) * np.clip(facing @ light, 0, 1)
    shadow = _edge_shadow(depth.reshape(picture.shape[:2])).ravel()[there]
    pixels = picture.reshape(-1, 3)
    pixels[there] = np.clip(colours[owner[there]] * (lit * shadow)[:, None] * 1.15, 0, 1)
    return pixels.reshape(picture.shape)


def _edge_shadow(depth: np.ndarray) -> np.ndarray:
    """Eye-dome lighting (Boucheny 2009): what lies behind its neighbours in the picture is darker.

    depth (H, W), infinite where nothing is; returns factors in 0..1.
    """
    step = 2 * SUPER
    padded = np.pad(depth, step, constant_values=np.inf)
    height, width = depth.shape
    dark = np.zeros_like(depth)
    known = np.where(np.isfinite(depth), depth, 0)
    for dy, dx in ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1)):
        row, column = step + dy * step, step + dx * step
        other = padded[row : row + height, column : column + width]
        dark += np.clip(known - np.where(np.isfinite(other), other, np.inf), 0, 0.12)
    return np.exp(-EDGE * dark / 8)
