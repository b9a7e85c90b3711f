"""One cloud: points with what they carry, made finite, and its place and size.

Legend: N points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from core.errors import InputError

METRES_AT_MOST = 200.0  # a scan with a longer diagonal is more likely in millimetres


@dataclass(frozen=True)
class Cloud:
    """Points and what is known of each; float32 throughout."""

    points: np.ndarray  # (N, 3)
    normals: np.ndarray | None = None  # (N, 3), as the file has them
    colours: np.ndarray | None = None  # (N, 3) in 0..1

    def __len__(self) -> int:
        return len(self.points)

    def at(self, chosen: np.ndarray) -> Cloud:
        """The points at indices, or where a mask is true."""
        rows = (getattr(self, field.name) for field in fields(self))
        return Cloud(*(None if row is None else row[chosen] for row in rows))

    def some(self, count: int) -> Cloud:
        """At most `count` of the points, evenly over their order."""
        return self.at(np.arange(0, len(self), max(1, -(-len(self) // count))))


def make_cloud(points, normals=None, colours=None, where: str = "the cloud") -> Cloud:
    """A Cloud of arrays of any float kind. Raises InputError for shapes that do not fit."""
    points = np.ascontiguousarray(points, np.float32)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f"{where}: points are {points.shape}, (N, 3) is needed")
    rest = {"normals": normals, "colours": colours}
    for name, rows in rest.items():
        if rows is not None:
            rest[name] = np.ascontiguousarray(rows, np.float32)
            if rest[name].shape != points.shape:
                raise InputError(f"{where}: {name} are {rest[name].shape}, {points.shape} needed")
    return Cloud(points, **rest)


def finite_cloud(cloud: Cloud, where: str) -> tuple[Cloud, list[str]]:
    """The cloud without points that are NaN or infinite, and a line about those.

    Normals and colours that are not finite become 0. Raises InputError where no point is left.
    """
    if len(cloud) == 0:
        raise InputError(f"{where}: the cloud is empty: is it the right file?")
    good = np.isfinite(cloud.points).all(1)
    if not good.any():
        raise InputError(f"{where}: all {len(cloud)} points have NaN or infinite coordinates")
    bad = len(cloud) - int(good.sum())
    lines = [f"{where}: {bad} of {len(cloud)} points are NaN or infinite, left out"] * bool(bad)
    cloud = cloud.at(good) if bad else cloud
    return Cloud(cloud.points, _zeroed(cloud.normals), _zeroed(cloud.colours)), lines


def joined(clouds: Sequence[Cloud]) -> Cloud:
    """The points of all, one cloud after another, with colours where all have them."""
    colours = [cloud.colours for cloud in clouds]
    known = all(rows is not None for rows in colours)
    points = np.concatenate([cloud.points for cloud in clouds])
    return make_cloud(points, None, np.concatenate(colours) if known else None)


def sphere_of(points: np.ndarray, where: str = "the cloud") -> tuple[np.ndarray, float]:
    """Centre (3,) and radius of the ball that points are normalised by, in float64.

    The centre is the middle of the bounding box, the radius the largest distance to it. Raises
    InputError where all points are one, which has no size.
    """
    points = points.astype(np.float64)
    center = (points.min(0) + points.max(0)) / 2
    radius = float(np.linalg.norm(points - center, axis=1).max())
    # far from the origin float32 moves even equal points apart: that is no size
    if radius <= 1e-7 * float(np.abs(center).max()) or radius == 0:
        spots = "1 point" if len(points) == 1 else f"{len(points)} points at one place"
        raise InputError(f"{where}: {spots}: nothing can be reconstructed of them")
    return center, radius


def size_warning(points: np.ndarray, where: str) -> str | None:
    """A line where a scan that should be in metres seems to be in millimetres, or none."""
    size = float(np.linalg.norm(points.astype(np.float64).max(0) - points.min(0)))
    if size > METRES_AT_MOST:
        return (
            f"{where}: {size:,.0f} from corner to corner: millimetres? Noise and tiles are "
            "meant in metres; divide the coordinates by 1,000 if so"
        )
    return None


def _zeroed(rows: np.ndarray | None) -> np.ndarray | None:
    """Rows (N, 3) with 0 for what is not finite."""
    return None if rows is None else np.nan_to_num(rows, nan=0.0, posinf=0.0, neginf=0.0)
