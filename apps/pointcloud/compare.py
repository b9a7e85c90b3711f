"""Table 3 again, by one fixed protocol: accelerate launch apps/pointcloud/compare.py [PRESET].

Every operator is trained with several seeds by an equal budget, then measured on test suites
(docs/pointcloud_protocol.md). Runs lie in OUT/OPERATOR-SEED and go on where they stopped; what was
measured is kept there (eval-SUITE.json). Printed and written (compare.json, compare.png): mean,
spread, and whether the operators differ by more than seeds do.

The preset `starts` compares what core's Mixer starts from instead (core/app/starts.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from apps.pointcloud.config import PointCloudConfig
from apps.pointcloud.evaluation.baselines import available
from apps.pointcloud.evaluation.benchmark import evaluate_suite
from apps.pointcloud.evaluation.inference import network_method
from apps.pointcloud.evaluation.suites import Suite, open_suite
from apps.pointcloud.models.network import ReconNet
from apps.pointcloud.models.operators import OPERATORS, check_operator
from apps.pointcloud.presets import debug as debug_run
from apps.pointcloud.presets import demo, modelnet10_small, solids_small
from apps.pointcloud.train import build_network, train
from core.app.commands import comparison_command
from core.app.comparing import (
    Figures,
    Metric,
    check_lists,
    comparison_table,
    remembered,
    report,
    scores_of,
    train_all,
)
from core.app.runs import reopen
from core.app.starts import Starts, Trial, compare_starts
from core.config import entry_point, needs
from core.ranges import Seeds
from core.training.run import Run
from core.training.session import Session

CHAMFER = Metric("chamfer_l1", 1000.0, "1e-3 radii (scenes: mm)", lower=True, title="Chamfer L1")


@dataclass(frozen=True)
class CompareConfig:
    """Which runs; `base` says everything but operator, seed and folder."""

    base: PointCloudConfig = field(default_factory=solids_small)
    operators: tuple[str, ...] = tuple(OPERATORS)
    seeds: Seeds = (0, 1, 2)
    suites: tuple[str, ...] = ("embedded",)  # names, of real data NAME=FOLDER or NAME=FILE
    out: str = "runs/pointcloud/compare"


def modelnet10_mixer() -> PointCloudConfig:
    """`modelnet10_small` with core's Mixer, as wide as the network of `photos`."""
    base = modelnet10_small()
    return replace(base, model=replace(base.model, operator="core_mixer_c256"))


@dataclass(frozen=True)
class StartsConfig(Starts):
    """Which starts; `base` says everything but weights, learning rate, seed and folder."""

    base: PointCloudConfig = field(default_factory=modelnet10_mixer)
    suites: tuple[str, ...] = ("modelnet10=",)  # as of `CompareConfig`


def solids() -> CompareConfig:
    """Trained on the embedded solids; --suites shapenet_sampled=FILE icl=FOLDER add real data."""
    return CompareConfig()


def surface() -> CompareConfig:
    """On the input's own surface instead of voxels, trained as `demo` of train.py is."""
    base = demo()
    base = replace(base, run=replace(base.run, eval_every=0, best=""))
    return CompareConfig(base, out="runs/pointcloud/compare_surface")


@needs("base.data.root")
def modelnet10() -> CompareConfig:
    """Trained on ModelNet10's clouds: set --base.data.root and --suites modelnet10=FILE."""
    return CompareConfig(
        modelnet10_small(), suites=("modelnet10=",), out="runs/pointcloud/compare_modelnet10"
    )


@needs("base.data.root")
def starts() -> StartsConfig:
    """ModelNet10's clouds from random weights, `photos`, and the same permuted. Not run.

    Set --base.data.root and --suites modelnet10=FILE; --weights for others.
    """
    return StartsConfig(out="runs/pointcloud/starts")


def debug() -> CompareConfig:
    """Two operators on a few embedded solids, 2 steps each: does everything run?"""
    return CompareConfig(
        debug_run(),
        operators=("pointnet", "pointmixer"),
        seeds=(0, 1),
        out="runs/pointcloud/compare_debug",
    )


