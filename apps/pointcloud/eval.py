"""Evaluate a run: [accelerate launch] python apps/pointcloud/eval.py RUN [--suite NAME].

Chamfer L1 and L2, Hausdorff, accuracy, completeness and F1 at three thresholds and normals, beside
the input itself and what needs no learning, on a test suite of docs/pointcloud_protocol.md; and
pictures of some of its clouds. Without --suite: the validation clouds of the run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from apps.pointcloud.config import PointCloudConfig
from apps.pointcloud.data.source import CloudData
from apps.pointcloud.evaluation.baselines import available
from apps.pointcloud.evaluation.benchmark import evaluate_suite, table
from apps.pointcloud.evaluation.inference import Method, network_method
from apps.pointcloud.evaluation.suites import SHAPE_THRESHOLDS, SUITES, Suite, open_suite
from apps.pointcloud.geometry.render import render, view_of
from apps.pointcloud.models.network import ReconNet
from apps.pointcloud.prediction.pictures import panels, save_picture
from core.app.runs import reopen
from core.config import entry_point
from core.errors import InputError
from core.evaluation.common import save_record
from core.training.session import Session, build_accelerator

SHOWN = 6  # clouds of a suite in its picture


def open_run(path: str, session: Session) -> tuple[PointCloudConfig, ReconNet, Path]:
    """Configuration, network with its (averaged) weights, and checkpoint folder of a run."""
    return reopen(path, PointCloudConfig, ReconNet, session)


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", help="folder of a run, or of one of its checkpoints")
    parser.add_argument("--suite", choices=SUITES, help="a test suite (the run's validation data)")
    parser.add_argument("--root", default="", help="folder or file of a suite of real data")
    parser.add_argument("--no-baselines", action="store_true", help="the network alone")
    parser.add_argument("--output", type=Path, help="folder for figures and pictures (RUN)")
    options = parser.parse_args()
    session = Session(build_accelerator())
    _report(session, options)
    session.accelerator.end_training()


def _report(session: Session, options: argparse.Namespace) -> None:
    if options.root and not options.suite:
        raise InputError("--root is of a --suite: name that too")
    config, network, checkpoint = open_run(options.run, session)
    suite = open_suite(options.suite, options.root) if options.suite else None
    suite = suite or Suite("val", CloudData(config, session).val(), SHAPE_THRESHOLDS)
    method = network_method(session, network, suite.metres)
    methods = {config.model.operator: method} | ({} if options.no_baselines else available())
    results = {name: evaluate_suite(session, each, suite) for name, each in methods.items()}
    if session.is_main:
        output = options.output or checkpoint.parents[1]
        print(f"{checkpoint} on {suite.name}, {len(suite)} clouds\n")
        print(table(results, suite.metres))
        record = {"checkpoint": str(checkpoint), "suite": suite.name, "root": options.root,
                  "clouds": len(suite), "metrics": results}  # fmt: skip
        print(f"\nfigures: {save_record(output, f'eval-{suite.name}', record)}")
        print(f"pictures: {draw(method, suite, output / 'pictures')}")


def draw(method: Method, suite: Suite, folder: Path) -> Path:
    """Input, reconstruction and truth of some clouds of a suite, side by side: a picture each."""
    for i in np.linspace(0, len(suite) - 1, min(SHOWN, len(suite))).round().astype(int).tolist():
        item = suite.items[i]
        true = item["target"].numpy()
        clouds = [
            item["input"].numpy(),
            method(item["input"].numpy(), suite.outputs or len(true)),
            true,
        ]
        view = view_of(true)
        titles = ["input", "reconstruction", "truth"]
        shown = [f"{name}, {len(cloud):,}" for name, cloud in zip(titles, clouds, strict=True)]
        picture = panels([render(cloud, view) for cloud in clouds], shown)
        save_picture(folder / f"{suite.name}-{i:04d}.png", picture)
    return folder


if __name__ == "__main__":
    main()
