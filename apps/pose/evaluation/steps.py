"""What each step of a development added: python -m apps.pose.evaluation.steps RUN RUN ... --set SET

The runs (or kept networks) in the order of the development, on the validation people of one set (as
train's --data.sets has them: lspet=FOLDER, coco=FOLDER, FILE.yaml) with annotated boxes. PCK@0.2 of
torso and box, on all keypoints that each run shares with the set and on those of COCO's 17 among
them (of LSP's 14 the 12 limbs, which other networks have too), without and with flip test, and how
many points of the first metric a row has more than the one above it.

Printed, and written into --out: steps.json, steps.md, and curves.png with the learning curves.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from apps.pose.config import DataConfig, EvalConfig, PoseConfig
from apps.pose.data.keypoints import COCO_NAMES
from apps.pose.data.names import shared_name
from apps.pose.data.sets import PoseSets
from apps.pose.evaluation.inference import predict_people
from apps.pose.evaluation.protocol import pck_metrics
from apps.pose.models.network import PoseNet
from core.app.runs import TrainedRun, reopen
from core.config import entry_point
from core.errors import InputError
from core.files import distinct_name, write_json, write_text
from core.ranges import Workers, argument
from core.tables import Table, scaled
from core.training.curves import report_curves
from core.training.session import Session, build_accelerator

OUT = "runs/pose/steps"


def measure(
    session: Session, run: TrainedRun, word: str, data: DataConfig, flip_test: bool
) -> dict[str, float]:
    """PCK of a run on the validation people of the set ``word``: {"PCK@0.2 torso, 14": ...}."""
    files = replace(data, sets=(word,), shares=(), keypoints="")
    config = replace(run.config, data=files, model=run.network.config)
    sets = PoseSets(config, session, run.network.keypoints)
    ((name, one),), how = sets.sets.items(), EvalConfig(flip_test=flip_test)
    if one.files.format == "mpii":
        raise InputError(f"{word}: MPII is measured by PCKh, with eval.py")
    people = predict_people(session, run.network, sets.val()[name], how, one.files)
    names = one.keypoints.names
    common = [i for i, name in enumerate(names) if shared_name(name) in COCO_NAMES]
    figures = {}
    counted = {len(names): list(range(len(names))), len(common): common}
    for columns in filter(None, counted.values()):
        figures |= {
            f"{metric}, {len(columns)}": value
            for metric, value in pck_metrics(one, people, columns).items()
        }
    return figures


def steps_table(rows: Sequence[tuple[str, float, dict[str, float]]], title: str) -> Table:
    """A row for each run: name, parameters, its figures, and the first one's gain in points."""
    metrics = list(dict.fromkeys(metric for *_, figures in rows for metric in figures))
    cells, before = [], None
    for name, parameters, figures in rows:
        first = figures.get(metrics[0])
        gain = None if before is None or first is None else 100 * (first - before)
        cells.append((name, parameters, *(figures.get(metric) for metric in metrics), gain))
        before = first
    forms = {metric: scaled(100, 1) for metric in metrics}
    forms |= {"parameters": scaled(1e-6), "gain": "{:+.1f}"}
    note = f"In %; parameters in millions; gain: points of {metrics[0]} over the row above."
    return Table(title, ("run", "parameters", *metrics, "gain"), cells, note, forms=forms)


def steps(session: Session, runs: Sequence[str], word: str, data: DataConfig) -> list[Table]:
    """A table without flip test and one with it; all processes call it."""
    rows: dict[bool, list] = {False: [], True: []}
    taken: set[str] = set()
    for path in runs:
        run = reopen(path, PoseConfig, PoseNet, session)
        name = distinct_name(run.kept or run.folder.resolve().name, taken)
        parameters = sum(p.numel() for p in run.network.parameters())
        for flip_test, found in rows.items():
            found.append((name, parameters, measure(session, run, word, data, flip_test)))
    kinds = {False: "no flip test", True: "flip test"}
    return [steps_table(found, f"{word}, {kinds[flip]}") for flip, found in rows.items()]


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders of runs, or kept networks")
    parser.add_argument("--set", required=True, help="lspet=FOLDER, coco=FOLDER, FILE.yaml")
    parser.add_argument(
        "--workers", type=argument(Workers), default=1, help="processes that load images"
    )
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write to (%(default)s)")
    options = parser.parse_args()
    session = Session(build_accelerator())
    data = DataConfig(workers=options.workers)
    tables = steps(session, options.runs, options.set, data)
    if not session.is_main:
        return
    print("\n\n".join(table.text() for table in tables))
    out = Path(options.out)
    write_json(out / "steps.json", [table.plain() for table in tables])
    write_text(out / "steps.md", "\n\n".join(table.markdown() for table in tables) + "\n")
    print(f"tables: {out / 'steps.md'}")
    # a kept network has a card and no curves
    folders = [Path(run) for run in options.runs if (Path(run) / "metrics.jsonl").is_file()]
    if folders:
        report_curves(session, folders, out / "curves.png")


if __name__ == "__main__":
    main()
