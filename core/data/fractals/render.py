"""From a system to the number of points in each pixel, by the chaos game."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np

from core.data.fractals.systems import System, start
from core.errors import InputError, first_line

COLUMNS = 8  # of the alias table: the most maps a system can have
BURN_IN = 20  # points of each game that are not drawn: all games have the same start
MARGIN = 6 / 512  # empty border, as a share of the side: FractalDB's 6 pixels of 512
RUNAWAY = 1e6  # width of a bounding box; shifts are near 1
POINT = np.zeros((1, 2), np.int64)  # the mask of a single pixel


@functools.cache
def kernels() -> Any:
    """The compiled loops. The first import on a machine compiles them, for some seconds."""
    try:
        return importlib.import_module("core.data.fractals.kernels")
    except ImportError as error:
        raise InputError("fractal images need the package numba: pip install numba") from error
    except RuntimeError as error:  # neither the package's folder nor the user's can be written
        raise InputError(
            f"numba cannot keep compiled code ({first_line(error)}): set NUMBA_CACHE_DIR to a "
            "folder that can be written"
        ) from error


def points(system: System, number: int, key: int) -> tuple[np.ndarray, np.ndarray]:
    """`number` points (x, y) of the system's attractor, float32, by the random numbers of `key`."""
    compiled = kernels()
    table, thresholds = alias_table(system)
    skipped = BURN_IN * compiled.LAG
    xs, ys = np.empty((2, skipped + number), np.float32)
    xs[: compiled.LAG], ys[: compiled.LAG] = start(system)
    compiled.play(table, thresholds, np.uint64(key), xs, ys)
    return xs[skipped:], ys[skipped:]


def alias_table(system: System) -> tuple[np.ndarray, np.ndarray]:
    """Walker's alias method: (16, 6) float32 maps of 8 columns, (8,) thresholds of 29 bits.

    Column k stands for map k below its threshold and for another one above, such that 8 equally
    likely columns make the system's probabilities to within 2^-29.
    """
    shares, others = _alias(system.chances)
    maps = np.zeros((COLUMNS, 6), np.float32)
    maps[: len(system.maps)] = system.maps
    table = np.stack([maps, maps[others]], axis=1).reshape(2 * COLUMNS, 6)
    return table, np.round(np.array(shares) * 2**29).astype(np.uint32)


def _alias(chances: np.ndarray) -> tuple[list[float], list[int]]:
    """Each column's share of its own map, and the other map in it (Vose, 1991)."""
    heights = [COLUMNS * float(chance) for chance in chances]
    heights += [0.0] * (COLUMNS - len(heights))
    shares, others = [1.0] * COLUMNS, [int(np.argmax(heights))] * COLUMNS
    small = [k for k in range(COLUMNS) if heights[k] < 1]
    large = [k for k in range(COLUMNS) if heights[k] >= 1]
    while small and large:
        low, high = small.pop(), large[-1]
        shares[low], others[low] = heights[low], high
        heights[high] -= 1 - heights[low]
        if heights[high] < 1:
            small.append(large.pop())
    return shares, others


def draw(
    system: System, size: int, number: int, key: int, mask: np.ndarray | None = POINT
) -> np.ndarray | None:
    """Points of the attractor per pixel, (size, size) uint32; None where the game runs away.

    The points' bounding box, stretched to a square, fills the image but for a margin of 6/512 (at
    least one pixel), y upwards. mask: the (row, column) offsets, -1 to 1, that every point is drawn
    with; None: a random 3x3 mask for each point, which overwrites (0 or 1), as FractalDB's code.

    Deviations from that code: games begin on the attractor and not at (0, 0), and the box is moved
    to the margin wherever it lies, where the code moves negative boxes only.
    """
    xs, ys = points(system, number, key)
    margin = max(1, round(MARGIN * size))
    if (frame := _frame(xs, ys, size - 2 * margin)) is None:
        return None
    compiled, cells = kernels(), np.empty(number, np.int32)
    compiled.cells(xs, ys, frame, margin, size, cells)
    counts = np.zeros(size * size, np.uint32)
    if mask is None:
        compiled.paste(cells, size, np.uint64(key ^ 1), counts)
    else:
        compiled.count(cells, (mask @ (size, 1)).astype(np.int32), counts)
    return counts.reshape(size, size)


def _frame(xs: np.ndarray, ys: np.ndarray, room: int) -> np.ndarray | None:
    """left, top, pixels per unit to the right and downwards (float32) for a box of `room` pixels.

    None where the points are a line, run away, or are not numbers.
    """
    left, right, bottom, top = xs.min(), xs.max(), ys.min(), ys.max()
    width, height = float(right) - float(left), float(top) - float(bottom)
    if not (0 < width < RUNAWAY and 0 < height < RUNAWAY):
        return None
    room -= 0.001  # of a pixel, so that the last point falls on the last one
    return np.array([left, top, room / width, room / height], np.float32)


def fill(counts: np.ndarray | None) -> float:
    """The share of pixels that a point fell on."""
    return 0.0 if counts is None else np.count_nonzero(counts) / counts.size
