"""One ray at a time through a town: what it meets. Compiled by numba; the light is in shading.py.

Legend: the town's frame is x east, y north, z up, in metres, the ground at z = 0. Arrays, float64:
    houses (N, 19): x0 y0 x1 y1, height of the walls, height of the ridge above them, axis of the
        ridge (0 x, 1 y, -1 a flat roof), wall r g b, roof r g b, window r g b, radius around,
        storeys' height, width of a bay
    trees (M, 10): x y, z of the crown's centre, its radius and half height, r g b, kind (0 round,
        1 conical), radius of the trunk
    grounds (K, 10): x0 y0 x1 y1, shape (0 rectangle, 1 ellipse), material, r g b, axis of its
        pattern; later ones lie on earlier ones
    light (14): direction to the sun x y z, its strength, the sky's strength, r g b at the zenith,
        r g b at the horizon, cloudiness, haze (1/m), seed of the clouds
"""

from __future__ import annotations

import numpy as np

from apps.crossview.towns.classes import BUILDING, GRASS, ROAD, SKY, TREE, WATER
from core.compiled import njit

ASPHALT, PAVEMENT, MEADOW, FIELD, POND = range(5)  # materials of the ground
FAR = 1e9
FAST = {"cache": True, "fastmath": False, "error_model": "numpy"}


@njit(**FAST)
def _misses(ox, oy, dx, dy, flat, x, y, radius):
    """Whether a ray passes a vertical cylinder by: the cheap test before the exact one."""
    # flat: the squared length of the direction in the plan, dx dx + dy dy
    px, py = x - ox, y - oy
    if flat == 0.0:  # straight down or up
        return px * px + py * py > radius * radius
    side = dx * py - dy * px  # distance of the axis from the ray, times the root of flat
    if side * side > radius * radius * flat:
        return True
    # behind the origin, and the origin not inside
    return dx * px + dy * py < 0 and px * px + py * py > radius * radius


@njit(**FAST)
def _house(o, d, h):
    """Distance to a house, and the side that is met: 0 x, 1 y walls, 2 roof; or FAR."""
    # a house is an intersection of half spaces: the ray is inside from `near`, the last one that
    # it enters, to `far`, the first one that it leaves
    near, far, side = -FAR, FAR, -1
    for axis in range(2):
        if d[axis] == 0.0:  # along the walls: between them always or never
            if o[axis] < h[axis] or o[axis] > h[axis + 2]:
                return FAR, -1
            continue
        a, b = (h[axis] - o[axis]) / d[axis], (h[axis + 2] - o[axis]) / d[axis]
        if a > b:
            a, b = b, a
        if a > near:
            near, side = a, axis
        far = min(far, b)
    # below the roof: z <= wall + ridge * (1 - |t - middle| / half), two half spaces
    top, axis = h[4], int(h[6])
    for sign in (-1.0, 1.0):
        slope, base = 0.0, top
        if axis >= 0:
            across = 1 - axis
            half = 0.5 * (h[across + 2] - h[across])
            middle = 0.5 * (h[across + 2] + h[across])
            slope = sign * h[5] / half
            base = top + h[5] - slope * middle
            above = o[2] + slope * o[across] - (top + h[5] + slope * middle)
            speed = d[2] + slope * d[across]
        else:
            above, speed = o[2] - base, d[2]
        # above: height of the origin over this side of the roof; speed: how fast it grows
        if speed == 0.0:
            if above > 0:
                return FAR, -1
            continue
        t = -above / speed
        if speed < 0:  # enters the half space under the roof
            if t > near:
                near, side = t, 2 if sign < 0 else 3
        else:
            far = min(far, t)
    if near > far or near < 1e-6:  # passes it by, or begins inside or beyond
        return FAR, -1
    return near, side


