"""RGB-D frames with known cameras, fused to one cloud.

    depth/*.png and *.log or *-traj.txt      Redwood's and the augmented ICL-NUIM's, millimetres
    depth/*.png, pose/*.txt, intrinsic/      ScanNet's, as its SensReader exports it, millimetres
    depth/*.png and *.freiburg, *.gt.*       ICL-NUIM's, TUM's format, 5,000 to the metre

Legend: T frames, (H, W) of a depth map, N points. Depth is along the optical axis, in metres, 0
where nothing was measured; poses take the camera's coordinates (x right, y down, z away) to the
scene's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.data.images.files import FORMATS
from core.errors import InputError


@dataclass(frozen=True)
class Camera:
    """A pinhole without distortion."""

    fx: float = 525.0  # pixels, as cx and cy
    fy: float = 525.0
    cx: float = 319.5
    cy: float = 239.5
    per_metre: float = 1000.0  # units of the depth files


PRIMESENSE = Camera()  # the augmented ICL-NUIM's and Redwood's
ICL = Camera(481.2, -480.0, 319.5, 239.5, 5000.0)  # its y goes up: Handa et al. 2014


@dataclass(frozen=True)
class Frames:
    """Depth files with their poses."""

    source: str
    depths: tuple[Path, ...]
    poses: np.ndarray  # (T, 4, 4) float64, camera to scene
    camera: Camera

    def __len__(self) -> int:
        return len(self.depths)


def open_frames(root: Path) -> Frames:
    """The frames of a folder in one of the module's layouts. Raises InputError for any other."""
    root = Path(root)
    logs = sorted([*root.glob("*.log"), *root.glob("*traj*.txt")])
    tum = sorted([*root.glob("*.freiburg"), *root.glob("*.gt.*"), *root.glob("groundtruth.txt")])
    if (root / "pose").is_dir():
        poses, camera = _folder_poses(root / "pose"), _scannet_camera(root / "intrinsic")
    elif logs:
        poses, camera = read_log(logs[0]), PRIMESENSE
    elif tum:
        poses, camera = _read_tum(tum[0]), ICL
    else:
        raise InputError(
            f"{root}: no trajectory (*.log, *traj*.txt, *.freiburg, pose/) beside depth/"
        )
    return _match(root, poses, camera)


def read_depth(path: Path, camera: Camera) -> np.ndarray:
    """(H, W) float64 metres. Raises InputError for a file that is no 16-bit depth map."""
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as image:
            values = np.asarray(image)
    except (OSError, SyntaxError) as error:  # Pillow raises the second for a broken PNG
        raise InputError(f"{path}: cannot be read as a depth map ({error})") from error
    if values.ndim != 2 or values.dtype == np.uint8:
        raise InputError(f"{path}: {values.shape} {values.dtype}; a 16-bit depth map is needed")
    return values / camera.per_metre


def back_project(depth: np.ndarray, camera: Camera, pose: np.ndarray) -> np.ndarray:
    """The points that a depth map (H, W) measured, in the scene: (N, 3) float64, row by row."""
    row, column = np.nonzero(depth > 0)
    z = depth[row, column]
    # a pinhole: pixels from the principal point, times depth over focal length
    x = (column - camera.cx) / camera.fx * z
    y = (row - camera.cy) / camera.fy * z
    return np.stack([x, y, z], 1) @ pose[:3, :3].T + pose[:3, 3]


