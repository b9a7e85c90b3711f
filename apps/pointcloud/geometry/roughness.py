"""How noisy a cloud is, beside how far apart its points are, before anything is done to it.

sigma: the standard deviation of points around their local surface. Its ratio to the spacing says
what a cloud needs: where it is small the surface is clean and only wants more points. Legend: N
points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.pointcloud.geometry.quadrics import TERMS, quadrics_of
from apps.pointcloud.geometry.spacing import spacing_of

NEIGHBOURS = 16  # of a surface
SAMPLES = 4_000  # points that the median is taken over, at most
# the median of sqrt(chi squared / its degrees of freedom): Wilson and Hilferty 1931
MEDIAN = (1 - 2 / (9 * (NEIGHBOURS - TERMS))) ** 1.5
CLEAN = 0.1  # sigma over spacing; the training inputs have about 0.2 to 0.3


@dataclass(frozen=True)
class Roughness:
    """Lengths in the cloud's unit."""

    spacing: float  # median distance to the fourth neighbour
    sigma: float  # of points around their local surfaces

    @property
    def ratio(self) -> float:
        """Noise in units of the spacing; 0 where there is no spacing."""
        return self.sigma / self.spacing if self.spacing else 0.0

    @property
    def clean(self) -> bool:
        """Whether more points are all that the cloud needs."""
        return self.ratio < CLEAN

    def __str__(self) -> str:
        need = "clean, it needs points alone" if self.clean else "it needs cleaning"
        return f"noise {self.sigma:.3g}, {self.ratio:.2f} of the spacing {self.spacing:.3g}: {need}"


def roughness_of(points: np.ndarray) -> Roughness:
    """That of a cloud (N, 3); sigma is 0 of fewer than 16 points.

    Right to some percent up to 0.3 of the spacing; from there on neighbours are no longer those
    along the surface, and sigma stays at about half a spacing.
    """
    if len(points) < NEIGHBOURS:
        return Roughness(spacing_of(points), 0.0)
    some = points[:: -(-len(points) // SAMPLES)]
    # the median over places: edges and outliers, where surfaces do not fit, are few
    sigma = float(np.median(quadrics_of(some, points, NEIGHBOURS).deviations)) / MEDIAN
    return Roughness(spacing_of(points), sigma)
