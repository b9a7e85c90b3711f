"""Train a classifier of clouds: accelerate launch apps/pointcloud/classify.py [PRESET] [--...].

No words at all: the `solids` preset, the kinds of the solids that the app makes itself. What is
evaluated (`--data.test`) is printed with each class at the end, and kept in RUN/classes.json.
"""

from __future__ import annotations

from core.help import answer_help

if __name__ == "__main__":  # before what takes seconds to import
    answer_help(__file__, ("classification/presets.py",), "classification/config.py")

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from apps.pointcloud.classification.config import ClassifyConfig
from apps.pointcloud.classification.data import LabelledClouds, open_pair
from apps.pointcloud.classification.network import CloudClassifier
from apps.pointcloud.classification.presets import PRESETS
from apps.pointcloud.classification.validation import class_metrics, metric_names, predict_labels
from apps.pointcloud.models.operators import check_operator
from core.app.commands import training_command
from core.app.starting import check_start
from core.config import entry_point
from core.evaluation.confusion import class_scores, classes_table, confusion_matrix
from core.files import write_json
from core.training.optim import create_optimizer
from core.training.run import Run


def train(config: ClassifyConfig, keep_processes: bool = False) -> Run:
    """Run the whole training that ``config`` describes; keep_processes: more runs follow."""
    run = Run(config.run, config)
    check_operator(config.model.operator)
    check_start(lambda: CloudClassifier(config.model, ["a", "b"]), config.optim)
    run.check_best(metric_names())
    clouds, tested = open_pair(config, run.session)
    options = {"workers": config.data.workers, "skip_bad": config.data.skip_bad}
    loader = run.loader(clouds, **options)
    network = CloudClassifier(config.model, clouds.classes)
    model, optimizer = run.prepare(model=network, optimizer=create_optimizer(config.optim, network))

    for batch in run.steps(loader):
        scores = model(batch["points"])
        loss = F.cross_entropy(
            scores, batch["label"], reduction="none", label_smoothing=config.label_smoothing
        )
        run.backward({"loss": loss})
        run.step(optimizer)
        if run.due("eval"):
            with run.evaluating() as network:
                found = predict_labels(
                    run.session, network, tested, config.eval.batch_size, **options
                )
            run.log(class_metrics(*found))
            if run.done == run.total and run.session.is_main:
                report_classes(run.folder, tested, *found)
        if run.due("save"):
            run.save()

    run.finish(keep_processes)
    return run


def report_classes(folder: Path, tested: LabelledClouds, scores: Tensor, labels: Tensor) -> None:
    """Print how each class does, and write classes.json with the confusion matrix."""
    confusion = confusion_matrix(scores.numpy(), labels.numpy())
    print(classes_table(class_scores(confusion, tested.classes)))
    record = {"data": str(tested), "classes": tested.classes, "confusion": confusion.tolist()}
    print(f"classes: {write_json(folder / 'classes.json', record)}")


@entry_point
def main() -> None:
    training_command(train, PRESETS)


if __name__ == "__main__":
    main()
