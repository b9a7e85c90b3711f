"""What a network starts from, as the rows of a table: random weights, and others.

    scratch    random weights; always there
    NAME       NAME=WEIGHTS of `weights`. A NAME that is given again is another pretraining of the
               kind, and the seeds are dealt to them in turn: of P, seed s has number s mod P

Rows differ in their weights and learning rate alone. Each row chooses its learning rate by the same
search: one run for each of `lr_factors`, with the first seed, trained on the training data but for
`tune_share` of them and measured on those. Then each seed trains on all of them. Two runs of one
seed see the same samples in the same order, so that rows are compared by pairs, and of n pairs no
exact test can say less than p = 2^(1 - n) (`sign_flip_test`): 3 seeds prove nothing, 6 can.

The first metric decides. Differences in the others stand below it; of several p that are looked at
one may be small by chance. Below a row's difference to `scratch` stands the one to its control,
where there is such a row: the same weights permuted (NAME=permuted:WEIGHTS), which have their scale
and not their content.

An app writes a subclass of `Starts` with its `base`, and a `Trial`. Runs lie in OUT/ROW-SEED and
OUT/search/ROW-LR, and go on where they stopped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from core.app.comparing import (
    Figures,
    Metric,
    check_lists,
    last_figures,
    last_metric,
    report,
    train_all,
)
from core.app.start_tables import SCRATCH, Choice, Rows, cost_table, of_seed, paired_tables
from core.config import named_pairs
from core.errors import InputError
from core.models.weights.reading import check_weights
from core.ranges import Part, Range, Seeds
from core.tables import Table
from core.training.files.folder import changed_settings
from core.training.meter import NotFinite
from core.training.run import Run
from core.training.session import Session

MOST_SEEDS = 16  # all choices of signs are counted
# settings that a run's figure is of, by the last word of their names
DECIDE = ("weights", "mixer_weights", "lr", "seed", "tune_share")


@dataclass(frozen=True)
class Starts:
    """Which starts; an app adds `base`, which says all but weights, learning rate, seed, folder."""

    # NAME=WEIGHTS for each row; a name given again is another pretraining of the kind
    weights: tuple[str, ...] = ("photos=photos", "permuted=permuted:photos")
    # of base.optim.lr: what each row may choose among; one: nothing is searched
    lr_factors: Annotated[tuple[float, ...], Range(0, above=True)] = (0.3, 1.0, 3.0)
    tune_share: Part = 0.1  # of the training data, that learning rates are chosen by
    seeds: Seeds = (0, 1, 2, 3, 4, 5)
    out: str = "runs/starts"


@dataclass(frozen=True)
class Trial:
    """What an app says of its trainings; Config is the class of its `base`."""

    # base, weights ("": random) and tune_share -> the settings of a run
    begin: Callable[[Any, str, float], Any]
    build: Callable[[Any], Any]  # a run's backbone: weights that do not fit are refused at once
    train: Callable[[Any], Run]
    metrics: Sequence[Metric]  # of the tables; by the first one learning rates are chosen
    measure: Callable[[Run], dict[str, dict[str, float]]] = last_figures
    floors: Callable[[Session], list[str]] = lambda session: []  # lines; all processes call it


def begin_from(base: Any, weights: str, tune_share: float) -> Any:
    """The `begin` of an app whose settings are called model.weights and data.tune_share."""
    model, data = replace(base.model, weights=weights), replace(base.data, tune_share=tune_share)
    return replace(base, model=model, data=data)


def compare_starts(config: Starts, trial: Trial) -> Figures:
    """Search and train what is not there yet, print and write the tables; all processes call it.

    Raises InputError before training for what is not known, does not fit or is too little.
    """
    rows, seeds, metric = read_rows(config), config.seeds, trial.metrics[0]
    check(config, trial, rows)
    choices = {row: search(config, trial, row, weights) for row, weights in rows.items()}

    def train_one(_: str, row: str, seed: int) -> Run:
        start, lr = of_seed(rows[row], seed), choices[row].lr
        return _train(trial, one_run(config, trial, start, lr, seed, f"{row}-{seed}"))

    figures, session = train_all([""], list(rows), seeds, train_one, trial.measure, metric.name)
    floors = trial.floors(session)
    if session.is_main:
        tables = _differences(rows, seeds, trial.metrics, figures)
        tables.append(cost_table(rows, choices, seeds, metric, Path(config.out)))
        notes = [line for table in tables for line in ("", *str(table).splitlines())]
        report(config.out, config, trial.metrics, seeds, figures, [*notes, "", *floors])
    return figures


def _differences(
    rows: Rows, seeds: Sequence[int], metrics: Sequence[Metric], figures: Figures
) -> list[Table]:
    """By pairs, of each metric; how to read them stands below the first one's."""
    first, *others = (paired_tables(rows, seeds, metric, figures) for metric in metrics)
    return [*first, *(replace(table, note="") for tables in others for table in tables)]


