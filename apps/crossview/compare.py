"""Generators side by side: accelerate launch apps/crossview/compare.py [PRESET] [--rows ...].

Every row is trained with several seeds by an equal budget (steps and batch), then measured on the
validation pairs; the floors stand below. Runs lie in OUT/ROW-SEED and go on where they stopped;
what was measured is kept there (eval.json). Printed and written: compare.json, compare.png, and
grid.png, the same pairs as every row draws them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import core  # noqa: F401 - before torch, so that OpenMP's threads sleep while they wait

# isort: split
import torch

from apps.crossview.config import CrossViewConfig, towns_small
from apps.crossview.config import debug as debug_run
from apps.crossview.data.pairs import Pairs, some_pairs
from apps.crossview.data.source import PairData
from apps.crossview.data.views import map_input, views_of
from apps.crossview.eval import by_floor, by_network, open_run, score
from apps.crossview.evaluation import baselines as floors
from apps.crossview.evaluation.perceptual import Judges
from apps.crossview.evaluation.pictures import save_image, sheet
from apps.crossview.models.network import ModelConfig
from apps.crossview.train import train
from core.app.comparing import Metric, Scores, check_lists, report, table
from core.config import cli, did_you_mean, entry_point
from core.errors import InputError
from core.evaluation.common import save_record
from core.training.session import Session, end_processes

ROWS = ("crossmlp", "selectiongan", "pix2pix", "xfork", "xseq", "mixer", "mixer-pretrained")
METRICS = (
    Metric("psnr", 1.0, "dB"),
    Metric("ssim", 100.0, "1e-2"),
    Metric("vif", 100.0, "1e-2"),
    Metric("map_miou", 1.0, "%"),
)
SHOWN = 5  # pairs of the grid


@dataclass(frozen=True)
class CompareConfig:
    """Which runs; `base` says everything but generator, its size, seed and folder."""

    base: CrossViewConfig = field(default_factory=towns_small)
    rows: tuple[str, ...] = ROWS
    weights: str = ""  # of row mixer-pretrained: a run, file or folder
    seeds: tuple[int, ...] = (0, 1, 2)
    out: str = "runs/crossview/compare"


def towns() -> CompareConfig:
    """Embedded towns, generators of about equal cost, 3 seeds; --weights for the last row."""
    return CompareConfig()


def debug() -> CompareConfig:
    """Two generators on a few embedded towns, 2 steps each: does everything run?"""
    return CompareConfig(
        debug_run(), rows=("crossmlp", "pix2pix"), seeds=(0, 1), out="runs/crossview/compare_debug"
    )


PRESETS = {make.__name__: make for make in (towns, debug)}


def compare(config: CompareConfig) -> dict[str, dict[str, list[dict]]]:
    """Train what is not trained yet, print and write the tables; figures by group, row, seed."""
    check(config)
    found: dict[str, list[dict]] = {row: [] for row in config.rows}
    for seed in config.seeds:
        for row in config.rows:
            run = one_run(config, row, seed)
            session = train(run, keep_processes=True).session
            found[row].append(_measured(session, run))
    if session.is_main:
        _report(session, config, {"towns" if not config.base.data.root else "val": found})
    return found


def check(config: CompareConfig) -> None:
    """Raise InputError before training for what is not known or missing."""
    check_lists(rows=config.rows, seeds=config.seeds)
    for row in config.rows:
        if row not in ROWS:
            raise InputError(f"rows: no {row!r}.{did_you_mean(row, ROWS)}")
    if "mixer-pretrained" in config.rows and not config.weights:
        raise InputError("row mixer-pretrained starts from a pretrained backbone: give --weights, "
                         "or leave it out of --rows")  # fmt: skip


def one_run(config: CompareConfig, row: str, seed: int) -> CrossViewConfig:
    """The run of one row and seed."""
    base, (name, _, start) = config.base, row.partition("-")
    run = replace(base.run, folder=str(Path(config.out) / f"{row}-{seed}"), seed=seed, resume=True)
    weights = config.weights if start else ""
    model: ModelConfig = replace(base.model, generator=name, weights=weights)
    loss = replace(base.loss, pixel="selectiongan" if name == "selectiongan" else "crossmlp")
    return replace(base, model=model, loss=loss, run=run)


def _measured(session: Session, run: CrossViewConfig) -> dict[str, float]:
    """Mean metrics of a finished run, from its eval.json if that is there."""
    path = Path(run.run.folder) / "eval.json"
    if path.is_file():
        return json.loads(path.read_text())["metrics"]
    config, network, checkpoint = open_run(run.run.folder, session)
    val = PairData(config, session).val()
    metrics = score(session, by_network(network, val, config), val, config, Judges())
    if session.is_main:
        save_record(path.parent, "eval", {"checkpoint": str(checkpoint), "metrics": metrics})
        print(f"{path.parent}: SSIM {metrics['ssim']:.4f}", flush=True)
    session.wait()
    return metrics


def _report(session: Session, config: CompareConfig, figures: dict[str, dict[str, list]]) -> None:
    parts = []
    for metric in METRICS:
        scores: Scores = {
            group: {row: [s[metric.name] for s in each] for row, each in rows.items()
                    if metric.name in each[0]} for group, rows in figures.items()
        }  # fmt: skip
        if any(scores.values()):
            parts.append((metric, scores))
    notes = [line for metric, scores in parts[1:]
             for line in ["", *table(metric, config.seeds, scores).splitlines()]]  # fmt: skip
    (metric, scores), lines = parts[0], ["", *_floors(session, config), *notes]
    report(config.out, config, metric, config.seeds, scores, lines)
    print(save_image(Path(config.out) / "grid.png", grid(session, config)))


def _floors(session: Session, config: CompareConfig) -> list[str]:
    """A line for each floor."""
    data = PairData(config.base, session)
    val, fitted = data.val(), floors.fit_floors(Pairs(data.data, "train"), config.base.direction)
    lines = []
    for name in floors.NAMES:
        found = score(session, by_floor(fitted, name), val, config.base, Judges())
        lines.append(f"  floor, {name}: " + ", ".join(
            f"{m.name} {found[m.name]:.4f}" for m in METRICS if m.name in found))  # fmt: skip
    return lines


@torch.inference_mode()
def grid(session: Session, config: CompareConfig):
    """The same validation pairs as the first seed's runs draw them: a picture."""
    val = PairData(config.base, session).val()
    views = views_of(session.to_device(some_pairs(val, SHOWN)), config.base.direction)
    columns = {"source": views.source, "map": val.palette.paint(views.ids)}
    for row in config.rows:
        run, network, _ = open_run(one_run(config, row, config.seeds[0]).run.folder, session)
        given = map_input(views.ids, val.palette, run.model.maps)
        columns[row] = network(views.source, given)["image"]
    columns["real"] = views.target
    return sheet(list(zip(*columns.values(), strict=True)), list(columns), 2)


@entry_point
def main() -> None:
    compare(cli(PRESETS))
    end_processes()


if __name__ == "__main__":
    main()
