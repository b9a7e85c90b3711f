"""The transfer suites of MLP-Mixer's tables: Avg 5 and VTAB-1k, one row for each data set.

A suite's score is the mean top-1 over its data sets, each with its own fine-tuned model. It is a
score only when all of them are there: what is missing is named, and a mean over the rest says so.
Fine-tuning itself is a training run for each data set; the suites' settings are printed.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import ClassVar, Literal

from core.config import build, did_you_mean, named_pairs, read_yaml
from core.data.images.files import PILLOWS, PixelLimit
from core.data.images.labelled import LabelledImages
from core.data.sources import open_images
from core.data.transforms import eval_transform
from core.errors import InputError
from core.evaluation.classification import evaluate_classifier, matched_classes
from core.evaluation.common import EvalConfig
from core.evaluation.transfer_suites import SUITES, Suite, Task
from core.files import write_json
from core.models.classifier import Classifier, load_classifier
from core.ranges import Whole, Workers
from core.training.session import Session


@dataclass(frozen=True)
class Entry:
    """What is given for one data set."""

    data: str = ""  # a folder; hub:<name>[@config][#columns]; a packed .npz
    split: str = ""  # the split to score; empty: the suite's
    runs: tuple[str, ...] = ()  # fine-tuned models; several: the mean of their accuracies


@dataclass(frozen=True)
class Config:
    """Avg 5 or VTAB-1k: the accuracy of a fine-tuned model on each data set, and the mean."""

    RENAMED: ClassVar[dict[str, str]] = {"batch_size": "eval.batch_size"}

    suite: Literal["avg5", "vtab-1k"] = "avg5"
    # yaml file: a data set's name, then data, split and runs (a list)
    tasks: str = ""
    # NAME=ROOT for each data set: a folder, hub:<name>, a packed .npz
    data: tuple[str, ...] = ()
    # NAME=RUN for each data set: its fine-tuned model; a name given again is another run
    runs: tuple[str, ...] = ()
    # squash, short-side, direct or timm:<model>; see core/data/transforms.py
    protocol: str = "squash"
    # average over all pixels where an image shrinks; the official TensorFlow code does not
    antialias: bool = True
    # how it goes through the images
    eval: EvalConfig = EvalConfig()
    # processes that read images, for each process
    workers: Workers = 2
    # unreadable images of a data set to leave out before stopping; each one is named
    skip_bad: Whole = 0
    # as the settings of single data sets have it (core/data/images/labelled.py)
    max_pixels: Whole = 0
    # folder for suite.json
    out: str = "results"


def run(config: Config, session: Session) -> dict:
    """Print a row for each data set and the mean, write suite.json.

    Raises InputError for an unknown data set, for one with other classes than the suite's or its
    model's (before anything is evaluated), and for what cannot be opened.
    """
    suite, entries = SUITES[config.suite], read_entries(config)
    for name, entry in entries.items():
        _check_entry(name, suite.tasks[name], entry, config)
    session.print("\n".join([suite.title, *(f"  {line}" for line in suite.protocol), ""]))
    rows = {}
    for name, task in suite.tasks.items():
        rows[name] = _evaluate(session, name, task, entries.get(name, Entry()), config)
        session.print(_row(name, rows[name]))
    record = {"config": config, "protocol": suite.protocol, "tasks": rows, **score(suite, rows)}
    session.print("\n".join(_summary(record)))
    if session.is_main:
        write_json(Path(config.out) / "suite.json", record)
    return record


def read_entries(config: Config) -> dict[str, Entry]:
    """What is given, by data set: the yaml file, and NAME=... of the command line over it."""
    known, values = SUITES[config.suite].tasks, _read_yaml(config.tasks)
    for name, root in named_pairs("data", config.data):
        values.setdefault(name, {})["data"] = root
    runs = defaultdict(list)
    for name, path in named_pairs("runs", config.runs):
        runs[name].append(path)
        values.setdefault(name, {})["runs"] = runs[name]
    if unknown := [name for name in values if name not in known]:
        raise InputError(
            f"{config.suite} has no data set {unknown[0]!r}.{did_you_mean(str(unknown[0]), known)}"
        )
    source = config.tasks or "the command line"
    return {name: build(Entry, value, f"{source}: {name}") for name, value in values.items()}


def score(suite: Suite, rows: dict[str, dict]) -> dict:
    """{"mean", "partial_mean", "missing", "groups"}.

    `mean` is None unless every data set has a top-1; `partial_mean` is over those that have one,
    None where none has. `groups` holds the means of the groups that are complete.
    """
    present = {name: row["top1"] for name, row in rows.items() if "top1" in row}
    missing = [name for name in suite.tasks if name not in present]
    groups = defaultdict(list)
    for name, task in suite.tasks.items():
        groups[task.group].append(present.get(name))
    return {
        "mean": None if missing else fmean(present.values()),
        "partial_mean": fmean(present.values()) if present else None,
        "missing": missing,
        "groups": {g: fmean(v) for g, v in groups.items() if g and None not in v},
    }


def _read_yaml(path: str) -> dict[str, dict]:
    if not path:
        return {}
    values = read_yaml(path, "check --tasks") or {}
    if not isinstance(values, dict) or not all(isinstance(v, dict) for v in values.values()):
        raise InputError(f"{path}: expected for each data set its data, split and runs")
    return {name: dict(value) for name, value in values.items()}


def _absent(entry: Entry) -> list[str]:
    return [what for what, given in (("data", entry.data), ("run", entry.runs)) if not given]


def _check_entry(name: str, task: Task, entry: Entry, config: Config) -> None:
    """Open what is given, so that the last data set's typo does not cost the others' hours."""
    dataset = _open(name, task, entry) if entry.data else None
    for path in entry.runs:
        classifier = load_classifier(path)
        backbone = classifier.backbone
        eval_transform(config.protocol, backbone.image_size, backbone.normalization)
        if dataset:
            matched_classes(dataset, classifier)


def _open(
    name: str, task: Task, entry: Entry, transform=None, limit: PixelLimit = PILLOWS
) -> LabelledImages:
    dataset = open_images(entry.data, entry.split or task.split, transform, limit)
    if len(dataset.classes) != task.classes:
        raise InputError(
            f"{dataset} has {len(dataset.classes)} classes, {name} has {task.classes}: is it "
            "another data set, or are folders missing?"
        )
    return dataset


def _evaluate(session: Session, name: str, task: Task, entry: Entry, config: Config) -> dict:
    """{"top1", "runs", "images", ...}, or {"absent": what is not given}."""
    if absent := _absent(entry):
        return {"absent": absent}
    results = [
        _accuracy(session, load_classifier(p), name, task, entry, config) for p in entry.runs
    ]
    top1 = [result["top1"] for result in results]
    return {
        "top1": fmean(top1),
        "runs": dict(zip(entry.runs, top1, strict=True)),
        "data": entry.data,
        "images": results[0]["images"],
        "unreadable": results[0]["unreadable"],
    }


def _accuracy(
    session: Session, network: Classifier, name: str, task: Task, entry: Entry, config: Config
) -> dict:
    size, normalization = network.backbone.image_size, network.backbone.normalization
    transform = eval_transform(config.protocol, size, normalization, config.antialias)
    options = {"workers": config.workers, "skip_bad": config.skip_bad}
    limit = PixelLimit(config.max_pixels, "--max-pixels")
    images = _open(name, task, entry, transform, limit)
    return evaluate_classifier(session, network, images, config.eval.batch_size, **options)


def _row(name: str, row: dict) -> str:
    if "absent" in row:
        return f"  {name:22} missing: no {', no '.join(row['absent'])}"
    bad = f", {row['unreadable']} unreadable" if row["unreadable"] else ""
    figures = f"{100 * row['top1']:6.2f}%  {row['images']} images{bad}"
    return f"  {name:22} {figures}, {len(row['runs'])} run(s)"


def _summary(record: dict) -> list[str]:
    lines = [f"  mean of {name} {100 * value:.2f}%" for name, value in record["groups"].items()]
    if not record["missing"]:
        return [*lines, f"mean {100 * record['mean']:.2f}%"]
    lines.append(f"no mean: missing {', '.join(record['missing'])}")
    if record["partial_mean"] is not None:
        count = len(record["tasks"])
        lines.append(
            f"partial, no score of the suite: {100 * record['partial_mean']:.2f}% is the mean of "
            f"{count - len(record['missing'])} of {count}"
        )
    return lines
