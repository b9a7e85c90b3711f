"""What a depth camera sees of a dense cloud: training inputs that look like scans.

A cloud is taken to be some metres large. Views around it are rendered as depth maps, which get a
structured-light camera's noise, flying pixels and steps (`rgbd.noisy_depth`), and are projected
back with poses that are a little wrong. What is hidden from all views is a hole, and the density
falls with the square of the distance, as it does there. Legend: D dense points, N of an input, K
pixels that a surfel may cover, (H, W) of a depth map.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from apps.pointcloud.config import CorruptionConfig, ScanConfig
from apps.pointcloud.data.corruption import GRID
from apps.pointcloud.data.rgbd import Camera, back_project, noisy_depth
from apps.pointcloud.geometry.normals import estimate_normals
from apps.pointcloud.geometry.spacing import spacing_of
from core.data.randomness import direction, uniform, whole
from core.errors import InputError
from core.ranges import check_ranges

HEIGHT, WIDTH = 72, 96
CAMERA = Camera(525 * WIDTH / 640, 525 * WIDTH / 640, WIDTH / 2 - 0.5, HEIGHT / 2 - 0.5)  # 62 wide
NEAREST = 0.5  # metres: such cameras see nothing nearer
FARTHER = 1.4, 3.0  # radii from the middle of a cloud to a camera
SURFEL = 1.0  # radius of a point's disc in spacings (to the fourth neighbour): no gaps are left
COVERED = 4  # pixels on each side of a surfel's middle, at most
CLUSTER = 0.05  # radii: standard deviation of a cluster of outliers


def scanned(
    dense: np.ndarray,
    normals: np.ndarray | None,
    scan: ScanConfig,
    corruption: CorruptionConfig,
    rng: np.random.Generator,
) -> np.ndarray:
    """The input (N, 3) float32 of a dense cloud (D, 3) in the unit sphere, in its unit.

    A pure function of the arguments and of the generator's state.
    """
    metres = uniform(rng, scan.smallest, scan.largest)
    points = dense.astype(np.float64) * metres
    normals = estimate_normals(dense) if normals is None else normals
    seen = [
        _view(points, normals, metres, scan.pose, rng) for _ in range(whole(rng, 1, scan.views))
    ]
    seen = np.concatenate(seen) / metres
    seen = seen if len(seen) else dense  # a view that missed everything
    chosen = seen[np.resize(np.argsort(rng.random(len(seen)), kind="stable"), corruption.points)]
    outliers = round(corruption.outliers * corruption.points)
    chosen[:outliers] = _outliers(outliers, scan.clusters, rng)
    chosen = chosen[np.argsort(rng.random(len(chosen)), kind="stable")]
    return (np.round(chosen / GRID) * GRID).astype(np.float32)


def check_scan(scan: ScanConfig) -> None:
    """Raises InputError for settings without a meaning."""
    check_ranges(scan, "scan.")
    if scan.smallest > scan.largest:
        raise InputError(
            f"scan.smallest is {scan.smallest}; choose at most scan.largest, {scan.largest}"
        )


def render(points: np.ndarray, normals: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Depth (H, W), 0 where nothing is, of points (D, 3) with their discs; pose (4, 4), camera to
    scene.

    Each pixel's ray meets the planes of the discs that it passes through; the nearest counts.
    """
    local, turned = (points - pose[:3, 3]) @ pose[:3, :3], normals @ pose[:3, :3]
    radius = SURFEL * spacing_of(points)
    before = local[:, 2] > NEAREST / 2
    local, turned = local[before], turned[before]
    column, row = _pixels(local, radius)  # (D, K) each
    rays = np.stack([(column - CAMERA.cx) / CAMERA.fx, (row - CAMERA.cy) / CAMERA.fy], 2)
    rays = np.concatenate([rays, np.ones_like(rays[..., :1])], 2)  # (D, K, 3)
    across = (rays * turned[:, None]).sum(2)
    depth = (local * turned).sum(1)[:, None] / np.where(np.abs(across) > 1e-3, across, np.inf)
    within = ((rays * depth[..., None] - local[:, None]) ** 2).sum(2) < radius**2
    within &= (column >= 0) & (column < WIDTH) & (row >= 0) & (row < HEIGHT) & (depth > NEAREST)
    nearest = np.full((HEIGHT, WIDTH), np.inf)
    np.minimum.at(nearest, (row[within], column[within]), depth[within])
    return np.where(np.isfinite(nearest), nearest, 0.0)


def _pixels(local: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows (D, K) around the pixels of points (D, 3) in the camera's coordinates."""
    middle = np.rint(local[:, :2] / local[:, 2:] * CAMERA.fx + [CAMERA.cx, CAMERA.cy]).astype(int)
    reach = 1 + int(min(radius * CAMERA.fx / local[:, 2].min(initial=np.inf), COVERED))
    steps = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2), -1).reshape(-1, 2)
    pixels = middle[:, None] + steps
    return pixels[..., 0], pixels[..., 1]


def _view(
    points: np.ndarray, normals: np.ndarray, radius: float, error: float, rng: np.random.Generator
) -> np.ndarray:
    """The points (n, 3) that one view measures, in metres."""
    away = direction(rng)
    # walls have one side: rooms are looked at from within
    away = away if (normals.mean(0) * away).sum() >= 0 else -away
    pose = looking(away * max(uniform(rng, *FARTHER) * radius, NEAREST + radius), away)
    return seen_from(pose, points, normals, error, rng)


def seen_from(
    pose: np.ndarray,
    points: np.ndarray,
    normals: np.ndarray,
    error: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """The points (n, 3) that a camera measures of a surface (D, 3), in metres, put where it thinks
    that it is: wrong by `error`, as `ScanConfig.pose` has it."""
    depth = noisy_depth(render(points, normals, pose), rng)
    wrong = np.eye(4)
    wrong[:3, :3] = Rotation.from_rotvec(error * rng.standard_normal(3)).as_matrix()
    wrong[:3, 3] = error * rng.standard_normal(3)
    return back_project(depth, CAMERA, pose @ wrong)


def looking(place: np.ndarray, away: np.ndarray) -> np.ndarray:
    """The pose (4, 4) at a place that looks against `away`; z is up where it can be."""
    right = np.cross([0.0, 0.0, 1.0] if abs(away[2]) < 0.9 else [0.0, 1.0, 0.0], away)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(-away, right), -away], 1)
    pose[:3, 3] = place
    return pose


def _outliers(count: int, clusters: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 3) in radii, half of them anywhere and half in clusters, if there are any."""
    anywhere = uniform(rng, -1.0, 1.0, (count, 3))
    if not clusters:
        return anywhere
    middles = uniform(rng, -1.0, 1.0, (clusters, 3))[(rng.random(count) * clusters).astype(int)]
    clustered = middles + CLUSTER * rng.standard_normal((count, 3))
    return np.where(np.arange(count)[:, None] % 2, clustered, anywhere)
