"""Published test sets whose inputs are files beside their truth: PU1K, PU-GAN, PUNet as folders.

As their authors hand them out, or their scripts write them; a cloud and its input have one name:

    PU1K                     test/input_2048/{input_2048,gt_8192}/*.xyz, test/original_meshes/*.off
    PU-GAN (Grad-PU's)       test_pointcloud/input_2048_4X/{input_2048,gt_8192}/*.xyz, test/*.off
    PUNet (ScoreDenoise's)   examples/PUNet_10000_poisson_0.01/*.xyz, PUNet/meshes/test/*.off,
                             truths in PUNet/pointclouds/test/10000_poisson/*.xyz

The root is the first folder of a row: that which holds an input_ and a gt_ folder, or PUNet's noisy
clouds. Clouds are normalised as in every suite here (docs/pointcloud_protocol.md), which is not how
each of the papers does it: figures go beside figures of this table alone. Where a mesh of the same
name is there, to_mesh is the mean distance of the predicted points to it (P2F).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from apps.pointcloud.data.cloud_set import CloudSet
from apps.pointcloud.data.files import find_clouds, read_cloud, read_mesh, silent
from apps.pointcloud.data.open3d_compat import open3d
from core.errors import InputError

LAYOUTS = (
    "a folder with an input_... and a gt_... folder (PU1K, PU-GAN), or of noisy clouds in "
    "examples/SET_RESOLUTION_NOISE beside SET/pointclouds/test/RESOLUTION (PUNet)"
)


class Pairs(Sequence):
    """Items as `Reconstruction` has them, read from files: input, target, center, scale, and
    vertices (V, 3) and faces (F, 3) where there is a mesh. Raises InputError for a root of none of
    the layouts, for a cloud without input, and, when it is read, for a file that is no cloud."""

    def __init__(self, root: str | Path):
        inputs, truths, meshes = folders_of(Path(root).expanduser())
        self.inputs, self.truths = _by_name(inputs), _by_name(truths)
        self.meshes = _by_name(meshes) if meshes.is_dir() else {}
        lacking = sorted(self.inputs.keys() - self.truths.keys())
        if lacking:
            raise InputError(f"{inputs}, {lacking[0]}: {truths} has no cloud of this name")
        self.names = tuple(sorted(self.inputs))
        self.clouds = CloudSet(str(root), self.names, partial(_load, self.truths, self.names))

    def __len__(self) -> int:
        return len(self.names)

    def __str__(self) -> str:
        return str(self.clouds)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        name = self.names[index]
        target, center, scale = self.clouds.read(index)
        points = read_cloud(self.inputs[name], silent).places()
        item = {"input": (points - center) / scale, "target": target.points}
        item |= {"center": center, "scale": scale}
        if name in self.meshes:
            vertices, faces = read_mesh(self.meshes[name])
            item["vertices"] = (vertices - center) / scale
        item = {key: torch.as_tensor(np.float32(value)) for key, value in item.items()}
        return item | ({"faces": torch.from_numpy(faces)} if name in self.meshes else {})


def folders_of(root: Path) -> tuple[Path, Path, Path]:
    """Those of the inputs, of the truths, and of the meshes, which need not be there."""
    inner = sorted(path for path in root.glob("*") if path.is_dir())
    inputs = [path for path in inner if path.name.startswith("input")]
    truths = [path for path in inner if path.name.startswith("gt")]
    if len(inputs) == len(truths) == 1:
        pu1k, pugan = root.parent / "original_meshes", root.parent.parent / "test"
        return inputs[0], truths[0], pu1k if pu1k.is_dir() else pugan
    name, _, rest = root.name.partition("_")
    resolution, data = rest.rpartition("_")[0], root.parent.parent / name
    truth = data / "pointclouds" / "test" / resolution
    if resolution and truth.is_dir():
        return root, truth, data / "meshes" / "test"
    raise InputError(f"{root}: neither layout of paired clouds: {LAYOUTS}")


def mean_to_mesh(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> float:
    """The mean distance of points (P, 3) to the nearest place of a mesh. Needs Open3D."""
    o3d = open3d("the distance to a mesh")
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(np.float32(vertices), np.uint32(faces))
    return float(scene.compute_distance(np.float32(points)).numpy().mean())


def _by_name(folder: Path) -> dict[str, Path]:
    """The files of a folder that can be read, by name without suffix."""
    return {path.stem: path for path in find_clouds([folder])}


def _load(paths: dict[str, Path], names: Sequence[str], index: int):
    return read_cloud(paths[names[index]], silent)
