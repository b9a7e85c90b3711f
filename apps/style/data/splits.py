"""Who trains and who validates, by artist; and sets with a long tail.

Legend: N paintings, A artists, K classes. A split is val (N,) bool.

Of the 1,076 artists of ArtGAN's validation list 1,064 are in its training list too, so that a
network can know a style by knowing who painted. With artists on one side alone it cannot.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

GAIN = 1e-9  # less is rounding: no reason to move an artist


def long_tailed(labels: Sequence[int], ratio: float, seed: int) -> np.ndarray:
    """Places of the paintings that stay, ascending: class c of K keeps n ratio^(-c / (K - 1)).

    n is the size of the largest class; a class that has fewer keeps all, and one keeps one at
    least. Made for balanced sets (Cui et al. 2019, arXiv 1901.05555, section 5.1): the last class
    then has 1 / ratio of the paintings of the first.
    """
    labels = np.asarray(labels)
    classes, sizes = np.unique(labels, return_counts=True)
    parts = []
    for c, label in enumerate(classes):
        places = np.random.default_rng([seed, label]).permutation(np.flatnonzero(labels == label))
        size = sizes.max() * ratio ** (-c / max(len(classes) - 1, 1))
        parts.append(places[: max(round(size), 1)])  # a class that has fewer keeps all
    return np.sort(np.concatenate(parts))


def artist_split(
    artists: Sequence[str], labels: Sequence[int], val_share: float, seed: int
) -> tuple[np.ndarray, list[int]]:
    """No artist on both sides: val (N,) bool, and the classes that are not on both sides.

    From a random choice of artists, the artist whose change of sides helps most changes sides,
    until none helps. What counts first is the number of classes without training paintings, or
    without validation ones though they have two artists; then the sum of (share - val_share)²
    over the classes and over all paintings together. That is a local optimum: a class is left out
    where it has one artist, and might be where the artists of several small classes overlap.
    """
    counts = _counts(artists, labels)
    totals, painted_by = counts.sum(0), (counts > 0).sum(0)
    validates = np.random.default_rng(seed).random(len(counts)) < val_share  # (A,)
    while True:
        signs = np.where(validates, -1, 1)[:, None]  # (A, 1): what a change of sides does
        now = counts[validates].sum(0)  # (K + 1,) paintings that validate
        costs = _cost(now + signs * counts, totals, painted_by, val_share)  # (A,)
        best = int(costs.argmin())
        if costs[best] >= _cost(now[None], totals, painted_by, val_share)[0] - GAIN:
            break
        validates[best] = ~validates[best]
    val = validates[np.unique(np.asarray(artists), return_inverse=True)[1]]
    one_sided = (now == 0) | (now == totals)
    return val, np.flatnonzero(one_sided[:-1] & (totals[:-1] > 0)).tolist()


def _counts(artists: Sequence[str], labels: Sequence[int]) -> np.ndarray:
    """Paintings of each artist in each class, and in all: (A, K + 1); artists sorted by name."""
    names, index = np.unique(np.asarray(artists), return_inverse=True)
    counts = np.zeros((len(names), int(np.max(labels)) + 2), np.int64)
    np.add.at(counts, (index, np.asarray(labels)), 1)
    counts[:, -1] = counts.sum(1)
    return counts


def _cost(val: np.ndarray, totals: np.ndarray, painted_by: np.ndarray, share: float) -> np.ndarray:
    """Of validation paintings by class, (n, K + 1) -> (n,)."""
    # nobody trains on a class, or nobody validates it though two artists could share it
    lacking = (val == totals) | ((val == 0) & (painted_by > 1))  # (n, K + 1)
    lacking = (lacking & (totals > 0)).sum(1)
    return len(totals) * lacking + ((val / np.maximum(totals, 1) - share) ** 2).sum(1)
