"""Which stage of a reconstruction network loses what, for runs that differ by their operator.

python benchmarks/pointcloud_stages.py RUN [RUN ...] [--clouds 55]

On shapes of the embedded test suite, Chamfer L1 in thousandths of the radius of
    all         the network as it is
    true voxels stage 2 over the truly occupied voxels alone, with the network's features: what
                stage 2 could do behind a stage 1 without error
    centres     the centres of the voxels that the network keeps: stage 1 alone
and of the points in truly occupied voxels the mean distance to the surface, which is what the
operator is there for. Means over the runs of one operator, and their standard deviation.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict

import numpy as np
import torch
from scipy.spatial import cKDTree

from apps.pointcloud.config import PointCloudConfig
from apps.pointcloud.evaluation.metrics import cloud_metrics
from apps.pointcloud.evaluation.suites import open_suite
from apps.pointcloud.geometry.resample import resample_cloud
from apps.pointcloud.models.network import ReconNet
from apps.pointcloud.models.sparse.voxelize import centres, occupied, voxelize
from core.app.runs import reopen
from core.data.samples import evenly_spaced
from core.training.session import Session

NAMES = ("all", "true voxels", "centres", "to the surface")


def stages(network: ReconNet, item: dict, count: int) -> list[float]:
    """The four figures of one item."""
    length, target = network.config.voxel_length, item["target"]
    start = voxelize(item["input"], _zeros(item["input"]), length)
    truth = occupied(target, _zeros(target), length)
    occupied_voxels = _last(network, start, None)
    output = network.refine(occupied_voxels.features, occupied_voxels.sites).flatten(0, 1)
    forced = _last(network, start, truth)
    forced = forced.prune(truth.find(forced.sites) >= 0)
    ideal = network.refine(forced.features, forced.sites).flatten(0, 1)
    clouds = output, ideal, centres(occupied_voxels.sites, length)
    chamfers = [_chamfer(resample_cloud(cloud, count), target.numpy()) for cloud in clouds]
    apart = cKDTree(target.numpy()).query(ideal.numpy())[0]
    return [*chamfers, float(apart.mean())]


def _last(network: ReconNet, start, truth):
    """The voxels that the last hourglass keeps; with truth, all true ones too."""
    voxels = network.stem(start)
    for hourglass in network.hourglasses:
        voxels, _ = hourglass(voxels, truth)
    return voxels


def _chamfer(points: np.ndarray, target: np.ndarray) -> float:
    return cloud_metrics(points, target, ())["chamfer_l1"]


def _zeros(points: torch.Tensor) -> torch.Tensor:
    return torch.zeros(len(points), dtype=torch.int64)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--clouds", type=int, default=55)
    options = parser.parse_args()
    session, suite, of_operator = Session(), open_suite("embedded"), defaultdict(list)
    items = [suite.items[i] for i in evenly_spaced(len(suite), options.clouds)]
    for path in options.runs:
        run = reopen(path, PointCloudConfig, ReconNet, session)
        rows = [stages(run.network, item, suite.outputs) for item in items]
        figures = 1000 * np.mean(rows, 0)
        of_operator[run.config.model.operator].append(figures)
        print(path, dict(zip(NAMES, figures.round(2), strict=True)))
    print(f"\n{'operator':18}" + "".join(f"{name:>20}" for name in NAMES))
    for operator, runs in of_operator.items():
        cells = [f"{statistics.fmean(v):.2f} +- {_deviation(v):.2f}" for v in np.transpose(runs)]
        print(f"{operator:18}" + "".join(f"{cell:>20}" for cell in cells))


def _deviation(values) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


if __name__ == "__main__":
    main()
