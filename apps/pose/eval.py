"""Evaluate a run: [accelerate launch] python apps/pose/eval.py RUN [--boxes FILE] [--flip-test].

COCO AP where the keypoints have OKS sigmas, PCK otherwise, with ground-truth boxes or with the
detections of a json; always says which.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from torch import nn

from apps.pose.annotations import ground_truth
from apps.pose.config import EvalConfig, PoseConfig
from apps.pose.inference import People, predict_people
from apps.pose.keypoints import read_json
from apps.pose.metrics import TORSO, box_size, coco_ap, coco_results, pck, torso_length
from apps.pose.model import PoseNet
from apps.pose.source import PoseData
from core.config import entry_point, load_config
from core.training.checkpoint import averaged_weights, find_checkpoint, load_weights, read_info
from core.training.session import Session, build_accelerator


def evaluate(
    session: Session,
    network: nn.Module,
    data: PoseData,
    config: EvalConfig,
    boxes: str | Path | None = None,
    results_file: Path | None = None,
) -> dict[str, float]:
    """Metrics of the network on the validation people; all processes call it.

    AP, AP50, ... AR for keypoints with sigmas (`coco_ap`), else PCK@0.2 (`pck`). ``results_file``
    gets the COCO results json.
    """
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
    if results_file and session.is_main:
        results_file.write_text(json.dumps(results))
    if sigmas:
        return coco_ap(data.val_json, results, sigmas)
    return _pck(people, data)


def _pck(people: People, data: PoseData) -> dict[str, float]:
    """PCK at 0.2 of the torso (left shoulder to right hip), and of the box's longer side."""
    truth, boxes = ground_truth(read_json(data.val_json), people.annotation, len(data.keypoints))
    metrics = {"PCK@0.2 box": pck(people.keypoints, truth, box_size(boxes))["pck"]}
    names = {name.lower().replace(" ", "_") for name in data.keypoints.names}
    if names >= set(TORSO):
        torso = torso_length(truth, data.keypoints)
        metrics = {"PCK@0.2 torso": pck(people.keypoints, truth, torso)["pck"], **metrics}
    return metrics


def open_run(path: str, session: Session) -> tuple[PoseConfig, PoseNet, Path]:
    """Configuration, network with its (averaged) weights, and checkpoint folder of a run."""
    checkpoint = find_checkpoint(path)
    config = load_config(PoseConfig, checkpoint.parents[1] / "config.yaml")
    network = PoseNet.from_description(read_info(checkpoint), str(checkpoint))
    load_weights(network, averaged_weights(checkpoint))
    config = replace(config, model=network.config)
    return config, network.to(session.device).eval(), checkpoint


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", help="folder of a run, or of one of its checkpoints")
    parser.add_argument("--boxes", help="json of detections to evaluate on: COCO results format")
    parser.add_argument("--flip-test", action="store_true", help="average with mirrored images")
    parser.add_argument("--batch-size", type=int, default=64, help="people per process")
    for name in ("root", "val-json", "val-images", "keypoints"):
        parser.add_argument(f"--data.{name}", dest=name.replace("-", "_"), help="other data")
    parser.add_argument("--data.skip-bad", dest="skip_bad", type=int, help="bad images to allow")
    options = vars(parser.parse_args())
    _report(options)


def _report(options: dict) -> None:
    session = Session(build_accelerator())
    config, network, checkpoint = open_run(options.pop("run"), session)
    boxes, flip = options.pop("boxes"), options.pop("flip_test")
    how = EvalConfig(options.pop("batch_size"), flip)
    given = {name: value for name, value in options.items() if value is not None}
    config = replace(config, data=replace(config.data, **given))
    data = PoseData(config, session)
    kind = "detection" if boxes else "ground-truth"
    results = checkpoint.parents[1] / f"results-{checkpoint.name}-{kind}-boxes.json"
    with session.accelerator.autocast():
        metrics = evaluate(session, network, data, how, boxes, results)
    words = f"{kind} boxes{f' ({boxes})' if boxes else ''}, {'' if flip else 'no '}flip test"
    session.print(f"{checkpoint} on {data.val_json}: {words}")
    for name, value in metrics.items():
        session.print(f"  {name:14s} {value:.4f}")
    session.print(f"results in COCO's format: {results}")
    session.accelerator.end_training()


if __name__ == "__main__":
    main()
