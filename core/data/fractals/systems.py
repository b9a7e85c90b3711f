"""Iterated function systems, and the three rules that draw them at random.

N maps of the plane, x' = a x + b y + e and y' = c x + d y + f, each taken with a probability. Every
random number comes from a `Stream`, so that a system is a pure function of the stream's key.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Stream:
    """Random numbers that are a pure function of a key of integers (not negative).

    NumPy keeps the bits of PCG64 and SeedSequence for all its versions, but not what the methods of
    Generator make of them: hence the uniform numbers are made here.
    """

    def __init__(self, *key: int):
        self.bits = np.random.PCG64(np.random.SeedSequence(key))

    def uniform(self, low: float, high: float, *shape: int) -> np.ndarray:
        """Numbers in [low, high) of a shape; without one, a single number."""
        raw = self.bits.random_raw(int(np.prod(shape, dtype=int)))
        return low + (high - low) * ((raw >> np.uint64(11)) * 2.0**-53).reshape(shape)

    def below(self, count: int) -> int:
        """One of 0, 1 ... count - 1."""
        return int(self.uniform(0, count))

    def word(self) -> int:
        """64 random bits."""
        return int(self.bits.random_raw())


class System(NamedTuple):
    """maps: (N, 6) float64, a b c d e f of each; chances: (N,), their probabilities."""

    maps: np.ndarray
    chances: np.ndarray


def by_determinant(maps: np.ndarray) -> System:
    """The maps with probabilities |ad - bc| over their sum: each covers its area evenly."""
    areas = np.abs(determinants(maps))
    return System(maps, areas / areas.sum())


def determinants(maps: np.ndarray) -> np.ndarray:
    """ad - bc of each map: (N, 6) -> (N,)."""
    a, b, c, d = maps[:, :4].T
    return a * d - b * c


def singular_values(maps: np.ndarray) -> np.ndarray:
    """(N, 6) -> (N, 2), the larger one first: how far each map stretches and squeezes."""
    return np.linalg.svd(maps[:, :4].reshape(-1, 2, 2), compute_uv=False)


def sigma_factor(maps: np.ndarray) -> float:
    """Sum of s1 + 2 s2 over the maps (Anderson & Farrell, WACV 2022)."""
    return float((singular_values(maps) @ (1, 2)).sum())


def fractaldb(stream: Stream) -> System:
    """FractalDB's rule: 2 to 7 maps, all six parameters from U(-1, 1). Contracting or not."""
    count = 2 + stream.below(6)
    return by_determinant(stream.uniform(-1, 1, count, 6))


def sigma(stream: Stream) -> System:
    """The sigma-factor rule: 2 to 4 contracting maps, factor in [(5 + N) / 2, (6 + N) / 2)."""
    count = 2 + stream.below(3)
    return of_sigma(stream, count, float(stream.uniform((5 + count) / 2, (6 + count) / 2)))


def of_sigma(stream: Stream, count: int, total: float) -> System:
    """`count` contracting maps of sigma factor `total`, between 0 and 3 count.

    Each matrix is rotation x diag(+-s1, +-s2) x rotation with uniform angles, signs and shifts from
    U(-1, 1). This is the same distribution as the authors' two orthogonal matrices of random signs.
    """
    values = _singular_values_of(stream, count, total)
    values *= np.where(stream.uniform(0, 1, count, 2) < 0.5, -1, 1)
    left, right = (_rotations(stream.uniform(-np.pi, np.pi, count)) for _ in range(2))
    matrices = (left * values[:, None, :]) @ right
    return by_determinant(
        np.concatenate([matrices.reshape(count, 4), stream.uniform(-1, 1, count, 2)], axis=1)
    )


def _singular_values_of(stream: Stream, count: int, total: float) -> np.ndarray:
    """(count, 2) in [0, 1], s1 >= s2, sum(s1 + 2 s2) = total.

    Map after map takes a random share that leaves the rest a total which it can reach, at most 3 a
    map (the authors' Algorithm: s1 first, then s2, each uniform between its bounds).
    """
    values = np.empty((count, 2))
    for i, later in enumerate(reversed(range(count))):
        needed = max(0.0, total - 3 * later)
        s1 = float(stream.uniform(needed / 3, min(1.0, total)))
        low, high = max(0.0, (needed - s1) / 2), min(s1, (total - s1) / 2)
        s2 = float(stream.uniform(low, high)) if later else high
        values[i] = s1, s2
        total -= s1 + 2 * s2
    return values


def _rotations(angles: np.ndarray) -> np.ndarray:
    cos, sin = np.cos(angles), np.sin(angles)
    return np.stack([cos, -sin, sin, cos], axis=-1).reshape(-1, 2, 2)


def perturbed(system: System, stream: Stream, delta: float) -> System:
    """1p-frac: every parameter times its own U(1 - delta, 1 + delta); the same probabilities."""
    factors = stream.uniform(1 - delta, 1 + delta, *system.maps.shape)
    return System(system.maps * factors, system.chances)


def diverges(system: System) -> bool:
    """Whether the chaos game surely runs away: areas grow on average (sum p log|det| >= 0)."""
    with np.errstate(divide="ignore"):
        logs = np.log(np.abs(determinants(system.maps)))
    used = system.chances > 0
    return bool(system.chances[used] @ logs[used] >= 0)


def start(system: System) -> tuple[float, float]:
    """A point of the attractor: what the most contracting map leaves where it is.

    With no contracting map there is none, and it is (0, 0), where FractalDB's code begins.
    """
    k = int(np.argmin(singular_values(system.maps)[:, 0]))
    a, b, c, d, e, f = system.maps[k]
    if singular_values(system.maps[k : k + 1])[0, 0] >= 1:
        return 0.0, 0.0
    det = (1 - a) * (1 - d) - b * c
    return float(((1 - d) * e + b * f) / det), float((c * e + (1 - a) * f) / det)
