"""From a dense, clean cloud to the sparse, noisy, irregular one that is to be reconstructed.

The steps and their numbers are the protocol's (docs/pointcloud_protocol.md); PointMixer's own are
not published. Legend: D dense points, N points of the input.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from apps.pointcloud.config import CorruptionConfig, VaryConfig
from core.data.randomness import direction, uniform, weighted_order
from core.errors import InputError
from core.ranges import check_ranges

GRID = 2.0**-20  # inputs are rounded to it, so that a last bit of exp or log changes no hash
FEWEST_LEFT = 0.5  # a hole that would leave less than this share of the points is not made


def corrupt(dense: np.ndarray, config: CorruptionConfig, rng: np.random.Generator) -> np.ndarray:
    """The input (N, 3) float32 of a dense cloud (D, 3) in the same unit.

    A pure function of the arguments and of the generator's state. Where fewer than N points are
    left, they are taken again in turn. Raises InputError for settings without a meaning.
    """
    check_ranges(config, "corruption.")
    dense = dense.astype(np.float64)
    low, high = dense.min(0), dense.max(0)
    away = direction(rng)
    radius = np.linalg.norm(high - low) / 2 or 1.0
    # (D,): along `away`, e^bias times as dense a half diagonal further
    weights = np.exp(config.bias * ((dense - (low + high) / 2) @ away / radius))
    left = _outside_holes(dense, config, rng)
    # without repetition, unless there are fewer than N
    order = left[weighted_order(rng, weights[left])]
    points = dense[np.resize(order, config.points)]
    points = points + config.noise * rng.standard_normal(points.shape)
    outliers = round(config.outliers * config.points)
    margin = 0.1 * radius
    anywhere = uniform(rng, 0, 1, (outliers, 3)) * (high - low + 2 * margin) + low - margin
    points[:outliers] = anywhere
    # shuffled, for the outliers came first and the heavier points before the lighter
    points = points[np.argsort(rng.random(len(points)), kind="stable")]
    return (np.round(points / GRID) * GRID).astype(np.float32)


def varied(
    config: CorruptionConfig, vary: VaryConfig, rng: np.random.Generator
) -> CorruptionConfig:
    """The corruption of one input, with what `vary` names drawn anew."""
    drawn = {name: uniform(rng, *ends) for name, ends in vars(vary).items() if ends}
    if vary.points:
        drawn["points"] = round(float(np.exp(uniform(rng, *np.log(vary.points)))))
    return replace(config, **drawn)


def check_vary(vary: VaryConfig) -> None:
    """Raises InputError for settings without a meaning."""
    check_ranges(vary, "vary.")
    for name, ends in vars(vary).items():
        if ends and (len(ends) != 2 or ends[0] > ends[1]):
            raise InputError(f"vary.{name} is {ends}; choose the least and the largest, or nothing")


def _outside_holes(dense: np.ndarray, config: CorruptionConfig, rng) -> np.ndarray:
    """Indices of the points that are in no hole; a hole's centre is one of the points."""
    left = np.ones(len(dense), bool)
    for _ in range(config.holes):
        center = dense[int(rng.random() * len(dense))]
        hole = ((dense - center) ** 2).sum(1) < config.hole_radius**2
        if (left & ~hole).sum() >= FEWEST_LEFT * len(dense):
            left &= ~hole
    return np.flatnonzero(left)
