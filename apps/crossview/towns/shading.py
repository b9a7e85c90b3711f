"""The light on what a ray meets in a town: colours, shadows, sky, haze. Compiled by numba.

Legend: arrays as in kernels.py; a colour is (3,) in [0, 1], written to `out`.
"""

from __future__ import annotations

import numpy as np

from apps.crossview.towns.kernels import (
    ASPHALT,
    FAST,
    FIELD,
    MEADOW,
    PAVEMENT,
    POND,
    class_of,
    first_hit,
    ground_at,
    shadowed,
)
from core.compiled import njit


@njit(**FAST)
def lattice(i, j, seed):
    """A number in [0, 1) for a whole place, always the same."""
    # the place and the seed through a mixer of 64 bits; the upper 53 are a float's mantissa
    h = np.uint64(i) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(j) * np.uint64(0xC2B2AE3D27D4EB4F)
    h = (h ^ np.uint64(seed)) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(29))) * np.uint64(0x94D049BB133111EB)
    h = h ^ (h >> np.uint64(32))
    return float(h >> np.uint64(11)) * 2.0**-53


@njit(**FAST)
def noise(x, y, seed):
    """Value noise of unit cells, in [0, 1)."""
    i, j = np.floor(x), np.floor(y)
    u, v = x - i, y - j
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    a = lattice(np.int64(i), np.int64(j), seed) * (1 - u)
    a += lattice(np.int64(i) + 1, np.int64(j), seed) * u
    b = lattice(np.int64(i), np.int64(j) + 1, seed) * (1 - u)
    b += lattice(np.int64(i) + 1, np.int64(j) + 1, seed) * u
    return a * (1 - v) + b * v


@njit(**FAST)
def sky(d, light, out):
    """Colour of the sky in a direction: a gradient, the sun's glow, clouds."""
    up = max(d[2], 0.0)
    share = up**0.55
    for c in range(3):
        out[c] = light[5 + c] * share + light[8 + c] * (1 - share)
    if d[2] > 0.02 and light[11] > 0:
        x, y = d[0] / (d[2] + 0.25) * 2.2, d[1] / (d[2] + 0.25) * 2.2
        seed = int(light[13])
        puff = 0.55 * noise(x, y, seed) + 0.3 * noise(2.1 * x, 2.1 * y, seed + 1)
        puff += 0.15 * noise(4.3 * x, 4.3 * y, seed + 2)
        cover = min(max((puff - 1 + light[11]) * 4, 0.0), 1.0) * min(1.0, 4 * up) * 0.8
        for c in range(3):
            out[c] += cover * (0.93 - out[c])
    towards = d[0] * light[0] + d[1] * light[1] + d[2] * light[2]
    if towards > 0:
        glow = light[3] * (0.25 * towards**24 + (0.6 if towards > 0.9985 else 0.0))
        for c in range(3):
            out[c] += glow * (1.0, 0.95, 0.8)[c]


@njit(**FAST)
def _ground_colour(x, y, g, light, out):
    """Colour of a piece of ground at a place, before light."""
    for c in range(3):
        out[c] = g[6 + c]
    material, along, across = int(g[5]), y, x - 0.5 * (g[0] + g[2])
    if g[9] < 0.5:
        along, across = x, y - 0.5 * (g[1] + g[3])
    factor = 0.94 + 0.12 * noise(3.0 * x, 3.0 * y, 7)
    if material == ASPHALT:
        if abs(across) < 0.12 and along % 6.0 < 3.0:
            out[0], out[1], out[2] = 0.9, 0.9, 0.86
    elif material == PAVEMENT:
        if along % 1.5 < 0.12:
            factor *= 0.86
    elif material == FIELD:
        factor *= 0.88 + 0.24 * (0.5 + 0.5 * np.sin(along * 3.2)) * 0.7
    elif material == MEADOW:
        factor = 0.8 + 0.25 * noise(0.5 * x, 0.5 * y, 3) + 0.15 * noise(4.0 * x, 4.0 * y, 4)
    elif material == POND:
        factor = 0.92 + 0.16 * noise(0.8 * x, 2.5 * y, 5)
    for c in range(3):
        out[c] *= factor


