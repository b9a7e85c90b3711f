"""What a comparison of starts (`starts.py`) says: differences by pairs, and what each took."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.app.comparing import Figures, Metric, scores_of, sign_flip_test
from core.checkpoints import find_checkpoint
from core.models.weights.card import record_of
from core.models.weights.names import is_kept
from core.models.weights.permuted import without_permutation
from core.tables import Table
from core.training.files.folder import training_seconds

SCRATCH = "scratch"
Rows = dict[str, list[str]]  # by name the weights of each pretraining; of scratch [""]


@dataclass(frozen=True)
class Choice:
    """The learning rate of a row, and what the search measured at each; NaN where it diverged."""

    lr: float
    searched: dict[float, float]


def of_seed(weights: Sequence[str], seed: int) -> str:
    """Which pretraining of a row a seed starts from."""
    return weights[seed % len(weights)]


def controls(rows: Rows) -> dict[str, str]:
    """By row the one whose weights are the same ones permuted, where there is one."""
    found = {}
    for name, weights in rows.items():
        split = [without_permutation(each) for each in weights]
        if all(seed is not None for _, seed in split):
            plain = [each for each, _ in split]
            found |= {row: name for row, theirs in rows.items() if theirs == plain}
    return found


def paired_tables(
    rows: Rows, seeds: Sequence[int], metric: Metric, figures: Figures
) -> list[Table]:
    """For each group every row less scratch, and less its control, by pairs of runs of one seed."""
    pairs = [(row, SCRATCH) for row in rows if row != SCRATCH] + list(controls(rows).items())
    columns = ("", "mean", "spread", "p", "of each pretraining")
    note = (
        f"p: over all choices of the differences' signs, two-sided; with {len(seeds)} seeds none "
        f"is below {2.0 ** (1 - len(seeds)):.3g}. Of each pretraining: mean (pairs, its own p)."
    )
    tables = []
    for group, scores in scores_of(figures, metric.name).items():
        cells = [_paired_row(rows[row], row, other, seeds, metric, scores) for row, other in pairs]
        title = f"Differences in {metric.title or metric.name}, {metric.unit}, by seed"
        title += f" ({group})" * bool(group) + "; less is better" * metric.lower
        form = {"mean": "{:+.2f}", "p": "{:.3f}"}
        tables.append(Table(title, columns, cells, note, forms=form))
    return tables


def _paired_row(
    weights: Sequence[str],
    row: str,
    other: str,
    seeds: Sequence[int],
    metric: Metric,
    scores: dict[str, list[float]],
) -> tuple:
    both = zip(scores[row], scores[other], strict=True)
    by_seed = dict(zip(seeds, (metric.factor * (a - b) for a, b in both), strict=True))
    parts = []
    for each in weights if len(weights) > 1 else ():
        some = [value for seed, value in by_seed.items() if of_seed(weights, seed) == each]
        parts.append(f"{statistics.fmean(some):+.2f} ({len(some)}, {sign_flip_test(some):.3f})")
    values = list(by_seed.values())
    spread = f"+- {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    mean, p = statistics.fmean(values), sign_flip_test(values)
    return f"{row} less {other}", mean, spread, p, ", ".join(parts)


def cost_table(
    rows: Rows, choices: dict[str, Choice], seeds: Sequence[int], metric: Metric, out: Path
) -> Table:
    """The learning rate of each row, what the search measured, and the time that it all took."""
    cells = []
    for row, weights in rows.items():
        minutes = statistics.fmean(training_seconds(out / f"{row}-{seed}") / 60 for seed in seeds)
        hours, choice = [hours_of(each) for each in weights], choices[row]
        before = None if None in hours else statistics.fmean(hours)
        cells.append((row, f"{choice.lr:g}", _searched(choice, metric), minutes, before))
    columns = ("", "lr", "searched", "minutes", "hours before")
    note = (
        f"searched: {metric.name} of training data that were held out, seed {seeds[0]}. minutes: "
        "of the steps of a run, the mean. hours before: of the steps that made the weights, the "
        "mean of the pretrainings; of kept ones the card says it."
    )
    return Table("What each start took", columns, cells, note, form="{:.2f}")


def _searched(choice: Choice, metric: Metric) -> str:
    if len(choice.searched) < 2:
        return "nothing"
    shown = (
        f"{lr:g}: " + ("diverged" if math.isnan(value) else f"{metric.factor * value:.2f}")
        for lr, value in choice.searched.items()
    )
    return ", ".join(shown)


def hours_of(weights: str) -> float | None:
    """Of the steps of the run that weights are of; None where no record of one lies beside them."""
    named, _ = without_permutation(weights)
    if not named:
        return 0.0
    if is_kept(named) or not Path(named).is_dir():
        return None
    run = record_of(find_checkpoint(named).resolve()).parent
    return training_seconds(run) / 3600 if (run / "metrics.jsonl").is_file() else None
