"""Table 3 again, by one fixed protocol: accelerate launch apps/pointcloud/compare.py [PRESET].

Every operator is trained with several seeds by an equal budget, then measured on test suites
(docs/pointcloud_protocol.md). Runs lie in OUT/OPERATOR-SEED and go on where they stopped; what was
measured is kept there (eval-SUITE.json). Printed and written (compare.json, compare.png): mean,
spread, and whether the operators differ by more than seeds do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from apps.pointcloud.config import PointCloudConfig
from apps.pointcloud.eval import open_run
from apps.pointcloud.evaluation.benchmark import evaluate_suite
from apps.pointcloud.evaluation.inference import network_method
from apps.pointcloud.evaluation.suites import Suite, open_suite
from apps.pointcloud.models.operators import OPERATORS
from apps.pointcloud.presets import debug as debug_run
from apps.pointcloud.presets import modelnet10_small, solids_small
from apps.pointcloud.train import train
from core.app.comparing import Metric, Scores, check_lists, report, table
from core.config import cli, did_you_mean, entry_point
from core.errors import InputError
from core.evaluation.common import save_record
from core.training.session import Session, end_processes


@dataclass(frozen=True)
class CompareConfig:
    """Which runs; `base` says everything but operator, seed and folder."""

    base: PointCloudConfig = field(default_factory=solids_small)
    operators: tuple[str, ...] = tuple(OPERATORS)
    seeds: tuple[int, ...] = (0, 1, 2)
    suites: tuple[str, ...] = ("embedded",)  # names, of real data NAME=FOLDER or NAME=FILE
    out: str = "runs/pointcloud/compare"


def solids() -> CompareConfig:
    """Trained on the embedded solids; --suites shapenet_sampled=FILE icl=FOLDER add real data."""
    return CompareConfig()


def modelnet10() -> CompareConfig:
    """Trained on ModelNet10's clouds: set --base.data.root and --suites modelnet10=FILE."""
    return CompareConfig(
        modelnet10_small(), suites=("modelnet10=",), out="runs/pointcloud/compare_modelnet10"
    )


def debug() -> CompareConfig:
    """Two operators on a few embedded solids, 2 steps each: does everything run?"""
    return CompareConfig(
        debug_run(),
        operators=("pointnet", "pointmixer"),
        seeds=(0, 1),
        out="runs/pointcloud/compare_debug",
    )


PRESETS = {make.__name__: make for make in (solids, modelnet10, debug)}


def compare(config: CompareConfig) -> Scores:
    """Train and measure what is not there yet, print and write the table of Chamfer L1."""
    suites = check(config)
    figures: dict = {suite.name: {row: [] for row in config.operators} for suite in suites}
    session = Session()
    for seed in config.seeds:
        for row in config.operators:
            run = one_run(config, row, seed)
            train(run, keep_processes=True)
            for suite in suites:
                figures[suite.name][row].append(measured(run.run.folder, suite, session))
            first = figures[suites[0].name][row][-1]["chamfer_l1"]
            session.print(f"{row} seed {seed}: Chamfer L1 {1000 * first:.2f} of {suites[0].name}")
    if session.is_main:
        _report(config, suites, figures)
    return _scores(figures, "chamfer_l1")


def check(config: CompareConfig) -> list[Suite]:
    """The suites. Raises InputError before training for what is not known or too little."""
    for name in config.operators:
        if name not in OPERATORS:
            raise InputError(f"operators: no {name!r}.{did_you_mean(name, OPERATORS)}")
    check_lists(**{name: getattr(config, name) for name in ("operators", "seeds", "suites")})
    return [open_suite(name, root) for name, _, root in (s.partition("=") for s in config.suites)]


def one_run(config: CompareConfig, operator: str, seed: int) -> PointCloudConfig:
    """The run of one operator and seed."""
    folder = str(Path(config.out) / f"{operator}-{seed}")
    run = replace(config.base.run, folder=folder, seed=seed, resume=True)
    return replace(config.base, model=replace(config.base.model, operator=operator), run=run)


def measured(folder: str, suite: Suite, session: Session) -> dict[str, float]:
    """The metrics of a finished run on a suite, kept in its folder; all processes call it."""
    _, network, checkpoint = open_run(folder, session)
    kept = Path(folder) / f"eval-{suite.name}.json"
    if kept.is_file() and (found := json.loads(kept.read_text()))["checkpoint"] == str(checkpoint):
        return found["metrics"]
    metrics = evaluate_suite(session, network_method(session, network, suite.metres), suite)
    session.wait()
    if session.is_main:
        save_record(folder, kept.stem, {"checkpoint": str(checkpoint), "metrics": metrics})
    session.wait()
    return metrics


def _scores(figures: dict, metric: str) -> Scores:
    return {
        suite: {row: [seed[metric] for seed in seeds] for row, seeds in rows.items()}
        for suite, rows in figures.items()
    }


def _report(config: CompareConfig, suites: list[Suite], figures: dict) -> None:
    """Chamfer L1 as the table, F1 at the middle threshold of each suite as notes."""
    notes = []
    for suite in suites:
        name = f"f1@{suite.thresholds[1]:g}"
        f1 = _scores({suite.name: figures[suite.name]}, name)
        notes += ["", *table(Metric(name, 1.0), config.seeds, f1).splitlines()]
    metric = Metric("Chamfer L1", 1000.0, "1e-3 radii (scenes: mm)", lower=True)
    scores = _scores(figures, "chamfer_l1")
    report(config.out, config, metric, config.seeds, scores, notes)
    save_record(config.out, "figures", figures)


@entry_point
def main() -> None:
    compare(cli(PRESETS))
    end_processes()


if __name__ == "__main__":
    main()
