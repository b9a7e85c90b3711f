"""Evaluate a run: [accelerate launch] python apps/pose/eval.py [RUN] [--boxes FILE] [--flip-test].

RUN is the folder of a run, one of its checkpoints, or the name of a kept network (without: the
usual one), to which --data.sets or --data.root and --data.val-json give the data.

The metrics of its data set (COCO AP where the keypoints have OKS sigmas, PCK otherwise), with
ground-truth boxes or with the detections of a json; always says which. A run on several sets is
evaluated on each, on --data.sets of them, or on the one of --data.root and --data.val-json, always
on the keypoints that set and network share by name. --report adds where the errors are.
--onnx FILE measures an exported file beside the network: what int8 costs, for example.
--images-json writes the results of a test set without annotations for COCO's server.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from apps.pose.config import EvalConfig, PoseConfig
from apps.pose.data.keypoints import COCO_NAMES, NO_MIRROR, KeypointSet
from apps.pose.data.sets import PoseSets
from apps.pose.data.source import PoseData
from apps.pose.evaluation.inference import (
    Predictor,
    exported_predictor,
    predict_people,
    to_results,
)
from apps.pose.evaluation.protocol import compute_metrics, evaluate_sets, of_set, report_tables
from apps.pose.evaluation.report import gains_table
from apps.pose.evaluation.server import write_server_files
from apps.pose.models.network import PoseNet
from core.app.commands import Report, Words, evaluation_command
from core.config import entry_point
from core.errors import InputError
from core.files import write_json
from core.tables import Table
from core.training.session import Session


@dataclass(frozen=True)
class Options:
    """What only this evaluation is told."""

    boxes: str = ""  # json of detections to evaluate on: COCO results format
    flip_test: bool = False  # average with mirrored images
    report: bool = False  # tables of where the errors are
    onnx: str = ""  # a file of export.py, measured beside the network that it was made of
    images_json: str = ""  # image_info_test-dev2017.json: write results, no AP


def report(session: Session, words: Words) -> Report:
    """Evaluate, print, and write the results in COCO's format; all processes call it."""
    return (_report_test_set if words.options.images_json else _report_figures)(session, words)


def _report_figures(session: Session, words: Words) -> Report:
    options, config = words.options, _settings(session, words)
    exported = _exported(words, config)  # now: what is wrong with it costs no evaluation
    sets = _open_sets(session, words, config)
    people_of = sets.val(options.boxes or None)
    details = {"boxes": options.boxes or _kind(options), "flip_test": config.eval.flip_test}
    figures, tables = {}, []
    for name, dataset in people_of.items():
        data = sets.sets[name]
        people = predict_people(session, words.run.network, dataset, config.eval, data.files)
        if session.is_main:
            results = to_results(people, dataset)
            metrics = of_set(name, compute_metrics(data, people, results))
            own = report_tables(data, people, results) if options.report else []
            own = [replace(table, title=f"{name} {table.title}".strip()) for table in own]
            figures, tables = figures | metrics, tables + own
            title = f"{words.run.checkpoint} on {data.val_json}"
            _print(title, details, _kind(options), metrics, own)
            _write_results(words, name, config.eval.flip_test, results)
    if exported:
        network = words.run.network
        others = evaluate_sets(session, network, sets, people_of, config.eval, exported)
        details["onnx"] = others
        pairs = {name: (value, others[name]) for name, value in figures.items()}
        if session.is_main:
            print(gains_table(options.onnx, ("network", "file"), pairs))
    details["tables"] = [table.plain() for table in tables]
    jsons = ", ".join(str(data.val_json) for data in sets.sets.values())
    return Report(jsons, figures, details)


def _exported(words: Words, config: PoseConfig) -> Predictor | None:
    """What --onnx names. Raises InputError where it cannot be measured beside the network."""
    if not words.options.onnx:
        return None
    if config.eval.flip_test:
        raise InputError("--onnx: an exported file has no flip test; leave --flip-test out")
    return exported_predictor(words.options.onnx, words.run.network)