def read_rows(config: Starts) -> Rows:
    """The weights of each row. Raises InputError for a name that is no word, and for `scratch`."""
    rows: Rows = {SCRATCH: [""]}
    for name, weights in named_pairs("weights", config.weights):
        if name == SCRATCH or not re.fullmatch(r"\w[\w.-]*", name):
            raise InputError(
                f"weights: {name!r} cannot be the name of a row: choose letters, digits, . _ and "
                f"-, and not {SCRATCH}, which is there by itself"
            )
        rows.setdefault(name, []).append(weights)
    return rows


def check(config: Starts, trial: Trial, rows: Rows) -> None:
    """Raises InputError as `compare_starts` says."""
    lists = {name: getattr(config, name) for name in ("weights", "lr_factors", "seeds")}
    check_lists(**lists)
    if len(config.seeds) > MOST_SEEDS:
        raise InputError(f"seeds are {len(config.seeds)}; {MOST_SEEDS} at most are tested exactly")
    for row, weights in rows.items():
        unused = set(weights) - {of_seed(weights, seed) for seed in config.seeds}
        if unused:
            raise InputError(
                f"weights: no seed of {config.seeds} starts from {min(unused)}: the "
                f"{len(weights)} pretrainings of {row} take turns, give more seeds"
            )
        for each in filter(None, weights):
            try:
                check_weights(each)
            except InputError as error:
                raise InputError(f"weights, {row}: {error}") from error
            trial.build(trial.begin(config.base, each, 0.0))


def search(config: Starts, trial: Trial, row: str, weights: list[str]) -> Choice:
    """The learning rate of a row, chosen on what is held out of the training data.

    Of equal ones the least; a single one needs no search. Raises InputError where each diverged.
    """
    rates = sorted(float(f"{factor * config.base.optim.lr:.3g}") for factor in config.lr_factors)
    found, seed = dict.fromkeys(rates, math.nan), config.seeds[0]
    if len(rates) == 1:
        return Choice(rates[0], found)
    for lr in rates:
        start, folder = of_seed(weights, seed), f"search/{row}-{lr:g}"
        run = one_run(config, trial, start, lr, seed, folder, config.tune_share)
        found[lr] = _searched(trial, run)
    known = {lr: value for lr, value in found.items() if not math.isnan(value)}
    if not known:
        tried = ", ".join(map(str, rates))
        raise InputError(f"{row} diverged at each of {tried}: lower lr_factors")
    better = min if trial.metrics[0].lower else max
    return Choice(better(known, key=known.get), found)


def one_run(
    config: Starts,
    trial: Trial,
    weights: str,
    lr: float,
    seed: int,
    folder: str,
    tune_share: float = 0.0,
) -> Any:
    """The settings of one run, in a folder below OUT."""
    base = trial.begin(config.base, weights, tune_share)
    run = replace(base.run, folder=str(Path(config.out, folder)), seed=seed, resume=True)
    return replace(base, optim=replace(base.optim, lr=lr), run=run)


def _train(trial: Trial, config: Any) -> Run:
    """Train, or go on. Raises InputError where the folder's run is of something else."""
    folder = Path(config.run.folder)
    for name, (old, new) in changed_settings(folder / "config.yaml", config).items():
        if name.rpartition(".")[2] in DECIDE:
            raise InputError(
                f"{folder} was trained with {name} {old}, and {new} is asked for: remove that "
                "folder, or choose another --out"
            )
    return trial.train(config)


def _searched(trial: Trial, config: Any) -> float:
    """The first metric of a run of the search; NaN where it diverged."""
    try:
        return last_metric(_train(trial, config).folder, trial.metrics[0].name)
    except InputError as error:
        if isinstance(error.__cause__, NotFinite):
            return math.nan
        raise
