"""Local surfaces of second degree: h(u, v) over the plane of a place's neighbours.

A plane cuts a bend flat; a quadric follows it, and can therefore be fitted to more points, which
takes more of the noise away (moving least squares of degree 2: Levin 2003, Alexa et al. 2003).
Legend: M places, N points, k neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from apps.pointcloud.geometry.normals import local_axes
from apps.pointcloud.geometry.trees import Neighbours, threads_for

TERMS = 6  # 1, u, v, u^2, uv, v^2
RIDGE = 1e-6  # neighbours on a line leave the surface free across it
NEIGHBOURS = 32, 24, 16, 12  # of `widest_quadrics`, tried in turn
FITS = 1.25  # times the noise: the deviations of a surface that fits, by their own spread
REACH = 3.0  # spacings that a surface is believed for: an ill-posed one at a rim may be anywhere
CHUNK = 50_000  # places at a time, so that memory is bounded


@dataclass(frozen=True)
class Quadrics:
    """M surfaces, each in axes of its own: h = sum of coefficient x term of (u, v) / size."""

    middles: np.ndarray  # (M, 3)
    axes: np.ndarray  # (M, 3, 3) in columns: along h, u and v
    sizes: np.ndarray  # (M,) of the neighbourhood
    coefficients: np.ndarray  # (M, 6); of a level plane the first alone
    deviations: np.ndarray  # (M,) standard deviation of the neighbours around their surface

    @property
    def normals(self) -> np.ndarray:
        """(M, 3) unit vectors, without an orientation, along which heights are measured."""
        return self.axes[:, :, 0]

    def local(self, places: np.ndarray) -> np.ndarray:
        """Places (M, c, 3), c of each surface, as h, u, v over its plane: (M, c, 3)."""
        return (places - self.middles[:, None]) @ self.axes

    def heights(self, local: np.ndarray) -> np.ndarray:
        """h (M, c) of the surface at the u, v of local places (M, c, 3)."""
        return (_terms(local / self.sizes[:, None, None]) @ self.coefficients[..., None])[..., 0]

    def over(self, places: np.ndarray) -> np.ndarray:
        """How high places (M, 3) lie over their surfaces: (M,), signed."""
        local = self.local(places[:, None].astype(np.float64))
        return (local[..., 0] - self.heights(local))[:, 0]

    def at(self, chosen: np.ndarray) -> Quadrics:
        """The surfaces at indices, or where a mask is true."""
        return Quadrics(*(rows[chosen] for rows in vars(self).values()))


def quadrics_of(places: np.ndarray, points: np.ndarray, k: int) -> Quadrics:
    """The surface of the k nearest of points (N, 3) to each of places (M, 3); a level plane where
    they are fewer than 8."""
    tree, near = cKDTree(points), range(1, min(k, len(points)) + 1)
    threads = threads_for(len(places))
    return _in_chunks(places, points, lambda part: tree.query(part, near, workers=threads)[1])


def quadrics_through(points: np.ndarray, near: np.ndarray) -> Quadrics:
    """The surfaces through the neighbours near (M, k) among points (N, 3)."""
    return _in_chunks(near, points, lambda part: part)


def _in_chunks(rows: np.ndarray, points: np.ndarray, near: Callable) -> Quadrics:
    """near: rows (m, ...) -> their neighbours (m, k) among points (N, 3)."""
    chunks = [rows[start : start + CHUNK] for start in range(0, max(len(rows), 1), CHUNK)]
    parts = [_fit(points[near(chunk)].astype(np.float64)) for chunk in chunks]
    return Quadrics(*(np.concatenate(fields) for fields in zip(*parts, strict=True)))


def widest_quadrics(
    places: np.ndarray,
    points: np.ndarray,
    noise: np.ndarray | float,
    reach: float = np.inf,
    around: Neighbours | None = None,
) -> Iterator[tuple[np.ndarray, int, Quadrics]]:
    """The quadrics of as many neighbours as lie around one surface no further than the noise.

    On smooth parts these are many, and at edges few. noise: of each of places (M, 3), or of all.
    Yields rows (m,) of places, the number of neighbours and the surfaces; places that none of
    NEIGHBOURS explains, or whose surface is as far as `reach`, come in no rows. around: the
    points' neighbours, where the places are the points.
    """
    left, noise = np.arange(len(places)), np.broadcast_to(noise, len(places))
    for k in NEIGHBOURS:
        if len(left) and len(points) >= k:
            tried = (
                quadrics_through(points, around.nearest(k)[1][left])
                if around
                else quadrics_of(places[left], points, k)
            )
            good = tried.deviations <= FITS * noise[left]
            good &= np.abs(tried.over(places[left])) < reach
            yield left[good], k, tried.at(good)
            left = left[~good]


def _fit(near: np.ndarray) -> tuple[np.ndarray, ...]:
    """The fields of Quadrics of neighbours (M, k, 3)."""
    middle, axes, k = near.mean(1, keepdims=True), local_axes(near), near.shape[1]
    local = (near - middle) @ axes  # h, u, v
    # in units of the neighbourhood: of a tiny one the squares would vanish beside the 1
    size = np.maximum(np.abs(local).max((1, 2)), 1e-300)
    count = TERMS if k > TERMS + 1 else 1
    terms = _terms(local / size[:, None, None])[..., :count]
    gram = terms.mT @ terms + RIDGE * k * np.eye(count)
    weights = np.linalg.solve(gram, terms.mT @ local[..., :1])
    rest = (local[..., :1] - terms @ weights)[..., 0]
    deviations = np.sqrt((rest**2).sum(1) / max(k - count, 1))
    coefficients = np.pad(weights[..., 0], ((0, 0), (0, TERMS - count)))
    return middle[:, 0], axes, size, coefficients, deviations


def _terms(local: np.ndarray) -> np.ndarray:
    """(..., 6) of local places (..., 3), whose heights, the first, are left out."""
    u, v = local[..., 1], local[..., 2]
    return np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], -1)
