"""Evaluate a run: [accelerate launch] python apps/pose/eval.py RUN [--boxes FILE] [--flip-test].

The metrics of its data set (COCO AP where the keypoints have OKS sigmas, PCK otherwise), with
ground-truth boxes or with the detections of a json; always says which. --report adds where the
errors are. --images-json writes the results of a test set without annotations for COCO's server.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import replace
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from torch import nn

from apps.pose.config import DataConfig, EvalConfig, PoseConfig
from apps.pose.data.source import PoseData
from apps.pose.evaluation.inference import People, predict_people
from apps.pose.evaluation.metrics import coco_results
from apps.pose.evaluation.protocol import measure, tables
from apps.pose.evaluation.table import Table
from apps.pose.models.network import PoseNet
from core.app.runs import reopen
from core.config import build, entry_point, to_plain
from core.errors import InputError
from core.files import whole_file
from core.training.session import Session, build_accelerator


def evaluate(
    session: Session,
    network: nn.Module,
    data: PoseData,
    config: EvalConfig,
    boxes: str | Path | None = None,
) -> dict[str, float]:
    """Metrics (`measure`) of the network on the validation people; all processes call it."""
    return measure(data, *predict(session, network, data, config, boxes))


def predict(
    session: Session,
    network: nn.Module,
    data: PoseData,
    config: EvalConfig,
    boxes: str | Path | None = None,
) -> tuple[People, list[dict]]:
    """The people of the validation json, or of the detections ``boxes``; their COCO results."""
    dataset = data.val(boxes)
    people = predict_people(
        session, network, dataset, config, data.files.workers, data.files.skip_bad
    )
    sigmas = data.keypoints.sigmas
    results = coco_results(
        people.keypoints,
        people.scores,
        people.image_id,
        people.box_score,
        people.scale,
        sigmas,
        nms=boxes is not None and sigmas is not None,
        category_id=dataset.category_id,
    )
    return people, results


def open_run(path: str, session: Session) -> tuple[PoseConfig, PoseNet, Path]:
    """Configuration, network with its (averaged) weights, and checkpoint folder of a run."""
    config, network, checkpoint = reopen(path, PoseConfig, PoseNet, session)
    return replace(config, model=network.config), network, checkpoint


def save_json(content: object, path: Path) -> Path:
    """Write ``content`` as json, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content))
    return path


def server_files(results: list[dict], images_json: Path, folder: Path, name: str) -> list[Path]:
    """Write what COCO's evaluation server takes: a json of that name, and the same zipped.

    The name is person_keypoints_[subset]_[name]_results (cocodataset.org/#upload); the subset is
    test-dev2017 where ``images_json`` is image_info_test-dev2017.json. Coordinates are rounded to a
    tenth of a pixel, as the format's description recommends.
    """
    subset = images_json.stem.removeprefix("image_info_")
    stem = f"person_keypoints_{subset}_{re.sub('[^A-Za-z0-9-]+', '-', name)}_results"
    rounded = [{**r, "keypoints": [round(v, 1) for v in r["keypoints"]]} for r in results]
    path = save_json(rounded, folder / f"{stem}.json")
    zipped = folder / f"{stem}.zip"
    with whole_file(zipped) as partial, ZipFile(partial, "w", ZIP_DEFLATED) as archive:
        archive.write(path, path.name)
    return [path, zipped]


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", help="folder of a run, or of one of its checkpoints")
    parser.add_argument("--boxes", help="json of detections to evaluate on: COCO results format")
    parser.add_argument("--flip-test", action="store_true", help="average with mirrored images")
    parser.add_argument("--report", action="store_true", help="tables of where the errors are")
    parser.add_argument("--images-json", help="image_info_test-dev2017.json: write results, no AP")
    parser.add_argument("--batch-size", type=int, default=64, help="people per process")
    for name in ("root", "format", "val-json", "val-images", "head-boxes", "keypoints", "outside"):
        parser.add_argument(f"--data.{name}", dest=name.replace("-", "_"), help="other data")
    parser.add_argument("--data.skip-bad", dest="skip_bad", type=int, help="bad images to allow")
    options = parser.parse_args()
    session = Session(build_accelerator())
    (_export if options.images_json else _evaluate)(session, options)
    session.accelerator.end_training()


def _evaluate(session: Session, options: argparse.Namespace) -> None:
    config, network, checkpoint = open_run(options.run, session)
    data = PoseData(_with_data(config, options), session)
    network.keypoints.check_same(data.keypoints.names, f"{data.val_json}, unlike {checkpoint},")
    how = EvalConfig(options.batch_size, options.flip_test)
    people, results = predict(session, network, data, how, options.boxes)
    if not session.is_main:
        return
    metrics = measure(data, people, results)
    shown = tables(data, people, results) if options.report else []
    kind = "detection" if options.boxes else "ground-truth"
    name, folder = f"{checkpoint.name}-{kind}-boxes.json", checkpoint.parents[1]
    about = {
        "checkpoint": str(checkpoint), "json": str(data.val_json), "boxes": options.boxes or kind,
        "flip_test": options.flip_test, "metrics": metrics, "tables": [t.plain() for t in shown],
    }  # fmt: skip
    _print(about, kind, shown)
    print(f"results in COCO's format: {save_json(results, folder / f'results-{name}')}")
    print(f"the figures above: {save_json(about, folder / f'eval-{name}')}")


def _print(about: dict, kind: str, shown: list[Table]) -> None:
    source = f" ({about['boxes']})" if about["boxes"] != kind else ""
    flip = "flip test" if about["flip_test"] else "no flip test"
    print(f"{about['checkpoint']} on {about['json']}: {kind} boxes{source}, {flip}")
    for name, value in about["metrics"].items():
        print(f"  {name:14s} {value:.4f}")
    for table in shown:
        print(f"\n{table.text()}")


def _export(session: Session, options: argparse.Namespace) -> None:
    config, network, checkpoint = open_run(options.run, session)
    images = Path(options.images_json)
    if not options.boxes:
        raise InputError("--images-json lists images and nobody in them: give --boxes too")
    config = _with_data(config, options, val_json=str(images.resolve()), format="coco")
    if not config.data.root:
        raise InputError("--data.root is missing: give the folder that holds the test images")
    data = PoseData(config, session, network.keypoints)
    how = EvalConfig(options.batch_size, options.flip_test)
    _, results = predict(session, network, data, how, options.boxes)
    if session.is_main:
        folder = checkpoint.parents[1]
        for path in server_files(results, images, folder, folder.resolve().name):
            print(f"{len(results)} people for COCO's server: {path}")


def _with_data(config: PoseConfig, options: argparse.Namespace, **values: str) -> PoseConfig:
    """The run's configuration with the data that the command line names."""
    fields = to_plain(config.data)
    given = {name: value for name, value in vars(options).items() if name in fields}
    given = {name: value for name, value in given.items() if value is not None}
    return replace(config, data=build(DataConfig, {**fields, **given, **values}, "--data"))


if __name__ == "__main__":
    main()