@njit(**FAST)
def _house_colour(p, side, h, out, normal):
    """Colour and normal of a house where it was met; windows on its walls."""
    normal[0] = normal[1] = normal[2] = 0.0
    if side >= 2:  # the roof; 2 falls towards smaller x (or y), 3 towards larger
        sign = -1.0 if side == 2 else 1.0
        axis = int(h[6])
        normal[2] = 1.0
        if axis >= 0:
            across = 1 - axis
            normal[across] = sign * h[5] / (0.5 * (h[across + 2] - h[across]))
            length = np.sqrt(1 + normal[across] ** 2)
            normal[across] /= length
            normal[2] /= length
        tiles = 0.93 + 0.14 * noise(2.5 * p[0], 2.5 * p[1], 11)
        for c in range(3):
            out[c] = h[10 + c] * tiles
        return
    normal[side] = -1.0 if abs(p[side] - h[side]) < abs(p[side] - h[side + 2]) else 1.0
    along = p[1 - side] - h[1 - side]  # metres along the wall
    # place in the bay and in the storey; a window lies amid both, and only where both are whole
    u, z = along % h[18], p[2] % h[17]
    wide = h[1 - side + 2] - h[1 - side]
    inside = h[18] * 0.25 < u < h[18] * 0.75 and h[17] * 0.32 < z < h[17] * 0.8
    whole = along - u + h[18] <= wide and p[2] - z + h[17] <= h[4] + 0.3
    if inside and whole:
        for c in range(3):
            out[c] = h[13 + c]
    else:
        stain = 0.95 + 0.1 * noise(1.5 * along, 1.5 * p[2], 12)
        for c in range(3):
            out[c] = h[7 + c] * stain


@njit(**FAST)
def _tree_colour(p, part, t, out, normal):
    """Colour and normal of a tree where it was met."""
    if part == 1:
        normal[0], normal[1], normal[2] = p[0] - t[0], p[1] - t[1], 0.0
        out[0], out[1], out[2] = 0.32, 0.24, 0.17
    else:
        # the ellipsoid's gradient; for a cone something near it
        normal[0], normal[1] = (p[0] - t[0]) / t[3] ** 2, (p[1] - t[1]) / t[3] ** 2
        normal[2] = (p[2] - t[2]) / t[4] ** 2 if t[8] < 0.5 else 0.5 / t[3]
        u, v = 2.7 * (p[0] - t[0]), 2.7 * (p[1] - t[1])
        w = 2.7 * p[2]
        leaf = 0.6 + 0.22 * (noise(u, v, 21) + noise(v, w, 22) + noise(w, u, 23))
        for c in range(3):
            out[c] = t[5 + c] * leaf
    length = np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2)
    for c in range(3):
        normal[c] /= length


@njit(**FAST)
def shade(o, d, houses, trees, casters, grounds, light, out):
    """Colour (3,) of a ray, written to `out`; casters: the houses and trees that throw shadows."""
    t, kind, number, part = first_hit(o, d, houses, trees)
    if kind == 0:
        sky(d, light, out)
        return
    p, normal, sun = np.empty(3), np.zeros(3), light[:3]
    for c in range(3):
        p[c] = o[c] + t * d[c]
    wet = 0.0
    if kind == 1:
        g = grounds[ground_at(p[0], p[1], grounds)]
        _ground_colour(p[0], p[1], g, light, out)
        normal[2] = 1.0
        wet = 1.0 if int(g[5]) == POND else 0.0
    elif kind == 2:
        _house_colour(p, part, houses[number], out, normal)
    else:
        _tree_colour(p, part, trees[number], out, normal)
    facing = normal[0] * sun[0] + normal[1] * sun[1] + normal[2] * sun[2]
    bright = light[4] * (0.75 + 0.25 * normal[2])  # the sky's, less of it on walls
    if facing > 0:
        # the ray to the sun begins off the surface, which would shadow itself
        for c in range(3):
            p[c] += 1e-3 * normal[c]
        if not shadowed(p, sun, casters[0], casters[1]):
            bright += light[3] * facing
    for c in range(3):
        out[c] *= bright * (1.0, 0.98, 0.95)[c]
    if wet > 0:  # the sky's mirror image, more of it at a flat angle
        share = 0.25 + 0.6 * (1 + d[2]) ** 3
        for c in range(3):
            out[c] += share * (light[8 + c] * 0.8 + light[5 + c] * 0.2 - out[c])
    # haze: what lies far takes the colour of the horizon
    veil = 1 - np.exp(-light[12] * t)
    for c in range(3):
        out[c] += veil * (light[8 + c] - out[c])


@njit(**FAST)
def draw(origins, directions, samples, seen, casters, grounds, light, haze, image, classes):
    """Colours (H, W, 3) in [0, 1] and classes (H, W).

    seen, casters: (houses, trees) that rays can meet, and that throw shadows on what they meet.
    origins, directions (H, W, 1 + samples, 3): the first ray of a pixel goes through its middle and
    decides the class, the others are averaged. haze: 1, or 0 for a view without it.
    """
    hazy = light.copy()
    hazy[12] *= haze
    houses, trees = seen
    colour = np.empty(3)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            o, d = origins[i, j, 0], directions[i, j, 0]
            t, kind, number, _ = first_hit(o, d, houses, trees)
            x, y = o[0] + t * d[0], o[1] + t * d[1]
            classes[i, j] = class_of(kind, number, x, y, grounds)
            for s in range(1, 1 + samples):
                o, d = origins[i, j, s], directions[i, j, s]
                shade(o, d, houses, trees, casters, grounds, hazy, colour)
                for c in range(3):
                    image[i, j, c] += min(max(colour[c], 0.0), 1.0) / samples