def _open_sets(session: Session, words: Words, config: PoseConfig) -> PoseSets:
    """What to evaluate on. Raises InputError where it does not have the network's keypoints."""
    network, said = words.run.network.keypoints, words.said
    files = replace(config.data, shares=())  # they are about training
    kept = words.run.kept
    if kept and not said & {"data.sets", "data.root"}:
        raise InputError(
            f"{kept} is a kept network, without data of its own: give --data.sets, such as "
            "coco=FOLDER or people, or --data.root and --data.val-json"
        )
    by_name = bool(files.sets or kept) or "data.sets" in said
    if "data.val_json" in said and "data.sets" not in said:
        files = replace(files, sets=())  # one set, which need not be one of the run's
    if by_name and not files.sets and "data.keypoints" not in said:
        files = replace(files, keypoints="")  # what was chosen of all sets
    if by_name and not files.sets and not files.root:
        raise InputError("--data.root is missing: give the folder of the json and its images")
    sets = PoseSets(replace(config, data=files), session, network if by_name else None)
    if not by_name:
        source = f"{sets.sets[''].val_json}, unlike {words.run.checkpoint},"
        network.check_same(sets.keypoints.names, source)
    return sets


def _kind(options: Options) -> str:
    return "detection" if options.boxes else "ground-truth"


def _write_results(words: Words, name: str, flip_test: bool, results: list[dict]) -> None:
    which, how = f"{name}-" if name else "", "-flip-test" if flip_test else ""
    file = f"results-{which}{words.run.checkpoint.name}-{_kind(words.options)}-boxes{how}.json"
    print(f"results in COCO's format: {write_json(words.output / file, results, indent=None)}")


def _report_test_set(session: Session, words: Words) -> Report:
    """Keypoints of a data set that nobody but COCO's server has the annotations of."""
    options, network = words.options, words.run.network
    images = Path(options.images_json)
    if not options.boxes:
        raise InputError("--images-json lists images and nobody in them: give --boxes too")
    config = _settings(session, words)
    files = replace(config.data, val_json=str(images.resolve()), format="coco")
    if not files.root:
        raise InputError("--data.root is missing: give the folder that holds the test images")
    keypoints = KeypointSet.of(COCO_NAMES) if files.sets else network.keypoints
    data = PoseData(replace(config, data=files), session, keypoints)
    if files.sets:
        data.join(network.keypoints, str(images))
        if not data.shared.complete:
            raise InputError(f"COCO's server wants its 17 keypoints: {words.run.folder} lacks some")
    dataset = data.val(options.boxes)
    people = predict_people(session, network, dataset, config.eval, data.files)
    results = to_results(people, dataset)
    if session.is_main:
        name = words.run.folder.resolve().name
        for path in write_server_files(results, images, words.output, name):
            print(f"{len(results)} people for COCO's server: {path}")
    details = {"boxes": options.boxes, "flip_test": config.eval.flip_test}
    return Report(str(images), {"people": len(results)}, details)


def _settings(session: Session, words: Words) -> PoseConfig:
    """The run's settings as they were said anew.

    The flip test is on where the command line says so, by either name: with and without are
    published, and which one a training takes to watch itself is no reason for one of them.
    """
    config, said = words.run.config, "eval.flip_test" in words.said
    flip_test = words.options.flip_test or (said and config.eval.flip_test)
    if flip_test and not words.run.network.keypoints.can_mirror:
        session.print(f"the flip test is off: {NO_MIRROR}")
        flip_test = False
    how = EvalConfig(config.eval.batch_size, flip_test)
    model = replace(words.run.network.config, simcc_dark=config.model.simcc_dark)
    return replace(config, model=model, eval=how)


def _print(
    title: str, details: dict, kind: str, metrics: dict[str, float], tables: list[Table]
) -> None:
    source = f" ({details['boxes']})" if details["boxes"] != kind else ""
    flip = "flip test" if details["flip_test"] else "no flip test"
    print(f"{title}: {kind} boxes{source}, {flip}")
    width = max(14, *map(len, metrics))
    for name, value in metrics.items():
        print(f"  {name:{width}s} {value:.4f}")
    for table in tables:
        print(f"\n{table.text()}")


@entry_point
def main() -> None:
    evaluation_command(__doc__, PoseConfig, PoseNet, report, Options)


if __name__ == "__main__":
    main()
