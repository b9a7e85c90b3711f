"""Operators as classifiers: accelerate launch -m apps.pointcloud.classification.compare [PRESET].

Each is trained with several seeds by an equal budget. Runs lie in OUT/OPERATOR-SEED and go on where
they stopped. Printed and written (compare.json, compare.png): mean, spread, and whether the
operators differ by more than seeds do.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from apps.pointcloud.classification import presets
from apps.pointcloud.classification.config import ClassifyConfig
from apps.pointcloud.classify import train
from apps.pointcloud.models.operators import check_operator
from core.app.commands import comparison_command
from core.app.comparing import Figures, Metric, check_lists, report, train_all
from core.config import entry_point, needs
from core.ranges import Seeds
from core.training.run import Run

METRICS = (Metric("top1"), Metric("balanced_accuracy", title="mean of the classes"))


@dataclass(frozen=True)
class CompareConfig:
    """Which runs; `base` says everything but operator, seed and folder."""

    base: ClassifyConfig = field(default_factory=presets.solids)
    operators: tuple[str, ...] = ("pointnet", "pointnet2", "pointmixer")
    seeds: Seeds = (0, 1, 2)
    out: str = "runs/pointcloud/compare_classes"


def solids() -> CompareConfig:
    """The kinds of embedded solids."""
    return CompareConfig()


@needs("base.data.root")
def modelnet10() -> CompareConfig:
    """ModelNet10's test split: set --base.data.root."""
    return CompareConfig(presets.modelnet10(), out="runs/pointcloud/compare_classes_modelnet10")


def debug() -> CompareConfig:
    """Two operators on a few embedded solids, 2 steps each: does everything run?"""
    operators, out = ("pointnet", "pointmixer"), "runs/pointcloud/compare_classes_debug"
    return CompareConfig(presets.debug(), operators, seeds=(0, 1), out=out)


PRESETS = {make.__name__: make for make in (solids, modelnet10, debug)}


def compare(config: CompareConfig) -> Figures:
    """Train what is not there yet, print and write the tables."""
    for name in config.operators:
        check_operator(name)
    check_lists(operators=config.operators, seeds=config.seeds)

    def train_one(_: str, operator: str, seed: int) -> Run:
        # a run that is finished is opened and left as it is
        return train(one_run(config, operator, seed), keep_processes=True)

    figures, session = train_all(
        ("",), config.operators, config.seeds, train_one, watched=METRICS[0].name
    )
    if session.is_main:
        report(config.out, config, METRICS, config.seeds, figures)
    return figures


def one_run(config: CompareConfig, operator: str, seed: int) -> ClassifyConfig:
    """The run of one operator and seed."""
    folder = str(Path(config.out) / f"{operator}-{seed}")
    run = replace(config.base.run, folder=folder, seed=seed, resume=True)
    return replace(config.base, model=replace(config.base.model, operator=operator), run=run)


@entry_point
def main() -> None:
    comparison_command(compare, PRESETS)


if __name__ == "__main__":
    main()
