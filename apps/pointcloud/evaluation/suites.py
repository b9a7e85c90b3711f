"""The fixed test suites; hashes: python -m apps.pointcloud.evaluation.suites NAME [--root ...].

Numbers and hashes are those of docs/pointcloud_protocol.md; a suite's items are pure functions of
SEED and the item's place, for real data also of the files.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from apps.pointcloud.config import SHAPES
from apps.pointcloud.data import scenes, shapenet
from apps.pointcloud.data.cloud_set import CloudSet
from apps.pointcloud.data.dataset import Reconstruction, open_clouds
from apps.pointcloud.evaluation.pairs import Pairs
from apps.pointcloud.geometry.cloud import Cloud, make_cloud
from apps.pointcloud.solids import KINDS, make_shape, room_scene
from apps.pointcloud.solids.dataset import shape_id
from core.config import did_you_mean, entry_point
from core.errors import InputError

SEED = 2022  # of every suite: the year of both papers
SHAPE_THRESHOLDS = (0.01, 0.02, 0.04)  # radii of the unit sphere
SCENE_THRESHOLDS = (0.02, 0.04, 0.08)  # metres
DENSE = 16_384  # true points of an embedded shape: they stand for its surface
EACH = 10  # embedded shapes of a kind, and shapes of a class of ModelNet10

Items = Sequence[dict[str, torch.Tensor]]


@dataclass(frozen=True)
class Suite:
    """Items to evaluate on, and what the results are measured in."""

    name: str
    items: Items  # as apps.pointcloud.data.dataset.Reconstruction gives them
    thresholds: tuple[float, float, float]
    outputs: int | None = None  # points that a method returns; as many as the target has
    metres: bool = False  # results are in metres, and not in radii of the unit sphere

    def unit(self, item: dict[str, torch.Tensor]) -> float:
        """What a length in an item's unit sphere is multiplied by."""
        return float(item["scale"]) if self.metres else 1.0

    def hashes(self) -> dict[str, str]:
        """sha256 of all inputs and of all targets: little-endian float32, row by row, in order."""
        sums = {"input": hashlib.sha256(), "target": hashlib.sha256()}
        for item in self:
            for name, digest in sums.items():
                digest.update(item[name].numpy().astype("<f4").tobytes())
        return {name: digest.hexdigest() for name, digest in sums.items()}

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        return (self.items[i] for i in range(len(self.items)))

    def __len__(self) -> int:
        return len(self.items)


def open_suite(name: str, root: str = "") -> Suite:
    """A suite by name. `root` is the folder or file of real data.

    Raises InputError for an unknown name, and for real data without a root.
    """
    if name not in SUITES:
        raise InputError(f"there is no suite {name!r}.{did_you_mean(name, SUITES)}")
    if name in EMBEDDED + RENDERED:
        return SUITES[name]()
    if not root:
        raise InputError(f"the suite {name} is made of files: give their folder or file as --root")
    return SUITES[name](root)


def embedded() -> Suite:
    """Ten unseen shapes of each of the eleven kinds: 512 points in, 4,096 out, against 16,384."""
    names = [f"{k.synset}/{shape_id('test', n)}" for k in KINDS for n in range(EACH)]
    clouds = CloudSet("embedded solids test", tuple(names), _load_solid)
    items = Reconstruction(clouds, SHAPES, DENSE, SEED)
    return Suite("embedded", items, SHAPE_THRESHOLDS, outputs=4096)


def rooms() -> Suite:
    """Four furnished rooms in metres: 4,000 points in, 32,000 out."""
    items = scenes.Scenes([partial(_room, number) for number in range(4)], scenes.SCENES, SEED)
    return Suite("rooms", items, SCENE_THRESHOLDS, metres=True)


def rooms_rgbd() -> Suite:
    """The same rooms as a depth camera sees them from within: 4,000 points in, 32,000 out."""
    items = scenes.LookedAt([partial(_room, number) for number in range(4)], SEED)
    return Suite("rooms_rgbd", items, SCENE_THRESHOLDS, metres=True)


def common_meshes(root: str) -> Suite:
    """Every mesh of a folder, sampled with 16,384 points: 512 points in, 4,096 out."""
    items = Reconstruction(open_clouds(root, "all", DENSE), SHAPES, DENSE, SEED)
    return Suite("common_meshes", items, SHAPE_THRESHOLDS, outputs=4096)


def shapenetpart(root: str) -> Suite:
    """ShapeNet-Part's official test split: 512 points in, 2,048 out."""
    if not shapenet.is_part(Path(root)):
        raise InputError(f"{root}: no train_test_split/shuffled_test_file_list.json in it")
    clouds = open_clouds(root, "test")
    return Suite("shapenetpart", Reconstruction(clouds, SHAPES, 2048, SEED), SHAPE_THRESHOLDS)


def shapenet_sampled(root: str) -> Suite:
    """All clouds of an npz of 2,048 points each: 512 points in, 2,048 out."""
    clouds = open_clouds(root, "all")
    items = Reconstruction(clouds, SHAPES, 2048, SEED)
    return Suite("shapenet_sampled", items, SHAPE_THRESHOLDS)


def modelnet10(root: str) -> Suite:
    """The first ten test shapes of each class, clouds of 1,024 points: 256 points in, 1,024 out."""
    clouds = open_clouds(root, "test")
    order = sorted(range(len(clouds)), key=clouds.names.__getitem__)
    taken: dict[str, list[int]] = {}
    for i in order:
        taken.setdefault(clouds.names[i].rpartition("_")[0], []).append(i)
    chosen = [i for places in taken.values() for i in places[:EACH]]
    clouds = clouds.some(chosen, f"{clouds}, ten of a class")
    items = Reconstruction(clouds, replace(SHAPES, points=256), 1024, SEED)
    return Suite("modelnet10", items, SHAPE_THRESHOLDS)


def icl(root: str) -> Suite:
    """One RGB-D scene: every tenth frame with sensor noise in, all frames fused out."""
    return Suite("icl", scenes.frame_items(root, SEED), SCENE_THRESHOLDS, metres=True)


def scannet(root: str) -> Suite:
    """Every scene below root: <scene>/*_vh_clean_2.ply, or RGB-D frames."""
    return Suite("scannet", scenes.scannet_items(root, SEED), SCENE_THRESHOLDS, metres=True)


def pairs(root: str) -> Suite:
    """PU1K, PU-GAN or PUNet as folders: inputs as their authors made them, as many out as true."""
    return Suite("pairs", Pairs(root), SHAPE_THRESHOLDS)


EMBEDDED = ("embedded", "rooms")
RENDERED = ("rooms_rgbd",)  # embedded too; a last bit of a product may differ between processors
REAL = (shapenetpart, shapenet_sampled, modelnet10, common_meshes, icl, scannet, pairs)
SUITES = {make.__name__: make for make in (embedded, rooms, rooms_rgbd, *REAL)}


def _load_solid(index: int) -> Cloud:
    kind, number = divmod(index, EACH)
    rows = make_shape(0, "test", kind, number, DENSE).astype(np.float32)
    return make_cloud(rows[:, :3], rows[:, 3:6])


def _room(number: int) -> Cloud:
    samples = room_scene(0, number, 32_000)
    return make_cloud(samples.points.round(5), samples.normals)


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", choices=SUITES)
    parser.add_argument("--root", default="", help="folder or file of real data")
    options = parser.parse_args()
    suite = open_suite(options.name, options.root)
    print(f"{suite.name}: {len(suite)} clouds")
    for name, value in suite.hashes().items():
        print(f"  {name:6} sha256 {value}")


if __name__ == "__main__":
    main()
