"""What each part of the recipe of the preset `photos` adds, at equal time, with a small Mixer.

OMP_NUM_THREADS=1 python benchmarks/recipe.py --photos FOLDER [--rows muon ...] [--seeds 0 1 2]

FOLDER holds train.npz and val.npz, packed (docs/core.md). `muon` is the base: crops and flips,
label smoothing, Muon; the other rows change one thing of it, `all` everything that the preset has.
How many steps a row may take follows from trials of all rows in turn, on a quiet machine, so that
each takes as long as `--steps` of the base; what a row does before its training counts too. Runs
lie in OUT and go on where they stopped: rows can be added, and a seed, at any time.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import core  # noqa: F401 - before torch, so that OpenMP's threads sleep while they wait

# isort: split
from core.app.comparing import last_evaluation, report, train_all
from core.config import entry_point
from core.data.augment import AugmentConfig
from core.data.images.labelled import ImagesConfig, TrainImagesConfig
from core.files import write_json
from core.models.network import ClassifierConfig
from core.pretrain import train
from core.pretraining.config import PretrainConfig
from core.pretraining.presets import PRESETS, small_fractals
from core.pretraining.sizes import GrowthConfig
from core.training.files.folder import read_metrics
from core.training.optim import OptimConfig
from core.training.run import Run, RunConfig
from core.training.session import end_processes

TRIAL, ROUNDS = 10, 3  # steps that are timed, after as many that are not, and rounds
BASE, FRACTALS_FIRST = "muon", "fractals first"
SHARE = 0.01  # of the steps, on fractals before photographs
Change = Callable[[PretrainConfig], PretrainConfig]


def base(options: argparse.Namespace) -> PretrainConfig:
    """The row `muon`."""
    return PretrainConfig(
        model=ClassifierConfig(options.model, (options.side,)),
        train=TrainImagesConfig(options.photos, on_device=options.held),
        val=ImagesConfig(options.photos, workers=0),
        augment=AugmentConfig((0.35, 1), label_smoothing=0.1),
        protocol="direct",
        optim=OptimConfig("timm:muon", lr=2e-3, weight_decay=0.1),
        run=RunConfig(
            precision=options.precision,
            steps=options.steps,
            batch_size=256,
            eval_every=0,
            trackers=(),
        ),
    )


def optimizer(name: str, lr: float) -> Change:
    return lambda config: replace(config, optim=replace(config.optim, name=name, lr=lr))


def augmented(**changes) -> Change:
    return lambda config: replace(config, augment=replace(config.augment, **changes))


def running(**changes) -> Change:
    return lambda config: replace(config, run=replace(config.run, **changes))


def deep(config: PretrainConfig) -> PretrainConfig:
    return replace(config, model=replace(config.model, stochastic_depth=0.1))


def growing(config: PretrainConfig) -> PretrainConfig:
    """From two thirds of the size to all of it; the last evaluation is at the size alone."""
    side = config.model.image_size[0]
    sizes = (side * 2 // 3 // 8 * 8, side)
    model = replace(config.model, sizes=sizes)
    return replace(config, model=model, growth=GrowthConfig((0.0, 0.5), "pixels"))


def everything(config: PretrainConfig) -> PretrainConfig:
    preset = PRESETS["photos"]()
    return deep(replace(running(ema=0.999)(config), augment=preset.augment))


ROWS: dict[str, Change] = {
    BASE: lambda config: config,
    "muon, rate 1e-3": optimizer("timm:muon", 1e-3),
    "muon, rate 4e-3": optimizer("timm:muon", 4e-3),
    "adamw, rate 1e-3": optimizer("adamw", 1e-3),
    "adamw, rate 2e-3": optimizer("adamw", 2e-3),
    "adamuon": optimizer("timm:nadamuon", 2e-3),
    "no label smoothing": augmented(label_smoothing=0.0),
    "mixup and cutmix": augmented(mixup=0.2, cutmix=1.0),
    "trivialaugment": augmented(policy="trivialaugment"),
    "randaugment": augmented(randaugment=9),
    "moving average": running(ema=0.999),
    "stochastic depth": deep,
    "growing pictures": growing,
    FRACTALS_FIRST: lambda config: config,  # `after_fractals`
    "all": everything,
}


def cost(options: argparse.Namespace, configs: dict[str, PretrainConfig]) -> dict[str, float]:
    """Seconds of a step, by row: medians over rounds that take all rows in turn."""
    path = options.out / "cost.json"
    known = json.loads(path.read_text()) if path.is_file() else {}
    missing = [name for name in configs if name not in known]
    taken = {name: [] for name in dict.fromkeys((BASE, *missing))} if missing else {}
    for _ in range(ROUNDS):
        for name, seconds in taken.items():
            seconds.append(_seconds(configs[name]))
    medians = {name: statistics.median(seconds) for name, seconds in taken.items()}
    # of another day the base says how fast the machine was
    scale = known.get(BASE, medians.get(BASE, 1.0)) / medians.get(BASE, 1.0)
    known = {**{name: value * scale for name, value in medians.items()}, **known}
    write_json(path, known)
    return known


def _seconds(config: PretrainConfig) -> float:
    """Of a step, in the second half of a trial, whose folder is not kept."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "run")
        train(running(folder=str(folder), steps=2 * TRIAL, log_every=TRIAL)(config), True)
        rates = [row["images_per_second"] for row in read_metrics(folder) if "loss" in row]
    return config.run.batch_size / rates[-1]


