"""Scenes in metres as items: from dense clouds or meshes, or from RGB-D frames.

Legend: T frames, D dense points. Items are as apps.pointcloud.data.dataset.Reconstruction has them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from apps.pointcloud.config import CorruptionConfig
from apps.pointcloud.data import rgbd
from apps.pointcloud.data.corruption import corrupt
from apps.pointcloud.data.files import read_cloud, silent
from apps.pointcloud.data.open3d_compat import open3d
from apps.pointcloud.data.scanning import looking, seen_from
from apps.pointcloud.geometry.cloud import Cloud, finite_cloud, make_cloud, sphere_of
from apps.pointcloud.geometry.normals import estimate_normals
from core.data.randomness import stream, uniform
from core.errors import InputError

SCENES = CorruptionConfig(
    points=4000, noise=0.02, outliers=0.02, bias=1.0, holes=3, hole_radius=0.15
)
VOXEL = 0.02  # metres, of a fused target
EVERY = 10  # frames from one frame of an input to the next
RATIO = 8  # target points of a scene for one point of its input
SEEN = replace(SCENES, noise=0.0, bias=0.0, holes=0)  # of what a camera saw
VIEWS, ASIDE, EYES = 24, 0.2, 1.5  # of a room: views, from its middle in shares of a side, metres
SLOPES = 0.1, 0.9  # of views in turn, downwards: at walls and at the floor
POSE = 0.004  # metres and radians: error of a view's pose
SCANNET_POINTS = 160_000  # that a ScanNet mesh is sampled with


@dataclass(frozen=True)
class Scenes(Sequence):
    """Dense clouds in metres, corrupted in metres, then both in the dense cloud's unit sphere."""

    loads: Sequence[Callable[[], Cloud]]
    corruption: CorruptionConfig
    seed: int

    def __len__(self) -> int:
        return len(self.loads)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        dense, _ = finite_cloud(self.loads[index](), f"scene {index}")
        config = replace(self.corruption, points=max(1, len(dense) // RATIO))
        noisy = corrupt(dense.points, config, stream(self.seed, index, 1))
        return scene_item(noisy, dense)


def scene_item(noisy: np.ndarray, target: Cloud) -> dict[str, torch.Tensor]:
    """An item of an input and a target in metres; where none are given, normals are estimated."""
    center, scale = sphere_of(target.points, "the scene")
    normals = estimate_normals(target.points) if target.normals is None else target.normals
    clouds = {"input": (noisy - center) / scale, "target": (target.points - center) / scale}
    item = {**clouds, "normals": normals, "center": center, "scale": scale}
    return {name: torch.as_tensor(np.float32(value)) for name, value in item.items()}


@dataclass(frozen=True)
class LookedAt(Sequence):
    """Rooms in metres, seen by a depth camera from within: VIEWS views around from near the middle.

    Inputs have the sensor's noise and errors of its poses, no holes but what nothing saw, and
    outliers.
    """

    loads: Sequence[Callable[[], Cloud]]
    seed: int

    def __len__(self) -> int:
        return len(self.loads)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        dense, rng = self.loads[index](), stream(self.seed, index, 1)
        config = replace(SEEN, points=max(1, len(dense) // RATIO))
        return scene_item(corrupt(_looked_around(dense, rng), config, rng), dense)


def _looked_around(room: Cloud, rng: np.random.Generator) -> np.ndarray:
    """(n, 3) of all views, each from a place of its own, EYES over the floor."""
    points = room.points.astype(np.float64)
    low, high = points.min(0), points.max(0)
    parts = []
    for view in range(VIEWS):
        place = (low + high) / 2 + (high - low) * uniform(rng, -ASIDE, ASIDE, 3)
        place[2] = low[2] + EYES
        turn = 2 * np.pi * (view + rng.random()) / VIEWS
        away = np.array([np.cos(turn), np.sin(turn), SLOPES[view % len(SLOPES)]])
        pose = looking(place, away / np.linalg.norm(away))
        parts.append(seen_from(pose, points, room.normals, POSE, rng))
    return np.concatenate(parts)


@dataclass(frozen=True)
class FramesItem(Sequence):
    """One item: every tenth frame with sensor noise in, all frames fused out."""

    frames: rgbd.Frames
    seed: int
    noisy: tuple[Path, ...] = ()  # depth maps that have their noise already, one for each frame

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        if index != 0:
            raise IndexError(index)
        target = rgbd.fuse(self.frames, range(len(self.frames)), VOXEL)
        config = replace(SCENES, points=max(1, len(target) // RATIO))
        noisy = corrupt(self.seen(), config, stream(self.seed, 0, 1))
        return scene_item(noisy, make_cloud(target))

    def seen(self) -> np.ndarray:
        """All points (D, 3) of the input's frames, with the sensor's noise."""
        some, frames = range(0, len(self.frames), EVERY), self.frames
        if self.noisy:
            frames = replace(frames, depths=self.noisy)
            return np.concatenate([rgbd.frame_points(frames, i) for i in some])
        rngs = [stream(self.seed, i, 2) for i in some]
        return np.concatenate(
            [rgbd.frame_points(frames, i, r) for i, r in zip(some, rngs, strict=True)]
        )


def frame_items(root: str, seed: int) -> FramesItem:
    """The frames of a folder, or `open3d:RedwoodIndoorLivingRoom1` and its like.

    A folder depth_noisy beside depth is taken for the input instead of noise of ours.
    """
    if root.startswith("open3d:"):
        return open3d_frames(root.removeprefix("open3d:"), seed)
    frames = rgbd.open_frames(Path(root).expanduser())
    noisy = [path.parents[1] / "depth_noisy" / path.name for path in frames.depths]
    there = all(path.is_file() for path in noisy)
    return FramesItem(frames, seed, tuple(noisy) if there else ())


def open3d_frames(name: str, seed: int) -> FramesItem:
    """An augmented ICL-NUIM scene (Choi et al. 2015) by Open3D, which downloads it the first time.

    RedwoodIndoorLivingRoom1 and 2, RedwoodIndoorOffice1 and 2: 2,500 to 2,900 frames each, several
    gigabytes, below OPEN3D_DATA_ROOT. Raises InputError for another name, and without a network.
    """
    known = [n for n in dir(open3d("a data set of Open3D").data) if n.startswith("RedwoodIndoor")]
    if name not in known:
        raise InputError(f"open3d:{name} is none of {', '.join(known)}")
    try:
        data = getattr(open3d().data, name)()
    except RuntimeError as error:
        raise InputError(f"open3d:{name} cannot be downloaded ({error})") from error
    poses = rgbd.read_log(Path(data.trajectory_path))
    count = min(len(poses), len(data.depth_paths))
    stacked = np.stack([pose for _, pose in sorted(poses.items())][:count])
    depths = tuple(map(Path, data.depth_paths[:count]))
    frames = rgbd.Frames(f"open3d:{name}", depths, stacked, rgbd.PRIMESENSE)
    return FramesItem(frames, seed, tuple(map(Path, data.noisy_depth_paths[:count])))


def scannet_items(root: str, seed: int) -> Sequence:
    """ScanNet's scenes below root: meshes sampled, or clouds in .bin or another of their formats.

    <scene>/<scene>_vh_clean_2.ply where there are any, else every .bin. Their own noise is part of
    the target: ScanNet has no cleaner one.
    """
    folder = Path(root).expanduser()
    paths = sorted(folder.rglob("*_vh_clean_2.ply")) or sorted(folder.rglob("*.bin"))
    if not paths:
        raise InputError(f"{folder}: neither <scene>/<scene>_vh_clean_2.ply nor .bin below it")
    loads = [partial(read_cloud, path, silent, SCANNET_POINTS) for path in paths]
    return Scenes(loads, SCENES, seed)
