"""What a pretrained network is worth on real images, beside the same network with random weights.

    few-shot    closed-form linear probes on the frozen features (core/evaluation/fewshot.py)
    fine-tuned  one run for each seed by the recipe of a preset, with the same budget from both

The fine-tuning runs lie in RUN/transfer/RECIPE/{pretrained,scratch}-SEED and go on where they
stopped; RUN/transfer/RECIPE.json keeps the figures, RECIPE.png the learning curves.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import nn

from core.config import did_you_mean
from core.data.images.labelled import ImagesConfig
from core.data.loading import seed_everything
from core.data.sources import open_images
from core.errors import InputError
from core.evaluation import fewshot
from core.files import write_json
from core.models.backbone import create_backbone
from core.models.building import load_backbone
from core.pretraining.config import PretrainConfig, TransferConfig
from core.training.curves import report_curves
from core.training.folder import read_metrics
from core.training.run import Run
from core.training.session import Session, build_accelerator


def check(config: PretrainConfig, recipes: dict[str, Callable]) -> None:
    """Raise InputError before training for what the report could not do after it."""
    transfer = config.transfer
    if not transfer.root:
        return
    if transfer.recipe not in recipes:
        hint = did_you_mean(transfer.recipe, recipes)
        raise InputError(f"transfer.recipe: no preset {transfer.recipe!r}.{hint}")
    if not (transfer.seeds and transfer.shots):
        raise InputError("transfer.seeds and transfer.shots need one number at least")
    for split in _splits(config):
        open_images(split.root, split.split)


def report(
    config: PretrainConfig, recipe: PretrainConfig, train: Callable[[PretrainConfig], Run]
) -> dict:
    """Probe, fine-tune by `recipe` with `train`, print a table, and keep and return the figures.

    {"fewshot": {start: rows}, "finetuned": {start: {seed: top1}}}, a start being "pretrained" or
    "scratch", rows as `core.evaluation.fewshot.probe_rows` gives them. All processes call it.
    """
    starts = ("pretrained", "scratch") if config.transfer.scratch else ("pretrained",)
    session = Session(build_accelerator(config.run.precision))
    record, folders = {"config": config, "fewshot": {}, "finetuned": {}}, []
    for start in starts:
        network = _backbone(config, start)
        record["fewshot"][start] = fewshot.probe_rows(_probe(config, recipe), session, network)
    for start in starts:
        for seed in config.transfer.seeds:
            folders.append(train(fine_tuning(config, recipe, start, seed)).folder)
            record["finetuned"].setdefault(start, {})[str(seed)] = _last_top1(folders[-1])
    out = Path(config.run.folder, "transfer")
    if session.is_main:
        write_json(out / f"{config.transfer.recipe}.json", record)
    report_curves(session, folders, out / f"{config.transfer.recipe}.png")
    session.print(table(record))
    return record


def fine_tuning(
    config: PretrainConfig, recipe: PretrainConfig, start: str, seed: int
) -> PretrainConfig:
    """The fine-tuning run of one seed from "pretrained" or "scratch"."""
    transfer, folder = config.transfer, Path(config.run.folder)
    model = replace(
        recipe.model,
        backbone=config.model.backbone,
        image_size=_image_size(config),
        weights=str(folder) if start == "pretrained" else "",
        new_head=start == "pretrained",
        sizes=(),
    )
    run = replace(
        recipe.run,
        folder=str(folder / "transfer" / transfer.recipe / f"{start}-{seed}"),
        resume=True,
        epochs=transfer.epochs,
        steps=0,
        seed=seed,
        precision=config.run.precision,
        compile=config.run.compile,
        trackers=config.run.trackers,
    )
    train, test = _splits(config)
    options = {"train": train, "val": test, "transfer": TransferConfig()}
    return replace(recipe, model=model, run=run, **options)


def table(record: dict) -> str:
    """The figures for a person: percent of the test images, and points of gain."""
    transfer, probes = record["config"].transfer, record["fewshot"]
    shots = [row["shots"] for row in next(iter(probes.values()))]
    lines = [f"top-1 on {transfer.root}, %", "few-shot, examples a class " + _row(shots, "{:8d}")]
    for start, rows in probes.items():
        lines.append(f"  {start:25}" + _row([100 * row["mean"] for row in rows], "{:8.2f}"))
    runs = {
        start: [100 * top1 for top1 in by_seed.values()]
        for start, by_seed in record["finetuned"].items()
    }
    recipe = f"{transfer.recipe}, {transfer.epochs:g} epochs"
    lines.append(f"fine-tuned by {recipe}, {_seeds(transfer)}")
    for start, percents in runs.items():
        each = ", ".join(f"{value:.2f}" for value in percents)
        lines.append(f"  {start:25}{_spread(percents)}  ({each})")
    if len(runs) > 1:
        lines.append(f"  {'gain':25}{_spread(_gains(runs))} points")
    return "\n".join(lines)


def _gains(runs: dict[str, list[float]]) -> list[float]:
    """Points of each seed: the two runs of a seed see the same images in the same order."""
    return [a - b for a, b in zip(runs["pretrained"], runs["scratch"], strict=True)]


def _row(values: list, form: str) -> str:
    return "".join(form.format(value) for value in values)


def _spread(values: list[float]) -> str:
    spread = f" +- {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):8.2f}{spread}"


def _seeds(transfer: TransferConfig) -> str:
    count = len(transfer.seeds)
    return f"{count} seeds, mean and standard deviation" if count > 1 else "one seed"


def _image_size(config: PretrainConfig) -> tuple[int, ...]:
    return config.transfer.image_size or config.model.image_size


def _backbone(config: PretrainConfig, start: str) -> nn.Module:
    if start == "pretrained":
        return load_backbone(config.run.folder, image_size=_image_size(config)).eval()
    seed_everything(config.transfer.seeds[0])
    return create_backbone(config.model.backbone, _image_size(config)).eval()


def _probe(config: PretrainConfig, recipe: PretrainConfig) -> fewshot.Config:
    train, test = _splits(config)
    return fewshot.Config(
        train=train,
        test=test,
        shots=config.transfer.shots,
        pool=max(fewshot.Config.pool, *config.transfer.shots),
        protocol=recipe.protocol,
    )


def _splits(config: PretrainConfig) -> tuple[ImagesConfig, ImagesConfig]:
    """The real images to train and to test on, read by as many processes as pretraining's."""
    transfer = config.transfer
    train = ImagesConfig(transfer.root, transfer.train_split, workers=config.train.workers)
    return train, ImagesConfig(transfer.root, transfer.test_split, workers=config.val.workers)


def _last_top1(folder: Path) -> float:
    return [row["eval/top1"] for row in read_metrics(folder) if "eval/top1" in row][-1]
