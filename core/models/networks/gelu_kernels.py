"""The compiled loops of `gelu.py`, for float32 and bfloat16: one pass over the values each.

    gelu(x) = x s(z),  s(z) = 1 / (1 + exp(-z)),  z = 2 sqrt(2/pi) (x + 0.044715 x^3)

which is 0.5 x (1 + tanh(z / 2)). Arithmetic is in float32; bfloat16 is rounded once, at the end, to
the nearest, as PyTorch does. exp is 2^n 2^f with a polynomial for |f| <= 1/2: operations that a
compiler turns into vectors, as a call of a library's exp is not.
"""

from __future__ import annotations

import math

import numpy as np

from core.compiled import njit

# contract: a product and a sum may be one operation; nothing is reordered, so that a value has the
# same result wherever it lies in a tensor
LOOP = {"cache": True, "error_model": "numpy", "nogil": True, "fastmath": {"contract"}}
SCALE = np.float32(2 * math.sqrt(2 / math.pi))  # z = SCALE (x + CUBE x^3)
CUBE = np.float32(0.044715)
LOG2E = np.float32(1 / math.log(2))
C1, C2, C3, C4, C5, C6, C7 = (np.float32(math.log(2) ** k / math.factorial(k)) for k in range(1, 8))
ONE, HALF, LOW, HIGH = (np.float32(value) for value in (1, 0.5, -126, 128))  # 2^128 is infinite


@njit("float32(float32)", **LOOP)
def sigmoid_of(x):
    """s(z) of x."""
    t = -LOG2E * (SCALE * (x + CUBE * x * x * x))
    t = min(max(t, LOW), HIGH)
    n = np.floor(t + HALF)
    f = t - n
    p = ONE + f * (C1 + f * (C2 + f * (C3 + f * (C4 + f * (C5 + f * (C6 + f * C7))))))
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return ONE / (ONE + p * power)


@njit("float32(float32, float32)", **LOOP)
def slope_of(x, gradient):
    """gradient d gelu / dx = gradient (s + x s (1 - s) dz/dx)."""
    s = sigmoid_of(x)
    return gradient * s * (ONE + x * (ONE - s) * SCALE * (ONE + np.float32(3) * CUBE * x * x))


@njit("float32(uint16)", **LOOP)
def wide(bits):
    """The float32 of bfloat16's bits."""
    return np.uint32(np.uint32(bits) << np.uint32(16)).view(np.float32)


@njit("uint16(float32)", **LOOP)
def narrow(value):
    """bfloat16's bits, to the nearest, ties to even."""
    bits = np.float32(value).view(np.uint32)
    up = np.uint32(np.uint32(0x7FFF) + (np.uint32(bits >> np.uint32(16)) & np.uint32(1)))
    return np.uint16(np.uint32(bits + up) >> np.uint32(16))


@njit("void(float32[::1], float32[::1])", **LOOP)
def gelu_float32(x, out):
    """gelu of each value."""
    for i in range(x.size):
        out[i] = x[i] * sigmoid_of(x[i])


@njit("void(uint16[::1], uint16[::1])", **LOOP)
def gelu_bfloat16(x, out):
    """The same, of bfloat16's bits."""
    for i in range(x.size):
        value = wide(x[i])
        out[i] = narrow(value * sigmoid_of(value))


@njit("void(float32[::1])", **LOOP)
def over_float32(x):
    """gelu of each value, in its place: a loop that knows of one array has vectors, too."""
    for i in range(x.size):
        x[i] *= sigmoid_of(x[i])


@njit("void(uint16[::1])", **LOOP)
def over_bfloat16(x):
    """The same, of bfloat16's bits."""
    for i in range(x.size):
        value = wide(x[i])
        x[i] = narrow(value * sigmoid_of(value))


@njit("void(float32[::1], float32[::1], float32[::1])", **LOOP)
def slope_float32(x, gradient, out):
    """What goes back through it, of each value."""
    for i in range(x.size):
        out[i] = slope_of(x[i], gradient[i])


@njit("void(uint16[::1], uint16[::1], uint16[::1])", **LOOP)
def slope_bfloat16(x, gradient, out):
    """The same, of bfloat16's bits."""
    for i in range(x.size):
        out[i] = narrow(slope_of(wide(x[i]), wide(gradient[i])))
