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

from apps.pointcloud.eval import open_run
from apps.pointcloud.evaluation.metrics import cloud_metrics
from apps.pointcloud.evaluation.suites import open_suite
from apps.pointcloud.geometry.resample import resample_cloud
from apps.pointcloud.models.network import ReconNet
from apps.pointcloud.models.sparse.voxelize import centres, occupied, voxelize
from core.training.session import Session

NAMES = ("all", "true voxels", "centres", "to the surface")


def stages(network: ReconNet, item: dict, count: int) -> list[float]:
    """The four figures of one item."""
    length, target = network.config.voxel_length, item["target"]
    start = voxelize(item["input"], _zeros(item["input"]), length)
    truth = occupied(target, _zeros(target), length)
    kept = _last(network, start, None)
    made = network.refine(kept.features, kept.sites).flatten(0, 1)
    forced = _last(network, start, truth)
    forced = forced.prune(truth.find(forced.sites) >= 0)
    ideal = network.refine(forced.features, forced.sites).flatten(0, 1)
    clouds = made, ideal, centres(kept.sites, length)
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
    session, suite, found = Session(), open_suite("embedded"), defaultdict(list)
    chosen = np.linspace(0, len(suite) - 1, options.clouds).round().astype(int).tolist()
    items = [suite.items[i] for i in chosen]
    for path in options.runs:
        config, network, _ = open_run(path, session)
        rows = [stages(network, item, suite.outputs) for item in items]
        found[config.model.operator].append(1000 * np.mean(rows, 0))
        print(path, dict(zip(NAMES, found[config.model.operator][-1].round(2), strict=True)))
    print(f"\n{'operator':18}" + "".join(f"{name:>20}" for name in NAMES))
    for operator, runs in found.items():
        cells = [f"{statistics.fmean(v):.2f} +- {_deviation(v):.2f}" for v in np.transpose(runs)]
        print(f"{operator:18}" + "".join(f"{cell:>20}" for cell in cells))


def _deviation(values) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


if __name__ == "__main__":
    main()
