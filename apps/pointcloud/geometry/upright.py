"""Which way is up in a cloud: nothing in a file says so, and a picture has to choose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from apps.pointcloud.geometry.cloud import Cloud

Z_UP, Y_DOWN = "z up", "y down"
SIDES = {Z_UP: (-60.0, 22.0), Y_DOWN: (-80.0, 12.0)}  # azimuth and elevation to look from
BEFORE_THE_EYE = 0.02  # share of the depth that is free between a camera and what it sees


def usual_up(points: np.ndarray) -> str:
    """Y_DOWN where all points (N, 3) lie before the origin along z, around it in x and y.

    So a depth camera has them, in its own axes. Else Z_UP, as most scanners and maps have it. The
    planes of a cloud were tried: over ModelNet10 most normals stand along z for half the shapes.
    """
    if not len(points):
        return Z_UP
    low, high = points.min(0), points.max(0)
    around = (low[:2] < 0).all() and (high[:2] > 0).all()
    return Y_DOWN if around and low[2] > BEFORE_THE_EYE * (high[2] - low[2]) > 0 else Z_UP


def stand(cloud: Cloud, up: str) -> Cloud:
    """The cloud with z up: what lay before a camera's eye lies along y then."""
    if up != Y_DOWN:
        return cloud
    x, y, z = cloud.points.T
    return replace(cloud, points=np.stack([x, z, -y], 1))
