"""The compiled loops over pixels. The first import on a machine compiles them, for some seconds.

H, W of the canvas in pixels; lengths are in pixels, angles in radians, colours in 0..1. Every
canvas is written in place.
"""

from __future__ import annotations

import math

import numba

from core.compiled import njit

DAB = 11  # columns of a dab's row in `dab`


@njit("float32(uint32)", cache=True)
def unit(number):
    """A hash of the number in [0, 1): the finaliser of MurmurHash3 (Appleby, public domain)."""
    z = numba.uint32(number * numba.uint32(0x9E3779B1))  # numba multiplies in 64 bits
    z = numba.uint32((z ^ (z >> numba.uint32(16))) * numba.uint32(0x85EBCA6B))
    z = numba.uint32((z ^ (z >> numba.uint32(13))) * numba.uint32(0xC2B2AE35))
    z = numba.uint32(z ^ (z >> numba.uint32(16)))
    return numba.float32(z >> numba.uint32(8)) * numba.float32(2.0**-24)


@njit("float32(float32)", cache=True)
def clip(x):
    """x between 0 and 1, in float32."""
    return min(max(x, numba.float32(0)), numba.float32(1))


@njit(
    "void(uint8[:, ::1], float32[:, ::1], float32[::1], float32[:, :, ::1], float32[:, :, ::1])",
    cache=True,
    error_model="numpy",
    nogil=True,
)
def shade(labels, shapes, sun, colour, fields):
    """Colour and fields of each pixel from the shape that it belongs to.

    shapes (K, 16): centre x, y, radius x, y, roundness, gradient's axis x, y, colour at its
    start, colour at its end, stroke's angle, swirl, depth. sun (3,): the unit vector to the light.
    fields (4, H, W): light (1 is neutral), stroke's angle, distance across the strokes, depth.
    """
    for row in range(labels.shape[0]):
        for column in range(labels.shape[1]):
            s = shapes[labels[row, column]]
            x, y = column + numba.float32(0.5) - s[0], row + numba.float32(0.5) - s[1]
            u, v = x / s[2], y / s[3]
            along = clip(numba.float32(0.5) * (1 + u * s[5] + v * s[6]))
            up = math.sqrt(clip(1 - u * u - v * v))
            light = 1 + s[4] * (u * sun[0] + v * sun[1] + up * sun[2] - numba.float32(0.55))
            for c in range(3):
                base = s[7 + c] + along * (s[10 + c] - s[7 + c])
                colour[row, column, c] = clip(base * light)
            fields[0, row, column] = light
            fields[3, row, column] = s[15]
            if s[14] > 0:
                fields[1, row, column] = math.atan2(y, x) + numba.float32(math.pi / 2)
                fields[2, row, column] = math.sqrt(x * x + y * y)
            else:
                fields[1, row, column] = s[13]
                fields[2, row, column] = y * math.cos(s[13]) - x * math.sin(s[13])


@njit("void(float32[:, :, ::1], float32[:, ::1])", cache=True, error_model="numpy", nogil=True)
def dab(canvas, dabs):
    """Put dabs of paint on the canvas, one over the other.

    dabs (N, DAB): x, y, half length, half width, angle, colour (3), opacity, bristles, relief.
    Each is a rounded bar. Bristles (0..1): how much the opacity differs from hair to hair of the
    brush; relief: how much the brightness does.
    """
    half = numba.float32(0.5)
    for i in range(dabs.shape[0]):
        d = dabs[i]
        reach = max(d[2], d[3]) + 1
        c, s = math.cos(d[4]), math.sin(d[4])
        top, bottom = max(int(d[1] - reach), 0), min(int(d[1] + reach) + 1, canvas.shape[0])
        left, right = max(int(d[0] - reach), 0), min(int(d[0] + reach) + 1, canvas.shape[1])
        for row in range(top, bottom):
            for column in range(left, right):
                x, y = column + half - d[0], row + half - d[1]
                along, across = x * c + y * s, y * c - x * s
                beyond = max(abs(along) - max(d[2] - d[3], numba.float32(0)), numba.float32(0))
                inside = clip(half + d[3] - math.sqrt(beyond * beyond + across * across))
                if inside <= 0:
                    continue
                hair = unit(numba.uint32(i * 64 + int(across + 32)))
                cover = inside * d[8] * (1 - d[9] * hair)
                gain = 1 + d[10] * (hair - half)
                for k in range(3):
                    paint = clip(d[5 + k] * gain)
                    canvas[row, column, k] += cover * (paint - canvas[row, column, k])
