"""Random numbers that are the same on every version of numpy.

numpy promises the raw stream of PCG64 and the hashing of SeedSequence, not how a Generator makes
distributions of it (NEP 19). Everything a test input depends on therefore uses two methods alone:
`random`, the upper 53 bits of the raw number, and `standard_normal`, whose ziggurat is the same
since numpy 1.17. The hashes of docs/pointcloud_protocol.md would tell if that ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def stream(*key: int) -> np.random.Generator:
    """A generator that is a pure function of the key: any integers from 0."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def uniform(rng: np.random.Generator, low: float, high: float, size=None):
    """Numbers in [low, high): a float, or an array of `size`."""
    return low + (high - low) * rng.random(size)


def pick(rng: np.random.Generator, items: Sequence[Item]) -> Item:
    """One of the items."""
    return items[int(rng.random() * len(items))]


def whole(rng: np.random.Generator, low: int, high: int) -> int:
    """A whole number from low to high, both possible."""
    return low + int(rng.random() * (high + 1 - low))


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with this probability."""
    return bool(rng.random() < probability)


def direction(rng: np.random.Generator) -> np.ndarray:
    """A unit vector (3,), uniform over the sphere."""
    vector = rng.standard_normal(3)
    return vector / np.linalg.norm(vector)


def weighted_order(rng: np.random.Generator, weights: np.ndarray) -> np.ndarray:
    """Indices (N,) in the order of weighted draws without replacement, weights (N,) above 0.

    Efraimidis and Spirakis 2006: the order of -log(u) / w.
    """
    return np.argsort(-np.log1p(-rng.random(len(weights))) / weights, kind="stable")
