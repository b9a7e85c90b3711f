"""Evaluate a run: [accelerate launch] python apps/pointcloud/eval.py RUN [--suite NAME].

Chamfer L1 and L2, Hausdorff, accuracy, completeness and F1 at three thresholds and normals, beside
the input itself and what needs no learning, on a test suite of docs/pointcloud_protocol.md; and
pictures of some of its clouds. Without --suite: the validation clouds of the run, as its settings
(--data.root, --corruption.points, ...) have them or are told here.
"""

from __future__ import annotations

from dataclasses import dataclass

from apps.pointcloud.config import PointCloudConfig
from apps.pointcloud.data.source import CloudData
from apps.pointcloud.evaluation.baselines import BASELINES, available
from apps.pointcloud.evaluation.benchmark import evaluate_suite, table
from apps.pointcloud.evaluation.inference import network_method
from apps.pointcloud.evaluation.pictures import draw_suite
from apps.pointcloud.evaluation.suites import SHAPE_THRESHOLDS, Suite, open_suite
from apps.pointcloud.models.network import ReconNet
from core.app.commands import Report, Words, evaluation_command
from core.config import entry_point
from core.errors import InputError
from core.training.session import Session

BESIDE = "quadrics"  # what needs no learning, in the pictures


@dataclass(frozen=True)
class Options:
    """What only this evaluation is told."""

    suite: str = ""  # a test suite of docs/pointcloud_protocol.md; empty: the run's validation data
    root: str = ""  # folder or file of a suite of real data
    no_baselines: bool = False  # the network alone


def report(session: Session, words: Words) -> Report:
    """The figures of the network and the baselines; all processes call it."""
    run, options = words.run, words.options
    if "model.smoothing" in words.said:
        run.network.smooth_over(run.config.model.smoothing)
    suite = suite_of(session, words)
    method = network_method(session, run.network, suite.metres)
    methods = {run.network.config.operator: method}
    methods |= {} if options.no_baselines else available()
    figures = {name: evaluate_suite(session, each, suite) for name, each in methods.items()}
    if session.is_main:
        print(f"{run.checkpoint} on {suite.name}, {len(suite)} clouds\n")
        print(table(figures, suite.metres))
        shown = {BESIDE: BASELINES[BESIDE], run.network.config.operator: method}
        print(f"\npictures: {draw_suite(shown, suite, words.output / 'pictures')}")
    data = f"{suite.name} {options.root}".strip() if options.suite else str(suite.items)
    return Report(data, figures, {"suite": suite.name, "clouds": len(suite)})


def suite_of(session: Session, words: Words) -> Suite:
    """The suite that is named, or the run's validation data as one.

    Raises InputError for settings that the clouds in question do not have.
    """
    name, root = words.options.suite, words.options.root
    if not name:
        if root:
            raise InputError("--root is of a --suite: name that too, or give --data.root")
        return Suite("val", CloudData(words.run.config, session).val(), SHAPE_THRESHOLDS)
    for setting in sorted(words.said):
        if setting.partition(".")[0] in ("data", "embedded", "corruption"):
            raise InputError(f"--{setting} is of the run's validation data: leave out --suite")
    return open_suite(name, root)


@entry_point
def main() -> None:
    evaluation_command(__doc__, PointCloudConfig, ReconNet, report, Options)


if __name__ == "__main__":
    main()
