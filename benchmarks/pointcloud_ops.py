"""Searches in point clouds and one PointMixer layer, beside what else there is, in one run.

python benchmarks/pointcloud_ops.py [--points 10000 100000] [--repeats 3] [--threads 1]

The layer (C 64, k 16) goes forward and backward with its search: by the KD-tree, and by torch.cdist
and topk, whole at 10,000 points and in chunks of 1,000 queries above. Neighbours and farthest point
sampling (a quarter of the points) stand beside Open3D's, where it is installed. Points are a sphere
with 2 % noise. Times are seconds of processor, of all threads together, the smallest of the
repeats: what else runs on the machine hardly moves them.
"""

from __future__ import annotations

import argparse
import time
from functools import partial

import core  # noqa: F401 - before torch, so that OpenMP's threads sleep while they wait

# isort: split
import torch

from apps.pointcloud.data.open3d_compat import has_open3d, open3d
from apps.pointcloud.geometry.search import farthest_points, knn
from apps.pointcloud.models.operators import create_operator

CHANNELS, NEIGHBOURS, WHOLE, CHUNK = 64, 16, 10_000, 1_000


def sphere(count):
    points = torch.randn(count, 3, generator=torch.Generator().manual_seed(0))
    return points / points.norm(dim=1, keepdim=True) + 0.02 * torch.randn(count, 3)


def smallest(function, repeats):
    """Seconds of processor, the smallest of the repeats."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def by_cdist(points, k):
    rows = len(points) if len(points) <= WHOLE else CHUNK
    chunks = points.split(rows)
    return torch.cat([torch.cdist(c, points).topk(k, largest=False).indices for c in chunks])


def layer_times(points, repeats):
    """(search and layer with the tree, with cdist, the layer alone)."""
    layer = create_operator("pointmixer", CHANNELS, NEIGHBOURS)
    features = torch.randn(len(points), CHANNELS, requires_grad=True)
    batch = torch.zeros(len(points), dtype=torch.int64)

    def step(search):
        layer(features, points, batch, search(points)).sum().backward()

    searches = (
        lambda p: knn(p, p, NEIGHBOURS),
        lambda p: by_cdist(p, NEIGHBOURS),
    )
    index = knn(points, points, NEIGHBOURS)
    step(lambda _: index)  # warms up
    return [smallest(partial(step, search), repeats) for search in (*searches, lambda _: index)]


def open3d_searches(points):
    """Two functions of no arguments, or None without Open3D."""
    if not has_open3d():
        return None
    module = open3d()
    array = points.numpy()

    def neighbours():
        tensor = module.core.Tensor(array)
        search = module.core.nns.NearestNeighborSearch(tensor)
        search.knn_index()
        search.knn_search(tensor, NEIGHBOURS)

    cloud = module.geometry.PointCloud(module.utility.Vector3dVector(array.astype("float64")))
    return neighbours, lambda: cloud.farthest_point_down_sample(len(points) // 4)


def report(count, repeats):
    points = sphere(count)
    tree, cdist, alone = layer_times(points, repeats)
    print(f"\n{count:,} points")
    print(f"  layer, forward and backward   {alone:8.3f} s without the search")
    print(f"    with the KD-tree            {tree:8.3f} s   {count / tree:10,.0f} points/s")
    print(f"    with torch.cdist            {cdist:8.3f} s   {cdist / tree:.1f} times that")
    ours = (lambda: knn(points, points, NEIGHBOURS)), (lambda: farthest_points(points, 0.25))
    theirs = open3d_searches(points)
    for i, name in enumerate(("neighbours", "farthest points")):
        line = f"  {name:<29} {smallest(ours[i], repeats):8.3f} s"
        print(line + (f"   Open3D {smallest(theirs[i], repeats):.3f} s" if theirs else ""))
    if not theirs:
        print("  (Open3D is not installed: nothing to stand beside)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, CPU")
    for count in options.points:
        report(count, options.repeats)


if __name__ == "__main__":
    main()
