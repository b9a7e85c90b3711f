"""What is done to reconstructed points: colours, an exact number of them, normals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.spatial import cKDTree

from apps.pointcloud.data.open3d_compat import has_open3d, open3d
from apps.pointcloud.evaluation.baselines import on_surfaces
from apps.pointcloud.geometry.cloud import Cloud, joined, make_cloud
from apps.pointcloud.geometry.normals import estimate_normals
from apps.pointcloud.geometry.resample import resample_cloud
from apps.pointcloud.geometry.trees import nearest_of
from core.errors import InputError

NEIGHBOURS = 16  # of a normal, and of the tree along which normals are turned


def coloured(points: np.ndarray, rows: np.ndarray, cloud: Cloud) -> Cloud:
    """Points (P, 3) with the colours of the nearest of the input's rows (n,) they were made of."""
    piece = replace(make_cloud(points), origin=cloud.origin)
    if cloud.colours is None or not len(points):
        return replace(piece, colours=None if cloud.colours is None else piece.points)
    nearest = nearest_of(cKDTree(cloud.points[rows]), points)[1]
    return replace(piece, colours=cloud.colours[rows[nearest]])


def exactly(cloud: Cloud, count: int, kept: int = 0) -> Cloud:
    """`count` points: of more, some that are spread evenly, of fewer, new ones besides.

    The first `kept` are always among them. New points lie on local planes around the others, each
    with the colour of the nearest: none is a copy. Raises InputError for too few points to add to.
    """
    if count < len(cloud):
        own, rest = cloud.at(slice(kept)), cloud.at(slice(kept, None))
        return joined([own, choose(rest, count - kept)]) if count > kept else own
    if count == len(cloud):
        return cloud
    if len(cloud) < 4:
        raise InputError(f"{len(cloud)} points come out, too few to make {count} of them")
    new = on_surfaces(cloud.points.astype(np.float64), count - len(cloud))
    return joined([cloud, coloured(new, np.arange(len(cloud)), cloud)])


def choose(cloud: Cloud, count: int) -> Cloud:
    """`count` of the points, spread evenly, each with what it carries."""
    points = resample_cloud(torch.from_numpy(cloud.points), count)
    return cloud.at(cKDTree(cloud.points).query(points)[1])


def with_normals(cloud: Cloud, source: Cloud) -> Cloud:
    """The cloud with unit normals of its local planes, turned to one side.

    As the input's own normals are turned where it has them; else along a minimal spanning tree
    (Hoppe et al. 1992) by Open3D, and without it away from the middle.
    """
    normals = estimate_normals(cloud.points, NEIGHBOURS)
    if source.normals is not None:
        near = nearest_of(cKDTree(source.points), cloud.points)[1]
        outwards = source.normals[near]
    else:
        outwards = cloud.points - cloud.points.mean(0)
        normals = _consistent(cloud.points, normals) if has_open3d() else normals
        # a tree turns all alike, to either side: most of them then look away from the middle
        turned = (normals * outwards).sum() < 0
        if has_open3d():
            return replace(cloud, normals=-normals if turned else normals)
    inwards = (normals * outwards).sum(1, keepdims=True) < 0
    return replace(cloud, normals=np.where(inwards, -normals, normals))


def _consistent(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """The normals (N, 3) turned alike, or as they are where Open3D finds no order for that."""
    o3d = open3d("turning normals")
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points.astype(np.float64)))
    cloud.normals = o3d.utility.Vector3dVector(normals.astype(np.float64))
    try:
        cloud.orient_normals_consistent_tangent_plane(NEIGHBOURS)
    except RuntimeError:  # of points in a plane, on a line or at one place
        return normals
    return np.asarray(cloud.normals, np.float32)