@njit(**FAST)
def _tree(o, d, t):
    """Distance to a crown (0) or a trunk (1), and which; or FAR."""
    best, part = FAR, -1
    r, hz = t[3], t[4]
    if t[8] < 0.5:  # an ellipsoid
        ox, oy, oz = (o[0] - t[0]) / r, (o[1] - t[1]) / r, (o[2] - t[2]) / hz
        dx, dy, dz = d[0] / r, d[1] / r, d[2] / hz
        # scaled to a unit sphere: a s^2 + 2 b s + c = 0
        a = dx * dx + dy * dy + dz * dz
        b = ox * dx + oy * dy + oz * dz
        c = ox * ox + oy * oy + oz * oz - 1
    else:  # a cone, its tip at the top of the crown
        k = r / (2 * hz)  # its radius grows by k for each metre below the tip
        ox, oy, oz = o[0] - t[0], o[1] - t[1], (t[2] + hz - o[2]) * k
        dx, dy, dz = d[0], d[1], -d[2] * k
        a = dx * dx + dy * dy - dz * dz
        b = ox * dx + oy * dy - oz * dz
        c = ox * ox + oy * oy - oz * oz
    root = b * b - a * c  # a quarter of the discriminant
    if root > 0 and a != 0:
        root = np.sqrt(root)
        first, second = (-b - root) / a, (-b + root) / a
        if first > second:
            first, second = second, first
        for s in (first, second):
            z = o[2] + s * d[2]  # the cone goes on below the crown, and its mirror image above
            if 1e-6 < s < best and t[2] - hz <= z <= t[2] + hz:
                best, part = s, 0
                break
    radius = t[9]  # the trunk: a cylinder from the ground to the crown's centre
    a = d[0] * d[0] + d[1] * d[1]
    if a > 0:
        ox, oy = o[0] - t[0], o[1] - t[1]
        b = ox * d[0] + oy * d[1]
        root = b * b - a * (ox * ox + oy * oy - radius * radius)
        if root > 0:
            s = (-b - np.sqrt(root)) / a
            z = o[2] + s * d[2]
            if 1e-6 < s < best and 0 <= z <= t[2]:
                best, part = s, 1
    return best, part


@njit(**FAST)
def first_hit(o, d, houses, trees):
    """Distance, kind (0 sky, 1 ground, 2 house, 3 tree), number and part of what a ray meets."""
    best, kind, number, part = FAR, 0, -1, 0
    if d[2] < -1e-9:  # downwards: the ground at z = 0, unless something stands before it
        best, kind = -o[2] / d[2], 1
    flat = d[0] * d[0] + d[1] * d[1]
    for i in range(len(houses)):
        h = houses[i]
        x, y = 0.5 * (h[0] + h[2]), 0.5 * (h[1] + h[3])
        if not _misses(o[0], o[1], d[0], d[1], flat, x, y, h[16]):
            t, side = _house(o, d, h)
            if t < best:
                best, kind, number, part = t, 2, i, side
    for i in range(len(trees)):
        t = trees[i]
        if not _misses(o[0], o[1], d[0], d[1], flat, t[0], t[1], t[3]):
            s, which = _tree(o, d, t)
            if s < best:
                best, kind, number, part = s, 3, i, which
    return best, kind, number, part


@njit(**FAST)
def shadowed(p, sun, houses, trees):
    """Whether something stands between a point and the sun."""
    flat = sun[0] * sun[0] + sun[1] * sun[1]
    for i in range(len(houses)):
        h = houses[i]
        x, y = 0.5 * (h[0] + h[2]), 0.5 * (h[1] + h[3])
        if _misses(p[0], p[1], sun[0], sun[1], flat, x, y, h[16]):
            continue
        if _house(p, sun, h)[0] < FAR:
            return True
    for i in range(len(trees)):
        t = trees[i]
        if _misses(p[0], p[1], sun[0], sun[1], flat, t[0], t[1], t[3]):
            continue
        if _tree(p, sun, t)[0] < FAR:
            return True
    return False


@njit(**FAST)
def ground_at(x, y, grounds):
    """Number of the topmost piece of ground at a place."""
    for k in range(len(grounds) - 1, -1, -1):  # the last one that was laid lies on top
        g = grounds[k]
        if g[0] <= x <= g[2] and g[1] <= y <= g[3]:
            if g[4] < 0.5:
                return k
            u = (2 * x - g[0] - g[2]) / (g[2] - g[0])
            v = (2 * y - g[1] - g[3]) / (g[3] - g[1])
            if u * u + v * v <= 1:
                return k
    return 0


@njit(**FAST)
def class_of(kind, number, x, y, grounds):
    """The class of what a ray met; x and y of the place, for the ground."""
    if kind == 0:
        return SKY
    if kind == 2:
        return BUILDING
    if kind == 3:
        return TREE
    material = int(grounds[ground_at(x, y, grounds)][5])
    if material in (ASPHALT, PAVEMENT):
        return ROAD
    return WATER if material == POND else GRASS
