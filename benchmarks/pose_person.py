"""Milliseconds a person of a keypoint network on one core: its crop, the network, its decoding.

python benchmarks/pose_person.py [RUN] [--people 200]

RUN is a run's folder or a kept network (the usual one without). People are drawn, one after
another, by one thread; torch and onnxruntime in turn, each with and without the flip test where it
has one. Medians, and the quarters on both sides.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import core  # noqa: F401 - before torch, so that OpenMP's threads sleep while they wait

# isort: split
import numpy as np
import torch
from torch.utils.data import default_collate

from apps.pose.config import PoseConfig
from apps.pose.data.dataset import crop_box
from apps.pose.evaluation.inference import predictor
from apps.pose.export import export_pose
from apps.pose.models.network import PoseNet
from apps.pose.people.film import draw_film
from core.app.runs import reopen
from core.tables import Table
from core.training.session import Session, build_accelerator


def by_torch(network: PoseNet, flip_test: bool) -> Callable:
    """(image, box) -> its keypoints."""
    predict = predictor(network, network.config, network.keypoints, flip_test)
    return lambda image, box: predict(default_collate([crop_box(image, box, network.config)]))


def by_onnxruntime(network: PoseNet, folder: Path) -> Callable:
    """The same of the exported file, on one thread."""
    import onnxruntime

    from apps.pose.exported.runner import PoseRunner

    export_pose(network, path := folder / "pose.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    people = PoseRunner(path)
    people.session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    return lambda image, box: people(image, [box])


def timed(ways: dict[str, Callable], people: list) -> dict[str, list[float]]:
    """Milliseconds of each way for each person, in turn."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for image, box in people:
        for name, way in ways.items():
            start = perf_counter()
            way(image, box)
            taken[name].append(1000 * (perf_counter() - start))
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", nargs="?", help="folder of a run, or a kept network")
    parser.add_argument("--people", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    session = Session(build_accelerator())
    run = reopen(options.run or PoseNet.KEPT.default(), PoseConfig, PoseNet, session)
    film = draw_film(0, options.people, people=1)
    people = [(image, labels[0]["bbox"]) for image, labels in film if labels]
    with tempfile.TemporaryDirectory() as folder:
        ways = {
            "torch": by_torch(run.network, False),
            "torch, flip test": by_torch(run.network, True),
            "onnxruntime": by_onnxruntime(run.network, Path(folder)),
        }
        taken = timed(ways, people)
    rows = [(name, *np.percentile(values[1:], (25, 50, 75))) for name, values in taken.items()]
    columns = ("one core", "25 %", "median", "75 %")
    print(Table("Milliseconds a person", columns, rows, forms=dict.fromkeys(columns[1:], "{:.1f}")))


if __name__ == "__main__":
    main()
