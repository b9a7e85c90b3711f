"""Rows of a table, each trained with several seeds: mean, spread, and whether they differ.

An app's compare.py says which runs there are, and what a run is measured by:

    figures, session = train_all(groups, rows, seeds, train, measure)
    if session.is_main:
        report(config.out, config, METRICS, config.seeds, figures, notes)

train(group, row, seed) -> Run trains one cell or goes on with it. measure(run) -> {part: {metric:
value}}: by test suite for example, or {"": ...} where there is nothing but the group
(`last_figures`, the default: the run's own last evaluation). Printed and written into OUT:
compare.json and compare.png, a table for each metric, the first one drawn.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError
from core.files import write_json
from core.pictures.figures import COLOURS, new_figure, plain_axes, save_figure
from core.tables import Table
from core.training.files.folder import read_metrics
from core.training.run import Run
from core.training.session import Session

SHUFFLES = 10_000
EVALUATION = "eval/"  # how metrics.jsonl names the figures of an evaluation
Scores = dict[str, dict[str, list[float]]]  # by group and row, one for each seed
Figures = dict[str, dict[str, list[dict[str, float]]]]  # the same, by metric for each seed


@dataclass(frozen=True)
class Metric:
    """What a table is of: scores times `factor` are in `unit`. A name alone: a fraction, in %."""

    name: str
    factor: float = 100.0
    unit: str = "%"
    lower: bool = False  # is better
    title: str = ""  # in words; empty: the name

    def order(self, scores: dict[str, list[float]]) -> list[str]:
        """The rows, the best mean first."""
        sign = 1 if self.lower else -1
        return sorted(scores, key=lambda row: sign * statistics.fmean(scores[row]))


def check_lists(optional: Sequence[str] = (), **lists: Sequence) -> None:
    """InputError for a list with something twice, or an empty one that is not optional."""
    for name, values in lists.items():
        if (not values and name not in optional) or len(set(values)) < len(values):
            raise InputError(f"{name} are {values}: give one at least, and none twice")


def last_figures(run: Run) -> dict[str, dict[str, float]]:
    """{"": the figures of a run's last evaluation, by metric}."""
    return {"": last_evaluation(run.folder)}


def last_evaluation(folder: Path) -> dict[str, float]:
    """The newest value of each metric of metrics.jsonl."""
    values = {name: value for row in read_metrics(folder) for name, value in row.items()}
    names = [name for name in values if name.startswith(EVALUATION)]
    return {name.removeprefix(EVALUATION): values[name] for name in names}


def last_metric(folder: Path, metric: str) -> float:
    """The figure of a run's last evaluation. Raises InputError where it has no such metric."""
    return _value_of(last_evaluation(folder), metric, folder)


def train_all(
    groups: Sequence[str],
    rows: Sequence[str],
    seeds: Sequence[int],
    train: Callable[[str, str, int], Run],
    measure: Callable[[Run], dict[str, dict[str, float]]] = last_figures,
    watched: str = "",
) -> tuple[Figures, Session]:
    """The figures of each group, row and seed. All processes call it.

    All rows of a seed come before the next seed, so that a table can be made early. `watched`: the
    metric that is printed after each run. Raises InputError where a run does not have it.
    """
    figures: Figures = {}
    jobs = [(group, row, seed) for seed in seeds for group in groups for row in rows]
    for number, (group, row, seed) in enumerate(jobs, 1):
        run = train(group, row, seed)
        for part, values in measure(run).items():
            name = " ".join(word for word in (group, part) if word)
            figures.setdefault(name, {}).setdefault(row, []).append(values)
            if watched:
                value = _value_of(values, watched, run.folder)
                label = " ".join(word for word in (name, row) if word)
                run.session.print(
                    f"{number} of {len(jobs)}: {label} seed {seed}: {watched} {value:.4f}"
                )
    return figures, run.session


def _value_of(values: dict[str, float], metric: str, folder: Path) -> float:
    if metric not in values:
        known = ", ".join(values) or "none"
        raise InputError(f"{folder} has no {metric}: choose one of its figures ({known})")
    return values[metric]


def remembered(
    path: Path, checkpoint: Path, session: Session, measure: Callable[[], dict[str, float]]
) -> dict[str, float]:
    """What `measure` gives for a checkpoint, from the json `path` where that was written before.

    For measurements that take long; all processes call it.
    """
    if path.is_file():
        record = json.loads(path.read_text())
        if record.get("what") == str(checkpoint):
            return record["figures"]
    figures = measure()
    session.wait()  # no process may find the file while another still looks for it
    if session.is_main:
        write_json(path, {"what": str(checkpoint), "figures": figures})
    session.wait()
    return figures


def scores_of(figures: Figures, metric: str) -> Scores:
    """One metric of the figures; rows without it are left out, and groups without a row."""
    scores = {
        group: {
            row: [values[metric] for values in seeds]
            for row, seeds in rows.items()
            if all(metric in values for values in seeds)
        }
        for group, rows in figures.items()
    }
    return {group: rows for group, rows in scores.items() if rows}


def noise_test(groups: list[list[float]], seed: int = 0) -> float:
    """How often chance alone spreads the groups' means as far: a permutation test's p-value.

    The statistic is the range of the means; values are dealt anew to the groups 10,000 times.
    """
    sizes, values = [len(group) for group in groups], np.concatenate(groups)
    cuts, generator = np.cumsum(sizes)[:-1], np.random.default_rng(seed)

    def spread(order: np.ndarray) -> float:
        return float(np.ptp([part.mean() for part in np.split(order, cuts)]))

    observed = spread(values)
    hits = sum(spread(generator.permutation(values)) >= observed - 1e-12 for _ in range(SHUFFLES))
    return (1 + hits) / (1 + SHUFFLES)


def sign_flip_test(differences: Sequence[float]) -> float:
    """How often chance alone makes paired differences sum to as much: exact, two-sided.

    Where a pair's two sides are alike, either sign of its difference is as likely: all 2^n choices
    of signs are counted. Nothing below 2^(1 - n) can come out, with 3 pairs 0.25, with 6 0.031.
    """
    values = np.asarray(differences, float)
    sums = np.zeros(1)
    for value in values:  # of every choice of signs so far
        sums = np.concatenate([sums + value, sums - value])
    least = abs(values.sum()) - 1e-9 * np.abs(values).sum()  # for rounding
    return float(np.mean(np.abs(sums) >= least))


def comparison_table(metric: Metric | str, seeds: Sequence[int], scores: Scores) -> str:
    """Mean, standard deviation, and each seed; the best row first."""
    metric = _as_metric(metric)
    lines = [f"{metric.title or metric.name}, {metric.unit}, seeds {', '.join(map(str, seeds))}"]
    for group, rows in scores.items():
        lines += [group] if group else []
        cells = [(name, *over_seeds(rows[name], metric.factor)) for name in metric.order(rows)]
        lines.append(Table("", (), cells, form="{:.2f}").text("  "))
        if len(seeds) > 1 and len(rows) > 1:
            lines.append(f"  {_verdict(noise_test(list(rows.values())))}")
    return "\n".join(lines)


def over_seeds(values: Sequence[float], factor: float) -> tuple[float, str, str]:
    """Cells of a table: mean, standard deviation where there are several, and each seed."""
    values = [factor * value for value in values]
    spread = f"+- {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return statistics.fmean(values), spread, f"({', '.join(f'{v:.2f}' for v in values)})"


def _as_metric(metric: Metric | str) -> Metric:
    return Metric(metric) if isinstance(metric, str) else metric


def _verdict(p: float) -> str:
    what = "more than seeds do" if p < 0.05 else "no more than seeds may"
    return f"the rows differ by {what} (permutation test of the range, p = {p:.3f})"


def report(
    out: str | Path,
    config: Any,
    metrics: Sequence[Metric | str],
    seeds: Sequence[int],
    figures: Figures,
    notes: Sequence[str] = (),
) -> None:
    """Print a table for each metric and the notes, write compare.json and compare.png into `out`.

    Metrics that no row has are left out. Raises InputError where no row has any.
    """
    metrics = [_as_metric(metric) for metric in metrics]
    tables = [(metric, scores_of(figures, metric.name)) for metric in metrics]
    tables = [(metric, scores) for metric, scores in tables if scores]
    if not tables:
        raise InputError(f"no run has {', '.join(metric.name for metric in metrics)}")
    parts = [comparison_table(metric, seeds, scores) for metric, scores in tables]
    lines = [*"\n\n".join(parts).splitlines(), *notes]
    print("\n".join(lines))
    scores = {metric.name: scores for metric, scores in tables}
    record = {"config": config, "scores": scores, "figures": figures, "table": lines}
    print(f"figures: {write_json(Path(out) / 'compare.json', record)}")
    try:
        print(draw(*tables[0], Path(out) / "compare.png"))
    except InputError as error:
        print(f"no picture: {error}")


def draw(metric: Metric, scores: Scores, path: Path) -> Path:
    """A point for each seed and a line for each mean, the groups side by side."""
    picture = new_figure(1.5 + 3.2 * len(scores), 3.6)
    panels = picture.subplots(1, len(scores), sharey=True, squeeze=False)[0]
    for axes, (group, rows) in zip(panels, scores.items(), strict=True):
        for i, values in enumerate(rows.values()):
            shown = [metric.factor * value for value in values]
            axes.plot([i] * len(shown), shown, "o", color=COLOURS[0], alpha=0.6, markersize=5)
            axes.plot([i - 0.3, i + 0.3], [statistics.fmean(shown)] * 2, color=COLOURS[1], lw=2)
        axes.set_xticks(range(len(rows)), rows, rotation=35, ha="right", fontsize=8)
        axes.set_title(group, loc="left", fontsize=10)
        plain_axes(axes, grid="y")
    panels[0].set_ylabel(f"{metric.title or metric.name}, {metric.unit}")
    return save_figure(path, picture)
