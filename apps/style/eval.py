"""Evaluate a run: [accelerate launch] python apps/style/eval.py RUN [--data.root ...].

Top-1, top-5, balanced accuracy, macro-F1, calibration error, a table of the classes, the confusion
matrix and the most confident mistakes, on the validation paintings of the run or of other data.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from torch import nn
from torch.utils.data import Dataset

from apps.style.config import DataConfig, StyleConfig
from apps.style.data.source import StyleData
from apps.style.evaluation.inference import Predictions, predict_all
from apps.style.evaluation.metrics import style_metrics
from apps.style.evaluation.pictures import confusion_picture, mistakes_sheet
from core.app.commands import Report, Words, evaluation_command
from core.config import entry_point, to_plain
from core.data.samples import with_transform
from core.errors import InputError
from core.evaluation.confusion import class_scores, classes_table, confusion_matrix
from core.models.classifier import Classifier
from core.training.session import Session


def evaluate(
    session: Session, network: nn.Module, val: Dataset, config: StyleConfig
) -> tuple[dict[str, float], Predictions]:
    """`style_metrics` of the network on prepared validation paintings; all processes call it."""
    options = {"workers": config.data.workers, "skip_bad": config.data.skip_bad}
    predictions = predict_all(session, network, val, config.eval.batch_size, **options)
    return style_metrics(predictions.probabilities, predictions.labels), predictions


def report(session: Session, words: Words) -> Report:
    """Print and draw; the figures, and what was predicted of each class."""
    config, network = words.run.config, words.run.network
    config = replace(config, data=evaluated_data(config.data, words.said))
    val = StyleData(config, session).val(network)
    metrics, predictions = evaluate(session, network, val, config)
    confusion = confusion_matrix(predictions.probabilities, predictions.labels)
    scores = class_scores(confusion, network.classes)
    if session.is_main:
        print(f"{words.run.checkpoint} on {len(predictions.labels)} paintings: {val}")
        print("\n".join(f"  {name:18} {value:.4f}" for name, value in metrics.items()))
        print(classes_table(scores))
        draw(words.output / "pictures", network.classes, val, confusion, predictions)
    rows = [{k: None if v != v else v for k, v in to_plain(s).items()} for s in scores]  # no NaN
    return Report(str(val), metrics, {"classes": rows, "confusion": confusion.tolist()})


def evaluated_data(data: DataConfig, said: Collection[str]) -> DataConfig:
    """The run's settings of its data; of other data (root, csv) only what was said of them.

    What holds for the paintings of the run, such as its split, means nothing for others.
    """
    if not {"data.root", "data.csv"} & set(said):
        return data
    names = [f.name for f in fields(data) if f"data.{f.name}" in said]
    return DataConfig(**{name: getattr(data, name) for name in {*names, "workers"}})


def draw(
    folder: Path, classes: list[str], val: Dataset, confusion: np.ndarray, predictions: Predictions
) -> None:
    """The confusion matrix (K, K), and the mistakes that the network was surest of."""
    try:
        path = confusion_picture(folder / "confusion.png", confusion, classes)
        print(f"confusion matrix: {path}")
    except InputError as error:
        print(f"no picture of the confusion matrix: {error}")
    images = with_transform(val, None)  # as a person sees them
    sheet = mistakes_sheet(
        folder / "mistakes.jpg",
        lambda i: images[int(predictions.index[i])]["image"],
        predictions.probabilities,
        predictions.labels,
        classes,
    )
    print(f"most confident mistakes: {sheet}" if sheet else "no mistake")


@entry_point
def main() -> None:
    evaluation_command(__doc__, StyleConfig, Classifier, report)


if __name__ == "__main__":
    main()
