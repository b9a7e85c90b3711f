"""Clouds to learn from: a clean, dense target and the input made of it.

A root is, by what lies there:

    FILE.npz           packed clouds: apps/pointcloud/data/modelnet.py
    a folder           ShapeNet-Part's, ShapeNetCore's or ModelNet's layout, or any folder of files
                       that apps/pointcloud/data/files.py reads (meshes are sampled)
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from apps.pointcloud.config import CorruptionConfig, ScanConfig, Turn, VaryConfig
from apps.pointcloud.data import modelnet, shapenet
from apps.pointcloud.data.cloud_set import CloudSet, take_split
from apps.pointcloud.data.corruption import check_vary, corrupt, varied
from apps.pointcloud.data.files import find_clouds, read_cloud, silent
from apps.pointcloud.data.scanning import check_scan, scanned
from apps.pointcloud.geometry.cloud import Cloud
from core.data.loading import BadSample
from core.data.randomness import chance, stream
from core.errors import InputError
from core.ranges import check_ranges

NO_SCANS, AS_IT_IS = ScanConfig(), VaryConfig()


def open_clouds(root: str | Path, split: str, mesh_points: int = 4096) -> CloudSet:
    """The clouds of a split ("train", "val", "test"; "all" but of ShapeNet-Part), by layout.

    Raises InputError for a root that is missing or has none of the layouts.
    """
    path = Path(root).expanduser()
    if path.suffix == ".npz":
        return modelnet.open_npz(path, split)
    if not path.is_dir():
        raise InputError(f"{path}: no folder and no .npz: check data.root")
    if shapenet.is_part(path):
        return shapenet.open_part(path, split)
    if shapenet.is_core(path):
        return shapenet.open_core(path, split, mesh_points)
    if modelnet.is_meshes(path):
        return modelnet.open_meshes(path, split, mesh_points)
    if modelnet.is_resampled(path):
        return modelnet.open_resampled(path, split)
    return _open_files(path, split, mesh_points)


class Reconstruction(Dataset):
    """Inputs and targets. An item is a dict of float32 tensors, in the clean cloud's unit sphere:

    ``input`` (N_in, 3); ``target`` (N_out, 3) and, where the set has them, ``normals`` (N_out, 3):
    N_out of the dense points without repetition, or all of them and some again where there are
    fewer; ``center`` (3,) and ``scale`` (): target * scale + center is in the file's unit.

    With a `seed` item i is a pure function of (seed, i). Without one it is drawn, by numpy's global
    generator as the loaders seed it, and turned (or mirrored) as `turn` says; `vary` draws what the
    corruption says, and `scan` has a share of the inputs seen by a depth camera instead of
    corrupted. Raises BadSample for a file that cannot be used.
    """

    def __init__(
        self,
        clouds: CloudSet,
        corruption: CorruptionConfig,
        outputs: int,
        seed: int | None = None,
        turn: Turn = "none",
        scan: ScanConfig = NO_SCANS,
        vary: VaryConfig = AS_IT_IS,
    ):
        check_ranges(corruption, "corruption.")
        check_scan(scan)
        check_vary(vary)
        if outputs < 1:
            raise InputError(f"data.outputs is {outputs}; choose 1 or more")
        self.clouds, self.corruption, self.outputs = clouds, corruption, outputs
        self.seed, self.turn, self.scan, self.vary = seed, turn, scan, vary

    def __len__(self) -> int:
        return len(self.clouds)

    def __str__(self) -> str:
        return str(self.clouds)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        try:
            cloud, center, scale = self.clouds.read(index)
        except InputError as error:
            raise BadSample(self.clouds.names[index], str(error)) from error
        if self.seed is not None:
            # two streams, so that another target size does not change the input
            rng, other = stream(self.seed, index, 1), stream(self.seed, index, 2)
        else:
            key = np.random.randint(0, 2**31, 2).tolist()  # noqa: NPY002 - the loaders seed it
            rng, other = stream(*key, 1), stream(*key, 2)
            cloud = turned(cloud, self.turn, other)
        noisy = self._input_of(cloud, rng)
        target = cloud.at(some_points(len(cloud), self.outputs, other))
        item = {"input": noisy, "target": target.points, "center": center, "scale": scale}
        if target.normals is not None:
            item["normals"] = target.normals
        return {name: torch.as_tensor(np.float32(value)) for name, value in item.items()}

    def _input_of(self, cloud: Cloud, rng: np.random.Generator) -> np.ndarray:
        """(N_in, 3) float32: corrupted, or a share of them scanned."""
        how = varied(self.corruption, self.vary, rng)
        if self.scan.share and chance(rng, self.scan.share):
            return scanned(cloud.points, cloud.normals, self.scan, how, rng)
        return corrupt(cloud.points, how, rng)


def collate(items: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """B items as one batch: ``input``, ``target`` and ``normals`` packed, ``input_batch`` and
    ``target_batch`` (N,) int64 with the number of each point's cloud, ``center`` (B, 3) and
    ``scale`` (B,). normals are left out unless all items have them.
    """
    batch = {}
    for name in ("input", "target"):
        sizes = torch.tensor([len(item[name]) for item in items])
        batch[name] = torch.cat([item[name] for item in items])
        batch[f"{name}_batch"] = torch.arange(len(items)).repeat_interleave(sizes)
    if all("normals" in item for item in items):
        batch["normals"] = torch.cat([item["normals"] for item in items])
    return batch | {
        name: torch.stack([item[name] for item in items]) for name in ("center", "scale")
    }


def some_points(size: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count,) int64: `count` of 0..size - 1, none twice unless there are fewer."""
    # a sort of random numbers: numpy does not promise that `permutation` stays the same
    return np.resize(np.argsort(rng.random(size), kind="stable"), count)


def turned(cloud: Cloud, turn: Turn, rng: np.random.Generator) -> Cloud:
    """The cloud turned at random, in any way or about z, and mirrored in half of the cases."""
    if turn == "none":
        return cloud
    if turn == "any":  # Gaussian columns made orthonormal are uniform over O(3)
        q, r = np.linalg.qr(rng.standard_normal((3, 3)))
        matrix = q * np.sign(np.diag(r))
    else:
        angle, mirror = 2 * np.pi * rng.random(), np.where(rng.random() < 0.5, 1, -1)
        c, s = np.cos(angle), np.sin(angle)
        matrix = np.array([[mirror * c, -s, 0], [mirror * s, c, 0], [0, 0, 1]])
    matrix = matrix.astype(np.float32)
    normals = None if cloud.normals is None else cloud.normals @ matrix.T
    return Cloud(cloud.points @ matrix.T, normals, cloud.colours)


def _open_files(root: Path, split: str, mesh_points: int) -> CloudSet:
    paths = find_clouds([root])
    names = tuple(str(path.relative_to(root)) for path in paths)
    clouds = CloudSet(str(root), names, partial(_load_file, paths, mesh_points))
    sides = [_folder_side(name) for name in names]
    return take_split(clouds, sides, split)


def _folder_side(name: str) -> str:
    """The split that a file's folders name, or none."""
    named = [part for part in Path(name).parts[:-1] if part in ("train", "val", "test")]
    return named[0] if named else ""


def _load_file(paths: list[Path], mesh_points: int, index: int) -> Cloud:
    return read_cloud(paths[index], silent, mesh_points)
