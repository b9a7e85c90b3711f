"""How fast a network goes over a scan, in seconds of processor, and where the time goes.

python benchmarks/pointcloud_scan.py [RUN] [--points 32000] [--profile]

The scan is a drawn room, its points moved by 3 mm along each axis, as predict.py would hand it on:
reading, pictures and writing are not in it. Beside another version: the same with PYTHONPATH at it,
in turn. Seconds of processor are those of all threads together.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import resource
import time

import numpy as np

from apps.pointcloud.config import PointCloudConfig
from apps.pointcloud.evaluation.inference import reconstruct_places
from apps.pointcloud.models.network import ReconNet
from apps.pointcloud.solids.rooms import room_scene
from core.app.runs import reopen
from core.config import entry_point
from core.data.randomness import stream
from core.ranges import Count, argument
from core.training.session import Session

NOISE = 0.003  # metres
ROWS = 25  # of the profile


def scan(count: int) -> np.ndarray:
    """(count, 3) in metres."""
    points = room_scene(0, 0, count).points
    return (points + NOISE * stream(0).standard_normal(points.shape)).astype(np.float32)


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", nargs="?", default="scans", help="a run, or a kept network")
    parser.add_argument("--points", type=argument(Count), default=32_000)
    parser.add_argument("--profile", action="store_true", help="the functions that take longest")
    options = parser.parse_args()
    session, points = Session(), scan(options.points)
    network = reopen(options.run, PointCloudConfig, ReconNet, session).network
    profile, start = cProfile.Profile(time.process_time), time.process_time()
    if options.profile:
        profile.enable()
    made = sum(len(part) for part, _ in reconstruct_places(session, network, points))
    profile.disable()
    seconds = time.process_time() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{len(points):,} points to {made:,}: {seconds:.2f} s of processor, "
        f"{len(points) / seconds:,.0f} points/s in, {made / seconds:,.0f} out; "
        f"at most {memory:.1f} GiB"
    )
    if options.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(ROWS)


if __name__ == "__main__":
    main()
