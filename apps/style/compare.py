"""The paper's table again: accelerate launch apps/style/compare.py [PRESET] [--optimizers ...].

Every optimizer trains every model with several seeds; runs lie in OUT/MODEL/ROW-SEED and go on
where they stopped. Printed and written (compare.json, compare.png): mean, spread, and whether the
rows differ by more than seeds do. With `--balancing` a row is an optimizer and a way of treating
unequal classes.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from apps.style.config import BALANCING, OPTIMIZERS, StyleConfig, balanced, wikiart7_small
from apps.style.config import debug as debug_run
from apps.style.train import train
from core.config import cli, did_you_mean, entry_point, to_plain
from core.errors import InputError
from core.models.backbone import create_backbone
from core.training.folder import read_metrics
from core.training.session import end_processes

SHUFFLES = 10_000
Metric = Literal["top1", "top5", "balanced_accuracy", "macro_f1", "calibration_error"]
Scores = dict[str, dict[str, list[float]]]  # by model and row, one for each seed


@dataclass(frozen=True)
class CompareConfig:
    """Which runs; `base` says everything but model name, optimizer, balancing, seed and folder."""

    base: StyleConfig = field(default_factory=wikiart7_small)
    models: tuple[str, ...] = ("mixer_c128_l4_p8", "vit_c128_l3_p8")
    optimizers: tuple[str, ...] = tuple(OPTIMIZERS)
    balancing: tuple[str, ...] = ()  # of BALANCING, each with each optimizer; none: as base says
    seeds: tuple[int, ...] = (0, 1, 2)
    metric: Metric = "top1"  # of the validation paintings, at the end of a run
    out: str = "runs/style/compare"


def wikiart7() -> CompareConfig:
    """Seven styles, six optimizers, a small Mixer and a ViT of its size: set --base.data.csv."""
    return CompareConfig()


def debug() -> CompareConfig:
    """Two optimizers on a few embedded paintings, 2 steps each: does everything run?"""
    return CompareConfig(
        debug_run(),
        models=("mixer_c16_l2_p8",),
        optimizers=("adam", "sgd"),
        seeds=(0, 1),
        out="runs/style/compare_debug",
    )


def wikiart7_long_tail() -> CompareConfig:
    """Every way of treating unequal classes on seven styles, the largest of 32 times the smallest.

    Set --base.data.csv. The validation paintings are as many of each style.
    """
    base = wikiart7_small()
    base = replace(base, data=replace(base.data, long_tail=32.0), run=replace(base.run, epochs=30))
    return CompareConfig(
        base,
        models=("mixer_c128_l4_p8",),
        optimizers=("adam",),
        balancing=tuple(BALANCING),
        out="runs/style/long_tail",
    )


PRESETS = {make.__name__: make for make in (wikiart7, wikiart7_long_tail, debug)}


def compare(config: CompareConfig) -> Scores:
    """Train what is not trained yet, print and write the table."""
    check(config)
    scores: Scores = {model: {row: [] for row in rows(config)} for model in config.models}
    jobs = [(m, row, s) for s in config.seeds for m in config.models for row in rows(config)]
    for number, (model, row, seed) in enumerate(jobs):
        run = train(one_run(config, model, row, seed), more=True)
        value = last_metric(run.folder, config.metric)
        scores[model][row].append(value)
        done = f"{number + 1} of {len(jobs)}"
        run.session.print(f"{done}: {model} {row} seed {seed}: {config.metric} {value:.4f}")
    if run.session.is_main:
        report(config, scores)
    return scores


def check(config: CompareConfig) -> None:
    """Raise InputError before training for what is not known or too little."""
    for kind, known in (("optimizers", OPTIMIZERS), ("balancing", BALANCING)):
        for name in getattr(config, kind):
            if name not in known:
                raise InputError(f"{kind}: no {name!r}.{did_you_mean(name, known)}")
    for name in ("models", "optimizers", "seeds", "balancing"):
        values = getattr(config, name)
        if (not values and name != "balancing") or len(set(values)) < len(values):
            raise InputError(f"{name} are {values}: give one at least, and none twice")
    for model in config.models:
        create_backbone(model, config.base.model.image_size)


def rows(config: CompareConfig) -> list[str]:
    """Optimizers, or "optimizer balancing" for each pair."""
    pairs = [f"{name} {way}" for name in config.optimizers for way in config.balancing]
    return pairs or list(config.optimizers)


def one_run(config: CompareConfig, model: str, row: str, seed: int) -> StyleConfig:
    """The run of one cell and seed."""
    folder = Path(config.out) / model / f"{row.replace(' ', '-')}-{seed}"
    optimizer, _, way = row.partition(" ")
    base = balanced(config.base, way) if way else config.base
    run = replace(base.run, folder=str(folder), seed=seed, resume=True)
    network = replace(base.model, name=model)
    return replace(base, model=network, optim=OPTIMIZERS[optimizer], run=run)


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


def table(config: CompareConfig, scores: Scores) -> str:
    """Percent: mean, standard deviation, and each seed."""
    lines = [f"{config.metric}, %, seeds {', '.join(map(str, config.seeds))}"]
    for model, found in scores.items():
        lines.append(model)
        for name, values in sorted(found.items(), key=lambda pair: -statistics.fmean(pair[1])):
            spread = f"+- {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
            each = ", ".join(f"{100 * value:.2f}" for value in values)
            lines.append(f"  {name:20} {100 * statistics.fmean(values):6.2f} {spread:9} ({each})")
        if len(config.seeds) > 1 and len(found) > 1:
            lines.append(f"  {_verdict(noise_test(list(found.values())))}")
    return "\n".join(lines)


def _verdict(p: float) -> str:
    what = "more than seeds do" if p < 0.05 else "no more than seeds may"
    return f"the rows differ by {what} (permutation test of the range, p = {p:.3f})"


def report(config: CompareConfig, scores: Scores) -> None:
    """Print the table, write compare.json and compare.png."""
    out = Path(config.out)
    text = table(config, scores)
    print(text)
    record = {"config": to_plain(config), "scores": scores, "table": text.splitlines()}
    partial = out / ".compare.partial"
    partial.write_text(json.dumps(record, indent=2) + "\n")
    partial.replace(out / "compare.json")
    try:
        print(draw(config, scores, out / "compare.png"))
    except ImportError:
        print("no picture: it needs the package matplotlib")


def draw(config: CompareConfig, scores: Scores, path: Path) -> Path:
    """A point for each seed and a line for each mean, the models side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.5 + 3.2 * len(scores), 3.6), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(scores), sharey=True, squeeze=False)[0]
    for axes, (model, found) in zip(panels, scores.items(), strict=True):
        for i, values in enumerate(found.values()):
            percent = [100 * value for value in values]
            axes.plot([i] * len(percent), percent, "o", color="#0072b2", alpha=0.6, markersize=5)
            axes.plot([i - 0.3, i + 0.3], [statistics.fmean(percent)] * 2, color="#d55e00", lw=2)
        axes.set_xticks(range(len(found)), found, rotation=35, ha="right", fontsize=8)
        axes.set_title(model, loc="left", fontsize=10)
        axes.grid(True, axis="y", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(f"{config.metric}, %")
    figure.savefig(path)
    return path


@entry_point
def main() -> None:
    compare(cli(PRESETS))
    end_processes()


if __name__ == "__main__":
    main()