PRESETS = {make.__name__: make for make in (solids, surface, modelnet10, starts, debug)}


def compare(config: CompareConfig | StartsConfig) -> Figures:
    """Train and measure what is not there yet, print and write the table of Chamfer L1."""
    if isinstance(config, StartsConfig):
        return compare_starts(config, trial_of(open_suites(config.suites)))
    suites = check(config)

    def train_one(_: str, operator: str, seed: int) -> Run:
        # a run that is finished is opened and left as it is
        return train(one_run(config, operator, seed), keep_processes=True)

    measure = partial(measure_suites, suites)
    figures, session = train_all(
        ("",), config.operators, config.seeds, train_one, measure, watched=CHAMFER.name
    )
    if session.is_main:
        notes = f1_tables(suites, config.seeds, figures)
        report(config.out, config, [CHAMFER], config.seeds, figures, notes)
    return figures


def check(config: CompareConfig) -> list[Suite]:
    """The suites. Raises InputError before training for what is not known or too little."""
    for name in config.operators:
        check_operator(name)
    check_lists(**{name: getattr(config, name) for name in ("operators", "seeds", "suites")})
    return open_suites(config.suites)


def open_suites(words: Sequence[str]) -> list[Suite]:
    """The suites of words NAME, NAME=FOLDER and NAME=FILE."""
    return [open_suite(name, root) for name, _, root in (word.partition("=") for word in words)]


def one_run(config: CompareConfig, operator: str, seed: int) -> PointCloudConfig:
    """The run of one operator and seed."""
    folder = str(Path(config.out) / f"{operator}-{seed}")
    run = replace(config.base.run, folder=folder, seed=seed, resume=True)
    return replace(config.base, model=replace(config.base.model, operator=operator), run=run)


def measure_suites(suites: Sequence[Suite], run: Run) -> dict[str, dict[str, float]]:
    """`suite_metrics` by suite."""
    return {suite.name: suite_metrics(run, suite) for suite in suites}


def suite_metrics(run: Run, suite: Suite) -> dict[str, float]:
    """The metrics of a finished run on a suite, kept in its folder; all processes call it."""
    session, trained = run.session, reopen(run.folder, PointCloudConfig, ReconNet, run.session)

    def measure() -> dict[str, float]:
        method = network_method(session, trained.network, suite.metres)
        return evaluate_suite(session, method, suite)

    path = trained.folder / f"eval-{suite.name}.json"
    return remembered(path, trained.checkpoint, session, measure)


def f1_tables(suites: Sequence[Suite], seeds: Sequence[int], figures: Figures) -> list[str]:
    """The lines of F1 at the middle threshold of each suite."""
    lines = []
    for suite in suites:
        f1 = Metric(f"f1@{suite.thresholds[1]:g}", 1.0)
        scores = scores_of({suite.name: figures[suite.name]}, f1.name)
        lines += ["", *comparison_table(f1, seeds, scores).splitlines()]
    return lines


def begin(base: PointCloudConfig, weights: str, tune_share: float) -> PointCloudConfig:
    """A run whose channel mixing is that of these weights."""
    data = replace(base.data, tune_share=tune_share)
    return replace(base, mixer_weights=weights, data=data)


def trial_of(suites: Sequence[Suite]) -> Trial:
    """What `compare_starts` is told of this app."""
    return Trial(
        begin,
        build=build_network,
        train=partial(train, keep_processes=True),
        metrics=[CHAMFER],
        measure=partial(measure_suites, suites),
        floors=partial(baseline_lines, suites),
    )


def baseline_lines(suites: Sequence[Suite], session: Session) -> list[str]:
    """A line for each suite and baseline; all processes call it."""
    lines = []
    for suite in suites:
        for name, method in available().items():
            chamfer = CHAMFER.factor * evaluate_suite(session, method, suite)[CHAMFER.name]
            lines.append(f"floor, {suite.name}, {name}: {CHAMFER.title} {chamfer:.2f}")
    return lines


@entry_point
def main() -> None:
    comparison_command(compare, PRESETS)


if __name__ == "__main__":
    main()
