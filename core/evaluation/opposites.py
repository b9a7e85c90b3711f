"""Units of token mixing that are opposite to one another, and their frequencies.

In Figure 5 of MLP-Mixer (arXiv 2105.01601) units are paired to show kernels of opposite phase, and
the pairs are sorted by frequency. The paper does not say how either is computed; here a pair is a
most negative cosine, and the frequency is the centre of the power spectrum.

Legend: D units, each with S = h*w weights, one for each token of the grid (h, w).
"""

from __future__ import annotations

import numpy as np


def opposite_pairs(weights: np.ndarray) -> np.ndarray:
    """Order (D,) of units (D, S) in which 2i and 2i + 1 are a pair, the most opposite pair first.

    Greedy matching: of all pairs of units still free, the one of the most negative cosine is next.
    Every unit is in a pair, but for the last one where D is odd. A unit of zeros has cosine 0.
    """
    norms = np.linalg.norm(weights, axis=1, keepdims=True)
    directions = weights / np.where(norms == 0, 1, norms)
    first, second = np.triu_indices(len(weights), 1)  # (D (D - 1) / 2,): every pair once
    # Stable, so that equal cosines (units of zeros) give the same pairs on every machine.
    nearest = np.argsort((directions @ directions.T)[first, second], kind="stable")
    order, free = [], np.ones(len(weights), bool)
    for one, other in zip(first[nearest].tolist(), second[nearest].tolist(), strict=True):
        if free[one] and free[other]:
            order += [one, other]
            free[[one, other]] = False
    return np.array(order + np.flatnonzero(free).tolist(), dtype=int)


def mean_frequency(weights: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Centre of the power spectrum of each unit (D, S), in cycles per token: (D,); 0 for zeros."""
    power = np.abs(np.fft.fft2(weights.reshape(-1, *grid))) ** 2  # (D, h, w)
    radius = np.hypot(np.fft.fftfreq(grid[0])[:, None], np.fft.fftfreq(grid[1]))  # (h, w)
    total = power.sum((1, 2))
    return (power * radius).sum((1, 2)) / np.where(total == 0, 1, total)


def by_frequency(weights: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Order (D,): opposite pairs by the mean frequency of their units; a single unit is last."""
    order = opposite_pairs(weights)
    paired = order[: len(order) // 2 * 2].reshape(-1, 2)
    frequency = mean_frequency(weights, grid)[paired].mean(1)
    return np.append(paired[np.argsort(frequency, kind="stable")], order[paired.size :])
