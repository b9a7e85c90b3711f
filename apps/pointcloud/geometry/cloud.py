"""One cloud: points with what they carry, made finite, and its place and size.

Legend: N points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.errors import InputError

FAR = 16  # times its own size away from 0: a cloud there loses four bits and more in float32


@dataclass(frozen=True)
class Cloud:
    """Points and what is known of each; float32, and float64 where the cloud lies.

    Coordinates of a survey have six digits before the point, and float32 has seven in all: such
    points are kept as differences from an origin.
    """

    points: np.ndarray  # (N, 3), less the origin
    normals: np.ndarray | None = None  # (N, 3), as the file has them
    colours: np.ndarray | None = None  # (N, 3) in 0..1
    origin: np.ndarray | None = None  # (3,) float64; none is 0

    def __len__(self) -> int:
        return len(self.points)

    def at(self, chosen: np.ndarray) -> Cloud:
        """The points at indices, or where a mask is true."""
        rows = (self.points, self.normals, self.colours)
        return Cloud(*(None if row is None else row[chosen] for row in rows), self.origin)

    def places(self) -> np.ndarray:
        """Points (N, 3) where the file has them: float64 where there is an origin."""
        return self.points if self.origin is None else self.points + self.origin

    def some(self, count: int) -> Cloud:
        """At most `count` of the points, evenly over their order."""
        return self.at(np.arange(0, len(self), max(1, -(-len(self) // count))))


def make_cloud(points, normals=None, colours=None, where: str = "the cloud") -> Cloud:
    """A Cloud of arrays of any float kind, without an origin: points are as they are to be used.

    Raises InputError for shapes that do not fit.
    """
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and then left out
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


def placed_cloud(points, normals=None, colours=None, where: str = "the cloud") -> Cloud:
    """A Cloud of a file's points, with an origin where float32 would cost them their detail.

    Raises InputError for shapes that do not fit.
    """
    points = np.asarray(points)
    origin = origin_of(points) if points.dtype != np.float32 else None
    points = points if origin is None else points - origin
    return replace(make_cloud(points, normals, colours, where), origin=origin)


def origin_of(points: np.ndarray) -> np.ndarray | None:
    """The median (3,) of points (N, 3) that lie far from 0 for their size, or none.

    Medians of place and of size, so that some points elsewhere (a scanner's zeros) change nothing.
    """
    if points.ndim != 2 or points.shape[1] != 3:
        return None
    finite = points[np.isfinite(points).all(1)].astype(np.float64)
    if not len(finite):
        return None
    middle = np.median(finite, 0)
    size = np.median(np.abs(finite - middle), 0).max()
    return middle if np.abs(middle).max() > FAR * max(size, 1e-300) else None


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
    rest = _zeroed(cloud.normals), _zeroed(cloud.colours)
    return Cloud(cloud.points, *rest, cloud.origin), lines


def distinct_cloud(cloud: Cloud, where: str) -> tuple[Cloud, list[str]]:
    """The cloud with each place once, in its order, and lines about what was left out.

    Scans that were merged hold points twice, and some scanners write (0, 0, 0) where nothing came
    back: both would be taken for a very dense part. One point at 0 alone stays.
    """
    _, first, times = np.unique(cloud.points, axis=0, return_index=True, return_counts=True)
    if len(first) == 1:
        return cloud, []  # all at one place: for whoever needs a size to say
    zero = cloud.points[first] == np.float32(0 if cloud.origin is None else -cloud.origin)
    empty = zero.all(1) & (times > 1)
    lines, missing = [], int(times[empty].sum())
    repeated = len(cloud) - len(first) - max(missing - 1, 0)
    if missing:
        lines.append(f"{where}: {missing} points at (0, 0, 0), no measurements, left out")
    if repeated:
        lines.append(f"{where}: {repeated} of {len(cloud)} points are exact copies, left out")
    return (cloud.at(np.sort(first[~empty])) if lines else cloud), lines


def joined(clouds: Sequence[Cloud]) -> Cloud:
    """The points of all, one after another, with normals and colours where all have them.

    Clouds of one origin.
    """

    def rows(name: str) -> np.ndarray | None:
        each = [getattr(cloud, name) for cloud in clouds]
        return None if any(part is None for part in each) else np.concatenate(each)

    return Cloud(rows("points"), rows("normals"), rows("colours"), clouds[0].origin)


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


def _zeroed(rows: np.ndarray | None) -> np.ndarray | None:
    """Rows (N, 3) with 0 for what is not finite."""
    return None if rows is None else np.nan_to_num(rows, nan=0.0, posinf=0.0, neginf=0.0)
