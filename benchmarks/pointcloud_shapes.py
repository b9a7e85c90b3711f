"""How far reconstructions are from a sphere, a cylinder and a plane, which are known as formulas.

python benchmarks/pointcloud_shapes.py [RUN ...] [--points 2048] [--seeds 0 1 2]

Points on the surface are moved by Gaussian noise along all axes; four times as many come out.
Distances to the surface, in thousandths of the radius (1; of the plane half an edge):

    rms     the root of the mean square: noise, and what a method adds
    shift   the mean, outwards: a sphere that shrinks has one below 0

Of the cylinder and the plane only what lies away from their rims counts, in and out: how a method
ends a surface is another question. Means over the seeds, and the standard deviation of rms.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import numpy as np

from apps.pointcloud.config import PointCloudConfig
from apps.pointcloud.evaluation.baselines import available
from apps.pointcloud.evaluation.inference import Method, network_method
from apps.pointcloud.models.network import ReconNet
from core.app.runs import reopen
from core.data.randomness import stream
from core.tables import Table
from core.training.session import Session

NOISE = (0.0, 0.01, 0.03)
RIM = 0.8  # of the half length and of the half edge: what lies within counts
TIMES = 4  # points out of a point in


def sphere(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 3), uniform by area."""
    points = rng.standard_normal((count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def cylinder(count: int, rng: np.random.Generator) -> np.ndarray:
    """The side of one of radius 1 and length 2, without its ends."""
    turn = rng.uniform(0, 2 * np.pi, count)
    return np.stack([np.cos(turn), np.sin(turn), rng.uniform(-1, 1, count)], 1)


def plane(count: int, rng: np.random.Generator) -> np.ndarray:
    """A square of edge 2."""
    return np.concatenate([rng.uniform(-1, 1, (count, 2)), np.zeros((count, 1))], 1)


# the points, and of any points the signed distance to the surface, and which of them count
SHAPES: dict[str, tuple[Callable, Callable, Callable]] = {
    "sphere": (sphere, lambda p: np.linalg.norm(p, axis=1) - 1, lambda p: np.full(len(p), True)),
    "cylinder": (
        cylinder,
        lambda p: np.linalg.norm(p[:, :2], axis=1) - 1,
        lambda p: np.abs(p[:, 2]) < RIM,
    ),
    "plane": (plane, lambda p: p[:, 2], lambda p: np.abs(p[:, :2]).max(1) < RIM),
}


def distances(shape: str, method: Method, noise: float, count: int, seed: int) -> np.ndarray:
    """Of what a method makes of one cloud, the signed distances of the points that count."""
    draw, distance, inside = SHAPES[shape]
    rng = stream(seed)
    points = draw(count, rng) + noise * rng.standard_normal((count, 3))
    made = method(points.astype(np.float32), TIMES * count).astype(np.float64)
    return distance(made[inside(made)])


def table(shape: str, methods: dict[str, Method], count: int, seeds: list[int]) -> Table:
    """A row for each method, its figures at each noise."""
    rows = []
    for name, method in methods.items():
        cells = []
        for noise in NOISE:
            found = [distances(shape, method, noise, count, seed) for seed in seeds]
            rms = [1e3 * float(np.sqrt(np.mean(values**2))) for values in found]
            spread = statistics.stdev(rms) if len(rms) > 1 else 0.0
            shift = 1e3 * statistics.fmean(float(values.mean()) for values in found)
            cells.append(f"{statistics.fmean(rms):.2f} +- {spread:.2f} ({shift:+.2f})")
        rows.append((name, *cells))
    heads = ("", *(f"noise {1e3 * noise:g}: rms (shift)" for noise in NOISE))
    return Table(f"{shape}, {count} points, 1e-3 radii", heads, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="*", default=["scans"], help="runs, or kept networks")
    parser.add_argument("--points", type=int, default=2048)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    session, methods = Session(), dict(available())
    for path in options.runs:
        network = reopen(path, PointCloudConfig, ReconNet, session).network
        methods[path] = network_method(session, network, scenes=True)
    for shape in SHAPES:
        print(f"\n{table(shape, methods, options.points, options.seeds).markdown()}")


if __name__ == "__main__":
    main()
