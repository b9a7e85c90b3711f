"""Evaluate a run: [accelerate launch] python apps/style/eval.py RUN [--data.root ...].

Top-1, top-5, balanced accuracy, macro-F1, calibration error, a table of the classes, the confusion
matrix and the most confident mistakes, on the validation paintings of the run or of other data.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
from torch import nn
from torch.utils.data import Dataset

from apps.style.config import StyleConfig
from apps.style.data.dataset import DataConfig
from apps.style.data.source import StyleData
from apps.style.evaluation.inference import Predictions, predict_all
from apps.style.evaluation.metrics import class_scores, confusion_matrix, style_metrics, table
from apps.style.evaluation.pictures import confusion_picture, mistakes_sheet
from core.checkpoints import find_checkpoint
from core.config import entry_point, load_config, to_plain
from core.errors import InputError
from core.evaluation.common import save_record
from core.models.classifier import Classifier, load_classifier
from core.training.session import Session, build_accelerator


def evaluate(
    session: Session, network: nn.Module, val: Dataset, config: StyleConfig
) -> tuple[dict[str, float], Predictions]:
    """`style_metrics` of the network on prepared validation paintings; all processes call it."""
    options = {"workers": config.data.workers, "skip_bad": config.data.skip_bad}
    found = predict_all(session, network, val, config.eval_batch, **options)
    return style_metrics(found.probabilities, found.labels), found


def open_run(path: str, session: Session) -> tuple[StyleConfig, Classifier, Path]:
    """Configuration, network and checkpoint of a run, or of one of its checkpoints."""
    checkpoint = find_checkpoint(path)
    config = load_config(StyleConfig, checkpoint.parents[1] / "config.yaml")
    return config, load_classifier(checkpoint).to(session.device).eval(), checkpoint


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", help="folder of a run, or of one of its checkpoints")
    parser.add_argument("--batch-size", type=int, default=64, help="paintings per process")
    for name in ("root", "lists", "csv"):
        parser.add_argument(f"--data.{name}", dest=name, help="other data than the run's")
    for name, kind in (("split", str), ("classes", int)):
        choices = get_args(get_type_hints(DataConfig)[name])
        parser.add_argument(f"--data.{name}", dest=name, type=kind, choices=choices)
    parser.add_argument("--data.skip-bad", dest="skip_bad", type=int, help="bad ones to allow")
    parser.add_argument("--output", type=Path, help="folder for figures and pictures (RUN)")
    _report(vars(parser.parse_args()))


def _report(options: dict) -> None:
    session = Session(build_accelerator())
    config, network, checkpoint = open_run(options.pop("run"), session)
    output, batch = options.pop("output") or checkpoint.parents[1], options.pop("batch_size")
    if batch < 1:
        raise InputError(f"--batch-size is {batch}: at least 1")
    given = {name: value for name, value in options.items() if value is not None}
    elsewhere = given.keys() & {"root", "csv"}
    base = DataConfig(workers=config.data.workers) if elsewhere else config.data
    config = replace(config, data=replace(base, **given), eval_batch=batch)
    val = StyleData(config, session).val(network)
    metrics, found = evaluate(session, network, val, config)
    if session.is_main:
        print(f"{checkpoint} on {len(found.labels)} paintings: {val}")
        _write(output, network.classes, val, metrics, found)
    session.accelerator.end_training()


def _write(output: Path, classes: list[str], val: Dataset, metrics: dict, found: Predictions):
    confusion = confusion_matrix(found.probabilities, found.labels)
    for name, value in metrics.items():
        print(f"  {name:18} {value:.4f}")
    scores = class_scores(confusion, classes)
    print(table(scores))
    rows = [{k: None if v != v else v for k, v in to_plain(s).items()} for s in scores]  # no NaN
    record = {"data": str(val), "metrics": metrics, "classes": rows}
    print(f"figures: {save_record(output, 'eval', record | {'confusion': confusion.tolist()})}")
    _draw(output / "pictures", classes, val, confusion, found)


def _draw(folder: Path, classes: list[str], val: Dataset, confusion: np.ndarray, found) -> None:
    try:
        path = confusion_picture(folder / "confusion.png", confusion, classes)
        print(f"confusion matrix: {path}")
    except InputError as error:
        print(f"no picture of the confusion matrix: {error}")
    sheet = mistakes_sheet(
        folder / "mistakes.jpg",
        lambda i: painting(val, int(found.index[i])),
        found.probabilities,
        found.labels,
        classes,
    )
    print(f"most confident mistakes: {sheet}" if sheet else "no mistake")


def painting(images: Dataset, index: int):
    """Painting `index` as a PIL image, without the network's transform."""
    target = getattr(images, "stream", images)
    kept, target.transform = target.transform, None
    try:
        return images[index]["image"]
    finally:
        target.transform = kept


if __name__ == "__main__":
    main()
