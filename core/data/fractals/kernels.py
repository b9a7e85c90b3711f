"""The compiled loops over points. Import it through `core.data.fractals.render.kernels`.

No fast-math: every operation is IEEE's, so that all machines make the same bits, and plain NumPy
too. The signatures are written out, so that importing compiles, or loads from numba's cache.
"""

from __future__ import annotations

import numba

from core.compiled import njit

LOOP = {"cache": True, "error_model": "numpy", "nogil": True}
LAG = 16  # chaos games side by side; each point follows the one LAG places before it

# SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014
STEP = numba.uint64(0x9E3779B97F4A7C15)
MIX1 = numba.uint64(0xBF58476D1CE4E5B9)
MIX2 = numba.uint64(0x94D049BB133111EB)


@njit("uint64(uint64, uint64)", cache=True)
def random_bits(key, index):
    """Number `index` of the stream `key`: 64 bits, without a state to hand on."""
    z = key + (index + numba.uint64(1)) * STEP
    z = (z ^ (z >> numba.uint64(30))) * MIX1
    z = (z ^ (z >> numba.uint64(27))) * MIX2
    return z ^ (z >> numba.uint64(31))


@njit("void(float32[:, ::1], uint32[::1], uint64, float32[::1], float32[::1])", **LOOP)
def play(table, thresholds, key, xs, ys):
    """LAG chaos games in turns: point i is a random map of point i - LAG. xs[:LAG] are the starts.

    One game alone waits for its own last point at every step; LAG of them keep the processor busy.
    Walker's alias method chooses the map: 3 random bits choose one of 8 columns, 29 more the lower
    or upper map in it. table (16, 6): the two maps of each column; thresholds (8,).
    """
    for i in range(LAG, xs.size):
        # the number's place is its index, not what was drawn before: no chain between the games
        word = numba.uint32(random_bits(key, numba.uint64(i)) >> numba.uint64(32))
        column = word >> numba.uint32(29)
        above = (word & numba.uint32(0x1FFFFFFF)) >= thresholds[column]
        row = (column << numba.uint32(1)) + numba.uint32(above)
        x, y = xs[i - LAG], ys[i - LAG]
        xs[i] = table[row, 0] * x + table[row, 1] * y + table[row, 4]
        ys[i] = table[row, 2] * x + table[row, 3] * y + table[row, 5]


@njit("void(float32[::1], float32[::1], float32[::1], int32, int32, int32[::1])", **LOOP)
def cells(xs, ys, frame, margin, side, places):
    """The pixel of each point, as row * side + column, in `places`.

    frame: left, top, pixels per unit to the right, pixels per unit downwards.
    """
    left, top, across, down = frame
    for i in range(xs.size):
        row = numba.int32((top - ys[i]) * down) + margin
        column = numba.int32((xs[i] - left) * across) + margin
        places[i] = row * side + column


@njit("void(int32[::1], int32[::1], uint32[::1])", **LOOP)
def count(cells, mask, counts):
    """Add one to `counts` at each cell plus each offset of the mask."""
    for offset in mask:
        for cell in cells:
            counts[numba.uint32(cell + offset)] += numba.uint32(1)


@njit("void(int32[::1], int32, uint64, uint32[::1])", **LOOP)
def paste(cells, side, key, counts):
    """Every point writes a random 3x3 mask of its own (never empty) over what is there: 0 or 1.

    Later points win where masks overlap, so the order of `cells` matters. The margin of one pixel
    or more keeps all nine inside the image.
    """
    for i in range(cells.size):
        bits = random_bits(key, numba.uint64(i)) % numba.uint64(511) + numba.uint64(1)
        corner = cells[i] - side - 1
        for row in range(3):
            for column in range(3):
                counts[numba.uint32(corner + row * side + column)] = bits & numba.uint64(1)
                bits >>= numba.uint64(1)


@njit("float32(uint64, uint64)", cache=True)
def random_sign(key, index):
    """Number `index` of the stream `key`, in [-1, 1)."""
    bits = numba.int32(random_bits(key, index) >> numba.uint64(40)) - numba.int32(2**23)
    return numba.float32(bits) * numba.float32(2.0**-23)


@njit("void(float32[:, ::1], float32, uint64, float32[:, ::1])", **LOOP)
def refine(heights, noise, key, finer):
    """A step of diamond-square: (n, n) -> (2n, 2n), periodic, n a power of two."""
    n = heights.shape[0]  # & (n - 1) below: modulo n, so that the borders meet
    quarter = numba.float32(0.25)
    # diamond: the middle of each square, from its four corners
    for i in range(n):
        for j in range(n):
            below, right = (i + 1) & (n - 1), (j + 1) & (n - 1)
            around = heights[i, j] + heights[i, right] + heights[below, j] + heights[below, right]
            centre = quarter * around + noise * random_sign(key, numba.uint64(3 * (i * n + j)))
            finer[2 * i, 2 * j], finer[2 * i + 1, 2 * j + 1] = heights[i, j], centre
    # square: the middle of each edge, from its two ends and the two middles beside it
    for i in range(n):
        for j in range(n):
            below, right = (i + 1) & (n - 1), (j + 1) & (n - 1)
            above, left = (i - 1) & (n - 1), (j - 1) & (n - 1)
            two = heights[i, j] + finer[2 * i + 1, 2 * j + 1]
            beside = two + heights[i, right] + finer[2 * above + 1, 2 * j + 1]
            under = two + heights[below, j] + finer[2 * i + 1, 2 * left + 1]
            place = numba.uint64(3 * (i * n + j))
            random = noise * random_sign(key, place + numba.uint64(1))
            finer[2 * i, 2 * j + 1] = quarter * beside + random
            random = noise * random_sign(key, place + numba.uint64(2))
            finer[2 * i + 1, 2 * j] = quarter * under + random


@njit("void(uint32[:, ::1], uint8[:, ::1], uint8[:, :, ::1])", **LOOP)
def colour(counts, palette, image):
    """Write palette[count] over the image (S, S, 3) where count > 0; the last is for all above."""
    last = palette.shape[0] - 1
    for row in range(counts.shape[0]):
        for column in range(counts.shape[1]):
            n = min(counts[row, column], last)
            if n:
                for channel in range(3):
                    image[row, column, channel] = palette[n, channel]
