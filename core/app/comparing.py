"""Rows of a table, each trained with several seeds: mean, spread, and whether they differ."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.config import to_plain
from core.errors import InputError
from core.training.folder import read_metrics
from core.training.run import Run

SHUFFLES = 10_000
Scores = dict[str, dict[str, list[float]]]  # by group and row, one for each seed


@dataclass(frozen=True)
class Metric:
    """What a table is of: scores times `factor` are in `unit`. A name alone: a fraction, in %."""

    name: str
    factor: float = 100.0
    unit: str = "%"
    lower: bool = False  # is better

    def order(self, found: dict[str, list[float]]) -> list[str]:
        """The rows, the best mean first."""
        return sorted(found, key=lambda n: (1 if self.lower else -1) * statistics.fmean(found[n]))


def check_lists(optional: Sequence[str] = (), **lists: Sequence) -> None:
    """InputError for a list with something twice, or an empty one that is not optional."""
    for name, values in lists.items():
        if (not values and name not in optional) or len(set(values)) < len(values):
            raise InputError(f"{name} are {values}: give one at least, and none twice")


def train_all(
    groups: Sequence[str],
    rows: Sequence[str],
    seeds: Sequence[int],
    metric: str,
    train: Callable[[str, str, int], Run],
) -> tuple[Scores, Run]:
    """The metric of each group, row and seed, whose run ``train`` makes or goes on with.

    All seeds of a number come before the next, so that a table can be made early. Also gives the
    last run.
    """
    scores: Scores = {group: {row: [] for row in rows} for group in groups}
    jobs = [(group, row, seed) for seed in seeds for group in groups for row in rows]
    for number, (group, row, seed) in enumerate(jobs):
        run = train(group, row, seed)
        value = last_metric(run.folder, metric)
        scores[group][row].append(value)
        done = f"{number + 1} of {len(jobs)}"
        run.session.print(f"{done}: {group} {row} seed {seed}: {metric} {value:.4f}")
    return scores, run


def last_metric(folder: Path, metric: str) -> float:
    """The figure of a run's last evaluation."""
    rows = [row for row in read_metrics(folder) if f"eval/{metric}" in row]
    if not rows:
        raise InputError(f"{folder} has no {metric}: choose one of its metrics.jsonl")
    return rows[-1][f"eval/{metric}"]


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


def table(metric: Metric | str, seeds: Sequence[int], scores: Scores) -> str:
    """Mean, standard deviation, and each seed; the best row first."""
    metric = _metric(metric)
    lines = [f"{metric.name}, {metric.unit}, seeds {', '.join(map(str, seeds))}"]
    for group, found in scores.items():
        lines.append(group)
        for name in metric.order(found):
            values = [metric.factor * value for value in found[name]]
            spread = f"+- {statistics.stdev(values):.2f}" if len(values) > 1 else ""
            each = ", ".join(f"{value:.2f}" for value in values)
            lines.append(f"  {name:20} {statistics.fmean(values):6.2f} {spread:9} ({each})")
        if len(seeds) > 1 and len(found) > 1:
            lines.append(f"  {_verdict(noise_test(list(found.values())))}")
    return "\n".join(lines)


def _metric(metric: Metric | str) -> Metric:
    return Metric(metric) if isinstance(metric, str) else metric


def _verdict(p: float) -> str:
    what = "more than seeds do" if p < 0.05 else "no more than seeds may"
    return f"the rows differ by {what} (permutation test of the range, p = {p:.3f})"


def report(
    out: str | Path,
    config: Any,
    metric: Metric | str,
    seeds: Sequence[int],
    scores: Scores,
    notes: Sequence[str] = (),
) -> None:
    """Print the table and notes, write compare.json and compare.png into the folder ``out``."""
    out = Path(out)
    lines = [*table(metric, seeds, scores).splitlines(), *notes]
    print("\n".join(lines))
    record = {"config": to_plain(config), "scores": scores, "table": lines}
    partial = out / ".compare.partial"
    partial.write_text(json.dumps(record, indent=2) + "\n")
    partial.replace(out / "compare.json")
    try:
        print(draw(metric, scores, out / "compare.png"))
    except ImportError:
        print("no picture: it needs the package matplotlib")


def draw(metric: Metric | str, scores: Scores, path: Path) -> Path:
    """A point for each seed and a line for each mean, the groups side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.5 + 3.2 * len(scores), 3.6), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    metric = _metric(metric)
    panels = figure.subplots(1, len(scores), sharey=True, squeeze=False)[0]
    for axes, (group, found) in zip(panels, scores.items(), strict=True):
        for i, values in enumerate(found.values()):
            shown = [metric.factor * value for value in values]
            axes.plot([i] * len(shown), shown, "o", color="#0072b2", alpha=0.6, markersize=5)
            axes.plot([i - 0.3, i + 0.3], [statistics.fmean(shown)] * 2, color="#d55e00", lw=2)
        axes.set_xticks(range(len(found)), found, rotation=35, ha="right", fontsize=8)
        axes.set_title(group, loc="left", fontsize=10)
        axes.grid(True, axis="y", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(f"{metric.name}, {metric.unit}")
    figure.savefig(path)
    return path
