"""What a pretrained network is worth on real images, beside the same network with random weights.

    few-shot    closed-form linear probes on the frozen features (core/evaluation/fewshot.py)
    fine-tuned  one run for each seed by the recipe of a preset, with the same budget from both

The fine-tuning runs lie in RUN/transfer/RECIPE/{pretrained,scratch}-SEED and go on where they
stopped; RUN/transfer/RECIPE.json keeps the figures, RECIPE.png the learning curves.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import nn

from core.app.comparing import check_lists, last_metric, over_seeds
from core.config import did_you_mean
from core.data.images.labelled import ImagesConfig, TrainImagesConfig
from core.data.loading import seed_everything
from core.data.sources import open_images
from core.errors import InputError
from core.evaluation import fewshot
from core.files import write_json
from core.models.backbone import create_backbone
from core.models.building import load_backbone
from core.pretraining.config import PretrainConfig, TransferConfig
from core.pretraining.sizes import GrowthConfig
from core.tables import Table, scaled
from core.training.curves import report_curves
from core.training.run import Run
from core.training.session import Session, build_accelerator


def check(config: PretrainConfig, recipes: dict[str, Callable]) -> None:
    """Raise InputError before training for what the report could not do after it."""
    transfer = config.transfer
    if transfer.recipe not in recipes:
        hint = did_you_mean(transfer.recipe, recipes)
        raise InputError(f"transfer.recipe: no preset {transfer.recipe!r}.{hint}")
    if not transfer.root:
        return
    check_lists(**{"transfer.seeds": transfer.seeds, "transfer.shots": transfer.shots})
    fewshot.check_two(*(open_images(split.root, split.split) for split in _splits(config)))


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
        record["fewshot"][start] = fewshot.probe_rows(
            _probe(config, recipe), session, network, sections=("train", "val")
        )
    for start in starts:
        for seed in config.transfer.seeds:
            folders.append(train(fine_tuning(config, recipe, start, seed)).folder)
            record["finetuned"].setdefault(start, {})[str(seed)] = last_metric(folders[-1], "top1")
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
        # ./RUN, which is never the name of kept weights
        weights=os.path.join(os.curdir, folder) if start == "pretrained" else "",
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
    train = replace(train, on_device=recipe.train.on_device)
    options = {"train": train, "val": test, "transfer": TransferConfig(), "growth": GrowthConfig()}
    return replace(recipe, model=model, run=run, **options)


def table(record: dict) -> str:
    """The figures for a person: percent of the test images, and points of gain."""
    transfer, probes, runs = record["config"].transfer, record["fewshot"], record["finetuned"]
    shots = [row["shots"] or "all" for row in next(iter(probes.values()))]
    means = [(start, *(row["mean"] for row in rows)) for start, rows in probes.items()]
    head, title = ("few-shot, examples a class", *shots), f"top-1 on {transfer.root}, %"
    scores = {start: list(by_seed.values()) for start, by_seed in runs.items()}
    cells = [(start, *over_seeds(top1, 100)) for start, top1 in scores.items()]
    if len(scores) > 1:
        mean, spread, _ = over_seeds(_gains(scores), 100)
        cells.append(("gain", mean, spread, "points"))
    recipe = f"fine-tuned by {transfer.recipe}, {transfer.epochs:g} epochs, {_seeds(transfer)}"
    tables = Table(title, head, means, form=scaled(100)), Table(recipe, (), cells, form="{:.2f}")
    return "\n".join(map(str, tables))


def _gains(scores: dict[str, list[float]]) -> list[float]:
    """Of each seed: its two runs see the same images in the same order."""
    return [a - b for a, b in zip(scores["pretrained"], scores["scratch"], strict=True)]


def _seeds(transfer: TransferConfig) -> str:
    count = len(transfer.seeds)
    return f"{count} seeds, mean and standard deviation" if count > 1 else "one seed"


def _image_size(config: PretrainConfig) -> tuple[int, ...]:
    return config.transfer.image_size or config.model.image_size


def _backbone(config: PretrainConfig, start: str) -> nn.Module:
    if start == "pretrained":
        return load_backbone(Path(config.run.folder), image_size=_image_size(config)).eval()
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


def _splits(config: PretrainConfig) -> tuple[TrainImagesConfig, ImagesConfig]:
    """The real images to train and to test on, read as pretraining's: processes, largest size."""
    transfer = config.transfer
    splits = (config.train, transfer.train_split), (config.val, transfer.test_split)
    train, test = (
        {"root": transfer.root, "split": split, "workers": c.workers, "max_pixels": c.max_pixels}
        for c, split in splits
    )
    return TrainImagesConfig(**train), ImagesConfig(**test)
