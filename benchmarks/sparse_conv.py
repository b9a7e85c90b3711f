"""Time and memory of sparse convolution from 10^4 to 10^6 points, in one run: docs/sparse_conv.png.

python benchmarks/sparse_conv.py [--sizes 10000 ... 1000000] [--out docs/sparse_conv.png]

Points lie on a sphere, the voxel length is sqrt(4 pi / N) radii: 0.65 voxels a point, 7.2 of 27
neighbours occupied. Each number comes from a process of its own, on one thread: seconds of
processor, which what else runs on the machine hardly moves (smallest of the repeats), and how far
the resident set grows over what it is before the points are made. Parts:

    map         points to voxels, and the map of a 3x3x3 kernel
    layer       one submanifold layer, C 16, forward and backward, its map given
    offsets     the same by torch's autograd: for each of 27 cells gather, multiply, index_add
    im2col      the same by one gather of all 27 neighbours, zeros where none is, and one product
    hourglass   points to voxels, an hourglass of depth 3, C 8, forward and backward, all its maps
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from pathlib import Path

import core  # noqa: F401 - before torch, so that OpenMP's threads sleep while they wait

# isort: split
import torch

from apps.pointcloud.models.sparse import Hourglass
from apps.pointcloud.models.sparse.layers import convolve
from apps.pointcloud.models.sparse.voxelize import CHANNELS, occupied, voxelize
from core.pictures.figures import new_figure, plain_axes, save_figure

C, NARROW, DEPTH = 16, 8, 3
ENOUGH = 10.0  # seconds of a part, after which it is not repeated
SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000)


def sphere(count):
    """Points, their cloud's number and the voxel length."""
    points = torch.randn(count, 3, generator=torch.Generator().manual_seed(0))
    points /= points.norm(dim=1, keepdim=True)
    return points, torch.zeros(count, dtype=torch.int64), math.sqrt(4 * math.pi / count)


def build_map(count):
    cloud = sphere(count)

    def work():
        sites = voxelize(*cloud).sites
        sites.map_to(sites, 3)

    return work, len(occupied(*cloud))


def build_layer(count, by=convolve):
    sites = occupied(*sphere(count))
    pairs = sites.map_to(sites, 3)
    features = torch.randn(len(sites), C, requires_grad=True)
    weight = torch.randn(27, C, C, requires_grad=True)
    forms = {im2col: neighbour_table, offsets: lambda p: list(pairs_of_cells(p))}
    geometry = forms.get(by, lambda p: p)(pairs)  # what each way of doing it reads the map as

    def work():
        by(features, weight, geometry).sum().backward()
        features.grad = weight.grad = None

    return work, len(sites)


def offsets(features, weight, cells):
    out = features.new_zeros(len(features), C)
    for cell, inputs, outputs in cells:
        out = out.index_add(0, outputs, features[inputs] @ weight[cell])
    return out


def im2col(features, weight, neighbours):
    padded = torch.cat([features, features.new_zeros(1, C)])
    return padded[neighbours].flatten(1) @ weight.flatten(0, 1)


def pairs_of_cells(pairs):
    """(cell, inputs, outputs), each cell once: the pairs without tiles."""
    for cell in range(27):
        rows = [pairs.rows(start, stop) for c, start, stop in pairs.runs if c == cell]
        yield cell, torch.cat([r[0] for r in rows]), torch.cat([r[1] for r in rows])


def neighbour_table(pairs):
    """(V, 27) int64: the neighbour under each cell; V where none is."""
    neighbours = torch.full((pairs.count, 27), pairs.count)
    for cell, inputs, outputs in pairs_of_cells(pairs):
        neighbours[outputs, cell] = inputs
    return neighbours


def build_hourglass(count):
    cloud = sphere(count)
    stem, network = torch.nn.Linear(CHANNELS, NARROW), Hourglass(NARROW, DEPTH)

    def work():
        voxels = voxelize(*cloud).apply(stem)
        out, levels = network(voxels, voxels.sites)
        loss = out.features.sum() + sum(level["logits"].sum() for level in levels)
        loss.backward()

    return work, len(occupied(*cloud))


PARTS = {
    "map": build_map,
    "layer": build_layer,
    "offsets": lambda count: build_layer(count, offsets),
    "im2col": lambda count: build_layer(count, im2col),
    "hourglass": build_hourglass,
}


def resident() -> int:
    """Bytes of the largest resident set so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def cost(part: str, count: int, repeats: int) -> dict:
    """In this process: seconds of processor, bytes, voxels."""
    torch.set_num_threads(1)
    PARTS[part](1_000)[0]()  # what torch loads late is loaded now
    before = resident()
    work, voxels = PARTS[part](count)
    times = []
    while len(times) < repeats and sum(times) < ENOUGH:
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return {"seconds": min(times), "bytes": resident() - before, "voxels": voxels}


def cost_alone(part: str, count: int) -> dict:
    """`cost` in a process of its own."""
    words = [sys.executable, __file__, "--part", part, "--sizes", count]
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def slope(sizes, values) -> float:
    """Of the least-squares line through logarithms: 1 is linear growth."""
    x, y = (torch.tensor(v, dtype=torch.float64).log() for v in (list(sizes), list(values)))
    return float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())


def draw(rows: dict[str, list[dict]], sizes, out: Path) -> None:
    figure = new_figure(11, 4.5, dpi=110)
    panels = zip(figure.subplots(1, 2), ("seconds", "bytes"), (1, 2**20), strict=True)
    for axis, name, unit in panels:
        for part, costs in rows.items():
            values = [row[name] / unit for row in costs]
            axis.loglog(sizes, values, "o-", label=f"{part}, slope {slope(sizes, values):.2f}")
        axis.set(xlabel="points", ylabel="seconds, one core" if unit == 1 else "peak memory, MiB")
        plain_axes(axis)
        axis.legend()
    save_figure(out, figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--part", choices=PARTS, help="one part of one size, in this process")
    parser.add_argument("--out", type=Path, default=Path("docs/sparse_conv.png"))
    options = parser.parse_args()
    if options.part:
        print(json.dumps(cost(options.part, options.sizes[0], options.repeats)))
        return
    rows: dict[str, list[dict]] = {part: [] for part in PARTS}
    print(f"{'part':10}{'points':>9}{'voxels':>9}{'seconds':>9}{'MiB':>8}{'us/point':>10}")
    for part in PARTS:
        for size in options.sizes:
            row = cost_alone(part, size)
            rows[part].append(row)
            numbers = row["seconds"], row["bytes"] / 2**20, 1e6 * row["seconds"] / size
            words = "{:9.3f}{:8.0f}{:10.2f}".format(*numbers)
            print(f"{part:10}{size:9}{row['voxels']:9}{words}", flush=True)
    draw(rows, options.sizes, options.out)
    print(f"drawn: {options.out}")


if __name__ == "__main__":
    main()
