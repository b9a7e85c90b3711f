"""Reconstruction without learning: what a network has to be better than.

Each takes an input (N, 3) in a unit sphere and a count, and returns (count, 3) float32, the same
for the same input. Their settings were chosen on the embedded validation shapes, not on a test
suite (docs/pointcloud_protocol.md). Legend: N points, k neighbours.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial import cKDTree

from apps.pointcloud.data.open3d_compat import has_open3d, open3d
from apps.pointcloud.geometry.meshes import sample_mesh
from apps.pointcloud.geometry.normals import local_axes
from apps.pointcloud.geometry.places import without_lonely
from apps.pointcloud.geometry.quadrics import REACH as NEAR
from apps.pointcloud.geometry.quadrics import widest_quadrics
from apps.pointcloud.geometry.roughness import roughness_of
from apps.pointcloud.geometry.spacing import spacings
from core.data.randomness import stream

OUTLIER_NEIGHBOURS, OUTLIER_RATIO = 8, 2.0
PLANE_NEIGHBOURS = 8  # of a moving least squares plane
NORMAL_NEIGHBOURS = 12  # of Poisson's normals
SPREAD = 0.6  # of new points around old ones, in distances to the fourth neighbour
VOXEL = 1.0  # edge of a voxel in median distances between neighbours
CHUNK = 200_000  # points projected at a time
DEPTH = 6  # of Poisson's octree
REACH = 1.0  # of Poisson's surface from the points, in median distances to the fourth neighbour


def unchanged(points: np.ndarray, count: int) -> np.ndarray:
    """The input itself, its points again and again: means over points stay what they were."""
    return np.resize(points, (count, 3)).astype(np.float32)


def moving_least_squares(points: np.ndarray, count: int) -> np.ndarray:
    """Outliers removed, then new points around the old ones, projected on local planes.

    Alexa et al. 2003 with planes: a new point is an old one moved at random within its
    neighbourhood, then projected on the plane that fits its k neighbours, weighted by a Gaussian.
    """
    clean = without_outliers(points)
    return on_planes(clean, scattered(clean, count)).astype(np.float32)


def quadrics(points: np.ndarray, count: int) -> np.ndarray:
    """Lonely points left out, then new points on local surfaces: `--method mls` of predict.py.

    In the precision of the points: a person's scan may come in double.
    """
    return on_surfaces(without_lonely(points.astype(np.float64)), count).astype(points.dtype)


def on_surfaces(points: np.ndarray, count: int) -> np.ndarray:
    """(count, 3) float64 around points (N, 3), on the local surface that explains most of them.

    A quadric through as many neighbours as lie around it no further than the cloud's noise: on
    smooth parts many, and at edges few, down to the planes of `on_planes`.
    """
    moved = scattered(points, count)
    made, rough = on_planes(points, moved), roughness_of(points)
    for rows, _, surfaces in widest_quadrics(moved, points, rough.sigma, NEAR * rough.spacing):
        made[rows] = moved[rows] - surfaces.over(moved[rows])[:, None] * surfaces.normals
    return made


def scattered(points: np.ndarray, count: int) -> np.ndarray:
    """`count` places (count, 3) float64: points (N, 3) moved at random within neighbourhoods."""
    spread = spacings(points, points)
    owner = np.resize(np.arange(len(points)), count)
    return points[owner] + SPREAD * spread[owner, None] * stream(0).standard_normal((count, 3))


def on_planes(clean: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Places (M, 3) projected on the local planes of points (N, 3), float64."""
    tree, k = cKDTree(clean), min(PLANE_NEIGHBOURS, len(clean))
    # neighbourhoods are 8 times as large as what they are of
    parts = np.array_split(moved, max(1, -(-len(moved) // CHUNK)))
    return np.concatenate([project(part, clean, tree, k) for part in parts])


def without_outliers(points: np.ndarray) -> np.ndarray:
    """Statistical outlier removal (Rusu et al. 2008), in float64: points are left out whose mean
    distance to their neighbours is some standard deviations above the mean of all."""
    points = points.astype(np.float64)
    k = min(OUTLIER_NEIGHBOURS + 1, len(points))
    if k < 2:
        return points
    distance = cKDTree(points).query(points, k)[0].reshape(len(points), -1)[:, 1:].mean(1)
    return points[distance <= distance.mean() + OUTLIER_RATIO * distance.std()]


def project(moved: np.ndarray, clean: np.ndarray, tree: cKDTree, k: int) -> np.ndarray:
    """moved (M, 3) on the planes of their k nearest of clean (N, 3), Gaussian weights."""
    distance, near = tree.query(moved, k)
    distance, near = distance.reshape(len(moved), k), near.reshape(len(moved), k)
    width = np.maximum(np.median(distance, 1, keepdims=True), 1e-12)
    weights = np.exp(-0.5 * (distance / width) ** 2) + 1e-9
    normal = local_axes(clean[near], weights)[:, :, 0]
    share = weights / weights.sum(1, keepdims=True)
    middle = (share[:, :, None] * clean[near]).sum(1)
    height = ((moved - middle) * normal).sum(1, keepdims=True)
    return moved - height * normal


def voxel_average(points: np.ndarray, count: int) -> np.ndarray:
    """The means of voxels of the cleaned input, again and again: it denoises, and adds nothing."""
    clean = without_outliers(points)
    near = cKDTree(clean).query(clean, min(2, len(clean)))[0].reshape(len(clean), -1)[:, -1]
    edge = max(VOXEL * float(np.median(near)), 1e-6)
    _, place = np.unique(np.floor(clean / edge).astype(np.int64), axis=0, return_inverse=True)
    place = place.ravel()
    sums = np.stack([np.bincount(place, clean[:, axis]) for axis in range(3)], 1)
    return unchanged(sums / np.bincount(place)[:, None], count)


def poisson(points: np.ndarray, count: int) -> np.ndarray:
    """Screened Poisson reconstruction (Kazhdan and Hoppe 2013) by Open3D, sampled by area.

    Normals are local planes', oriented by Open3D along a minimal spanning tree; what is far
    from all points is cut off. Where Open3D finds no orientation or no surface it is the cleaned
    input. Raises InputError without Open3D.
    """
    clean = without_outliers(points)
    vertices, faces = poisson_mesh(clean)
    return (
        sample_mesh(vertices, faces, count, stream(0))[0] if len(faces) else unchanged(clean, count)
    )


def poisson_mesh(clean: np.ndarray, depth: int = DEPTH) -> tuple[np.ndarray, np.ndarray]:
    """The surface of points (N, 3) as vertices (V, 3) and triangles (F, 3); F = 0 where none is.

    depth: of its octree, which has 2^depth cells a side. Raises InputError without Open3D.
    """
    o3d, none = open3d("Poisson reconstruction"), (np.zeros((0, 3)), np.zeros((0, 3), np.int64))
    if len(clean) < 16:
        return none
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(clean))
    cloud.estimate_normals(o3d.geometry.KDTreeSearchParamKNN(NORMAL_NEIGHBOURS))
    try:
        cloud.orient_normals_consistent_tangent_plane(NORMAL_NEIGHBOURS)
    except RuntimeError:  # of points in a plane, on a line or at one place
        return none
    # One thread: with more the sums, and so the mesh, differ from run to run.
    mesh, _ = o3d.geometry.TriangleMesh.create_from_point_cloud_poisson(
        cloud, depth=depth, n_threads=1
    )
    away = cKDTree(clean).query(np.asarray(mesh.vertices).reshape(-1, 3))[0]
    mesh.remove_vertices_by_mask(away > REACH * np.median(spacings(clean, clean)))
    return np.asarray(mesh.vertices).reshape(-1, 3), np.asarray(mesh.triangles, np.int64)


BASELINES = {
    "input": unchanged,
    "voxel average": voxel_average,
    "outlier removal + MLS": moving_least_squares,
    "quadrics": quadrics,
    "Poisson": poisson,
}


def available() -> dict[str, Callable[[np.ndarray, int], np.ndarray]]:
    """Those of BASELINES that this machine can run: Poisson needs Open3D."""
    return {n: b for n, b in BASELINES.items() if b is not poisson or has_open3d()}