def noisy_depth(depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A depth map as a structured-light camera would have measured it; (H, W), 0 stays 0.

    Pixels are read half a pixel beside themselves (standard deviation 0.5: Nguyen et al. 2012 find
    0.8 for edges), which makes flying pixels; depth has their standard deviation 0.0012 + 0.0019
    (z - 0.4)^2 m (their equation 3), and steps of an eighth of a pixel of disparity, 2.6 cm at 3 m
    (Khoshelham and Elberink 2012).
    """
    height, width = depth.shape
    shift = np.rint(0.5 * rng.standard_normal((2, height, width))).astype(int)
    row = np.clip(np.arange(height)[:, None] + shift[0], 0, height - 1)
    column = np.clip(np.arange(width)[None] + shift[1], 0, width - 1)
    moved = depth[row, column]
    spread = 0.0012 + 0.0019 * (moved - 0.4) ** 2
    measured = np.maximum(moved + spread * rng.standard_normal(depth.shape), 0.1)
    # disparity = focal length x baseline / depth, in eighths of a pixel
    steps = np.maximum(np.rint(8 * KINECT / measured), 1)
    return np.where((depth > 0) & (moved > 0), 8 * KINECT / steps, 0.0)


KINECT = 580 * 0.075  # focal length in pixels x baseline in metres


def fuse(
    frames: Frames, which: Iterable[int], voxel: float, rng: np.random.Generator | None = None
) -> np.ndarray:
    """The mean point of each voxel of edge `voxel` metres that any of the frames saw: (V, 3).

    With a generator the depth is noisy. Frame by frame, so that memory is bounded by the voxels.
    """
    sums, counts, keys = np.zeros((0, 3)), np.zeros(0), np.zeros(0, np.int64)
    for i in which:
        points = frame_points(frames, i, rng)
        seen = points, np.ones(len(points)), voxel_keys(points, voxel)
        # voxels so far and points of the frame alike are sums with counts: equal keys are added up
        parts = [np.concatenate(p) for p in zip((sums, counts, keys), seen, strict=True)]
        keys, place = np.unique(parts[2], return_inverse=True)
        counts = np.bincount(place, parts[1])
        sums = np.stack([np.bincount(place, parts[0][:, axis]) for axis in range(3)], 1)
    return sums / counts[:, None]


def frame_points(frames: Frames, i: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """The points (N, 3) of one frame in the scene; with a generator its depth is noisy."""
    depth = read_depth(frames.depths[i], frames.camera)
    if rng is not None:
        depth = noisy_depth(depth, rng)
    return back_project(depth, frames.camera, frames.poses[i])


def voxel_keys(points: np.ndarray, voxel: float) -> np.ndarray:
    """A number for the voxel of each point: (N,) int64. Raises InputError for too many voxels."""
    cells = np.floor(points / voxel).astype(np.int64)
    if len(cells) and np.abs(cells).max() >= 2**20:
        raise InputError(
            f"voxels of {voxel} are too small for coordinates up to {np.abs(points).max()}"
        )
    # 21 bits an axis, none negative
    cells = cells + 2**20
    return (cells[:, 0] << 42) | (cells[:, 1] << 21) | cells[:, 2]


def read_log(path: Path) -> dict[int, np.ndarray]:
    """Redwood's trajectory: a line `i i i+1`, then four rows of a matrix. Frame -> (4, 4)."""
    try:
        words = np.array(path.read_text().split(), np.float64).reshape(-1, 19)
    except ValueError as error:
        raise InputError(f"{path}: not blocks of 3 + 16 numbers: truncated?") from error
    return {int(row[0]): row[3:].reshape(4, 4) for row in words}


def _read_tum(path: Path) -> dict[int, np.ndarray]:
    """Rows `number tx ty tz qx qy qz qw`."""
    try:
        rows = np.loadtxt(path, ndmin=2, comments="#")
        return {int(row[0]): _pose(row[1:4], row[4:8]) for row in rows}
    except (ValueError, IndexError) as error:
        raise InputError(f"{path}: not rows number tx ty tz qx qy qz qw ({error})") from error


def _pose(shift: np.ndarray, quaternion: np.ndarray) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = Rotation.from_quat(quaternion).as_matrix(), shift
    return pose


def _folder_poses(folder: Path) -> dict[int, np.ndarray]:
    """ScanNet's <number>.txt; where tracking was lost, the matrix is infinite."""
    poses = {int(path.stem): np.loadtxt(path).reshape(4, 4) for path in folder.glob("[0-9]*.txt")}
    return {number: pose for number, pose in poses.items() if np.isfinite(pose).all()}


def _scannet_camera(folder: Path) -> Camera:
    path = folder / "intrinsic_depth.txt"
    if not path.is_file():
        raise InputError(f"{path} is missing: the depth camera's matrix")
    matrix = np.loadtxt(path)
    return Camera(*(float(matrix[i]) for i in ((0, 0), (1, 1), (0, 2), (1, 2))))


def _match(root: Path, poses: dict[int, np.ndarray], camera: Camera) -> Frames:
    """Depth maps and poses by their numbers."""
    files = {int(p.stem): p for p in (root / "depth").glob("*.png") if p.stem.isdigit()}
    both = sorted(files.keys() & poses.keys())
    if not both:
        raise InputError(
            f"{root}: {len(files)} depth maps and {len(poses)} poses, no number in both"
        )
    stacked = np.stack([poses[number] for number in both])
    return Frames(str(root), tuple(files[number] for number in both), stacked, camera)
