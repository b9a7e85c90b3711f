"""Generators side by side: accelerate launch apps/crossview/compare.py [PRESET] [--rows ...].

Every row is trained with several seeds by an equal budget (steps and batch), then measured on the
validation pairs; the baselines stand below. Runs lie in OUT/ROW-SEED and go on where they stopped;
what was measured is kept there (figures.json). Printed and written: compare.json, compare.png, and
grid.png, the same pairs as every row draws them.

The preset `starts` compares what the generator `mixer` starts from instead (core/app/starts.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import core  # noqa: F401 - before torch, so that OpenMP's threads sleep while they wait

# isort: split
import torch
from PIL import Image

from apps.crossview.config import CrossViewConfig
from apps.crossview.data.pairs import Pairs
from apps.crossview.data.source import PairData
from apps.crossview.data.views import views_of
from apps.crossview.evaluation.perceptual import PerceptualNetworks
from apps.crossview.evaluation.pictures import image_sheet
from apps.crossview.evaluation.scoring import evaluate, score_baselines
from apps.crossview.models.network import Generator, draw_views
from apps.crossview.presets import debug as debug_run
from apps.crossview.presets import towns_small
from apps.crossview.train import train
from core.app.commands import comparison_command
from core.app.comparing import Figures, Metric, check_lists, remembered, report, train_all
from core.app.runs import reopen
from core.app.starts import Starts, Trial, begin_from, compare_starts
from core.config import did_you_mean, entry_point
from core.data.samples import some_samples
from core.errors import InputError
from core.models.backbone import create_backbone
from core.pictures.sheets import save_image
from core.ranges import Seeds
from core.training.run import Run
from core.training.session import Session

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
    seeds: Seeds = (0, 1, 2)
    out: str = "runs/crossview/compare"


def towns_mixer() -> CrossViewConfig:
    """`towns_small` with a generator on the network of `photos`."""
    base = towns_small()
    return replace(base, model=replace(base.model, generator="mixer", backbone="mixer_c256_l8_p8"))


@dataclass(frozen=True)
class StartsConfig(Starts):
    """Which starts; `base` says everything but weights, learning rate, seed and folder."""

    base: CrossViewConfig = field(default_factory=towns_mixer)


def towns() -> CompareConfig:
    """Embedded towns, generators of about equal cost, 3 seeds; --weights for the last row."""
    return CompareConfig()


def starts() -> StartsConfig:
    """Embedded towns from random weights, `photos`, and the same permuted; --weights for others.

    Not run.
    """
    return StartsConfig(out="runs/crossview/starts")


def debug() -> CompareConfig:
    """Two generators on a few embedded towns, 2 steps each: does everything run?"""
    return CompareConfig(
        debug_run(), rows=("crossmlp", "pix2pix"), seeds=(0, 1), out="runs/crossview/compare_debug"
    )


PRESETS = {make.__name__: make for make in (towns, starts, debug)}


def compare(config: CompareConfig | StartsConfig) -> Figures:
    """Train what is not trained yet, print and write the tables; figures by group, row, seed."""
    if isinstance(config, StartsConfig):
        return compare_starts(config, trial_of(config.base))
    check(config)

    def train_one(group: str, row: str, seed: int) -> Run:
        return train(one_run(config, row, seed), keep_processes=True)

    group = "val" if config.base.data.root else "towns"
    figures, session = train_all([group], config.rows, config.seeds, train_one, measure, "ssim")
    data = PairData(config.base, session)
    notes = ["", *baseline_lines(session, data, config.base)]
    if session.is_main:
        report(config.out, config, METRICS, config.seeds, figures, notes)
        print(save_image(Path(config.out) / "grid.png", grid(session, data.val(), config)))
    return figures


def check(config: CompareConfig) -> None:
    """Raises InputError, before training, for what is not known, missing or cannot be opened."""
    check_lists(rows=config.rows, seeds=config.seeds)
    for row in config.rows:
        if row not in ROWS:
            raise InputError(f"rows: no {row!r}.{did_you_mean(row, ROWS)}")
    if "mixer-pretrained" in config.rows and not config.weights:
        raise InputError(
            "row mixer-pretrained starts from a pretrained backbone: give --weights, or leave it "
            "out of --rows"
        )
    if config.weights and "mixer-pretrained" not in config.rows:
        raise InputError(
            "--weights are of the row mixer-pretrained: add it to --rows, or leave them out"
        )
    for row in config.rows:
        model = one_run(config, row, config.seeds[0]).model
        if model.generator == "mixer":  # not after hours of other rows
            create_backbone(model.backbone, config.base.data.size, model.weights or None)


def one_run(config: CompareConfig, row: str, seed: int) -> CrossViewConfig:
    """The run of one row and seed."""
    base, (name, _, start) = config.base, row.partition("-")
    run = replace(base.run, folder=str(Path(config.out) / f"{row}-{seed}"), seed=seed, resume=True)
    model = replace(base.model, generator=name, weights=config.weights if start else "")
    loss = replace(base.loss, pixel="selectiongan" if name == "selectiongan" else "crossmlp")
    return replace(base, model=model, loss=loss, run=run)


def measure(run: Run) -> dict[str, dict[str, float]]:
    """{"": mean metrics of a run's best checkpoint}; all processes call it."""
    best = reopen(run.folder, CrossViewConfig, Generator, run.session)

    def on_validation() -> dict[str, float]:
        val = PairData(best.config, run.session).val()
        return evaluate(run.session, best.network, val, best.config)

    path = best.folder / "figures.json"
    return {"": remembered(path, best.checkpoint, run.session, on_validation)}


def baseline_lines(session: Session, data: PairData, config: CrossViewConfig) -> list[str]:
    """A line for each baseline; all processes call it."""
    lines = []
    for name, scores in score_baselines(session, data, config, PerceptualNetworks()).items():
        known = [f"{m.name} {scores[m.name]:.4f}" for m in METRICS if m.name in scores]
        lines.append(f"  baseline, {name}: {', '.join(known)}")
    return lines


@torch.inference_mode()
def grid(session: Session, val: Pairs, config: CompareConfig) -> Image.Image:
    """The same validation pairs as the first seed's runs draw them."""
    views = views_of(session.to_device(some_samples(val, SHOWN)), config.base.direction)
    columns = {"source": views.source, "map": val.palette.paint(views.ids)}
    for row in config.rows:
        folder = one_run(config, row, config.seeds[0]).run.folder
        network = reopen(folder, CrossViewConfig, Generator, session).network
        columns[row] = draw_views(network, views.source, views.ids)["image"]
    return image_sheet(columns | {"real": views.target}, 2)


def trial_of(base: CrossViewConfig) -> Trial:
    """What `compare_starts` is told of this app; SSIM, the first metric, chooses learning rates."""
    return Trial(
        begin_from,
        build=lambda run: create_backbone(run.model.backbone, run.data.size, run.model.weights),
        train=partial(train, keep_processes=True),
        metrics=sorted(METRICS, key=lambda metric: metric.name != "ssim"),
        measure=measure,
        floors=lambda session: baseline_lines(session, PairData(base, session), base),
    )


@entry_point
def main() -> None:
    comparison_command(compare, PRESETS)


if __name__ == "__main__":
    main()