def train_row(
    options: argparse.Namespace,
    configs: dict[str, PretrainConfig],
    costs: dict,
    row: str,
    seed: int,
) -> Run:
    """One run, or what is left of it."""
    folder, config = options.out / f"{_slug(row)}-{seed}", configs[row]
    steps = round(options.steps * costs[BASE] / costs[row])
    if row == FRACTALS_FIRST:
        warmed = round(SHARE * steps)
        config = after_fractals(config, folder, warmed, seed)
        steps -= 2 * warmed  # its drawing takes about as long as its training
    return train(running(folder=str(folder), steps=steps, seed=seed, resume=True)(config), True)


def after_fractals(config: PretrainConfig, folder: Path, steps: int, seed: int) -> PretrainConfig:
    """The same from the weights that some steps on fractals leave."""
    drawn = replace(small_fractals(500), instances=max(1, steps * config.run.batch_size // 500))
    first = replace(
        config,
        train=replace(config.train, root="fractals"),
        val=ImagesConfig("fractals", workers=0),
        fractals=replace(drawn, size=config.train.on_device),
        held_out=1,
        augment=AugmentConfig((0.5, 1), vertical_flip=0.5),
    )
    first = running(folder=f"{folder}-fractals", steps=steps, seed=seed, resume=True)(first)
    weights = str(train(first, True).folder)
    return replace(config, model=replace(config.model, weights=weights, new_head=True))


def measure(run: Run) -> dict[str, dict[str, float]]:
    """{"": figures}: at the full size where there were several."""
    figures = last_evaluation(run.folder)
    sizes = {int(name.partition("@")[2]): name for name in figures if name.startswith("top1@")}
    return {"": {**figures, "top1": figures[sizes[max(sizes)]]} if sizes else figures}


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name)


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", required=True, help="a folder of train.npz and val.npz")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS), metavar="ROW")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--model", default="mixer_c128_l6_p8")
    parser.add_argument("--side", type=int, default=48, help="pixels that it is trained at")
    parser.add_argument("--held", type=int, default=64, help="pixels that images are held at")
    parser.add_argument("--steps", type=int, default=1406, help="of 256, of the base: 8 epochs")
    parser.add_argument("--precision", default="bf16", choices=["no", "bf16"])
    parser.add_argument("--out", type=Path, default=Path("runs/recipe"))
    return parser.parse_args(words)


@entry_point
def main(words: Sequence[str] | None = None) -> None:
    options = parse(words)
    configs = {name: ROWS[name](base(options)) for name in {BASE: 0, **dict.fromkeys(options.rows)}}
    costs = cost(options, configs)
    train_one = partial(train_row, options, configs, costs)
    figures, _ = train_all(
        [""],
        options.rows,
        options.seeds,
        lambda _, row, seed: train_one(row, seed),
        measure,
        "top1",
    )
    relative = ", ".join(f"{row} {costs[row] / costs[BASE]:.2f}" for row in options.rows)
    notes = [f"time of a step over the base's: {relative}"]
    report(
        options.out,
        {**vars(options), "out": str(options.out)},
        ["top1"],
        options.seeds,
        figures,
        notes,
    )
    end_processes()


if __name__ == "__main__":
    main()
