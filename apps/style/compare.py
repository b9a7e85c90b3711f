"""The paper's table again: accelerate launch apps/style/compare.py [PRESET] [--optimizers ...].

Every optimizer trains every model with several seeds; runs lie in OUT/MODEL/ROW-SEED and go on
where they stopped. Printed and written (compare.json, compare.png): mean, spread, and whether the
rows differ by more than seeds do. With `--balancing` a row is an optimizer and a way of treating
unequal classes.

The preset `starts` compares what the network starts from instead (core/app/starts.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from apps.style.config import StyleConfig
from apps.style.presets import BALANCING, OPTIMIZERS, balanced, wikiart7_photos, wikiart7_small
from apps.style.presets import debug as debug_run
from apps.style.train import train
from core.app.commands import comparison_command
from core.app.comparing import Metric, Scores, check_lists, report, scores_of, train_all
from core.app.starts import Starts, Trial, compare_starts
from core.config import did_you_mean, entry_point
from core.errors import InputError
from core.models.backbone import create_backbone
from core.models.network import ClassifierConfig, build_backbone_of
from core.ranges import Seeds
from core.training.run import Run

Figure = Literal["top1", "top5", "balanced_accuracy", "macro_f1", "calibration_error"]


@dataclass(frozen=True)
class CompareConfig:
    """Which runs; `base` says everything but backbone, optimizer, balancing, seed and folder."""

    base: StyleConfig = field(default_factory=wikiart7_small)
    models: tuple[str, ...] = ("mixer_c128_l4_p8", "vit_c128_l3_p8")
    optimizers: tuple[str, ...] = tuple(OPTIMIZERS)
    weights: tuple[str, ...] = ()  # what each model begins with, in their order; none: as base says
    balancing: tuple[str, ...] = ()  # of BALANCING, each with each optimizer; none: as base says
    seeds: Seeds = (0, 1, 2)
    metric: Figure = "top1"  # of the validation paintings, at the end of a run
    out: str = "runs/style/compare"


@dataclass(frozen=True)
class StartsConfig(Starts):
    """Which starts; `base` says everything but weights, learning rate, seed and folder."""

    base: StyleConfig = field(default_factory=wikiart7_photos)


def wikiart7() -> CompareConfig:
    """Seven styles, six optimizers, a small Mixer and a ViT of its size: set --base.data.csv."""
    return CompareConfig()


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


def starts() -> StartsConfig:
    """Seven styles at 96 pixels from random weights, `photos`, and the same permuted. Not run.

    Set --base.data.csv; --weights for others. At 64 pixels frozen random weights are too near.
    """
    base = wikiart7_photos()
    # a layer decay holds back the early layers, which random weights need
    optim = replace(base.optim, layer_decay=1.0)
    base = replace(base, model=replace(base.model, image_size=(96,)), optim=optim)
    return StartsConfig(base=base, out="runs/style/starts")


def debug() -> CompareConfig:
    """Two optimizers on a few embedded paintings, 2 steps each: does everything run?"""
    return CompareConfig(
        debug_run(),
        models=("mixer_c16_l2_p8",),
        optimizers=("adam", "sgd"),
        seeds=(0, 1),
        out="runs/style/compare_debug",
    )


PRESETS = {make.__name__: make for make in (wikiart7, wikiart7_long_tail, starts, debug)}


def compare(config: CompareConfig | StartsConfig) -> Scores:
    """Train what is not trained yet, print and write the table."""
    if isinstance(config, StartsConfig):
        return scores_of(compare_starts(config, TRIAL), "top1")
    check(config)

    def one(model: str, row: str, seed: int) -> Run:
        return train(one_run(config, model, row, seed), keep_processes=True)

    table = (config.models, rows(config), config.seeds)
    figures, session = train_all(*table, one, watched=config.metric)
    if session.is_main:
        metric = Metric(config.metric, lower=config.metric == "calibration_error")
        report(config.out, config, [metric], config.seeds, figures)
    return scores_of(figures, config.metric)


def check(config: CompareConfig) -> None:
    """Raises InputError, before training, where something is not known or too little."""
    for kind, known in (("optimizers", OPTIMIZERS), ("balancing", BALANCING)):
        for name in getattr(config, kind):
            if name not in known:
                raise InputError(f"{kind}: no {name!r}.{did_you_mean(name, known)}")
    names = ("models", "optimizers", "seeds", "balancing")
    check_lists(optional=("balancing",), **{name: getattr(config, name) for name in names})
    if config.weights and len(config.weights) != len(config.models):
        raise InputError(
            f"{len(config.weights)} weights for {len(config.models)} models: as many, in order"
        )
    for model in config.models:
        start = network_of(config, model)
        create_backbone(model, start.image_size, start.weights or None)


def network_of(config: CompareConfig, model: str) -> ClassifierConfig:
    """The base's network as this model, from its own weights where it has some."""
    network = replace(config.base.model, backbone=model)
    if not config.weights:
        return network
    weights = config.weights[config.models.index(model)]
    return replace(network, weights=weights, new_head=bool(weights))


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
    return replace(base, model=network_of(config, model), optim=OPTIMIZERS[optimizer], run=run)


def begin(base: StyleConfig, weights: str, tune_share: float) -> StyleConfig:
    """A run from these weights, with a new head."""
    model = replace(base.model, weights=weights, new_head=bool(weights))
    return replace(base, model=model, data=replace(base.data, tune_share=tune_share))


TRIAL = Trial(
    begin,
    build=lambda config: build_backbone_of(config.model),
    train=partial(train, keep_processes=True),
    metrics=[Metric("top1"), Metric("macro_f1")],
)


@entry_point
def main() -> None:
    comparison_command(compare, PRESETS)


if __name__ == "__main__":
    main()
