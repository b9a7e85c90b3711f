"""Which metric a data set is measured by: what is said of a network, in training and by eval.py."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import nn

from apps.pose.config import EvalConfig
from apps.pose.data.dataset import PoseDataset
from apps.pose.data.records.annotations import ground_truth
from apps.pose.data.sets import PoseSets
from apps.pose.data.source import PoseData
from apps.pose.evaluation.inference import People, Predictor, predict_people, to_results
from apps.pose.evaluation.metrics import coco_ap, crowd_ap, one_category
from apps.pose.evaluation.pck import PARTS, TORSO, box_size, find_parts, pck, pckh, torso_length
from apps.pose.evaluation.report import coco_report, pck_report
from core.errors import InputError
from core.tables import Table
from core.training.session import Session

# What a set is measured by first; AP of some of its people, for example, is no such metric
MAIN = ("AP", "PCK@0.2 torso", "PCK@0.2 box", "PCKh@0.5")
REHEARSED = 8  # people of `rehearse`


def evaluate_sets(
    session: Session,
    network: nn.Module,
    data: PoseSets,
    datasets: dict[str, PoseDataset],
    config: EvalConfig,
    predict: Predictor | None = None,
) -> dict[str, float]:
    """`evaluate` on each set by its own protocol; all processes call it."""
    metrics = {}
    for name, dataset in datasets.items():
        figures = evaluate(session, network, data.sets[name], dataset, config, predict)
        metrics |= of_set(name, figures)
    return metrics


def of_set(name: str, metrics: dict[str, float]) -> dict[str, float]:
    """Metrics with their set's name before theirs: "lspet PCK@0.2 torso"; the only set has none."""
    return {f"{name} {metric}".strip(): value for metric, value in metrics.items()}


def check_sets(data: PoseSets, datasets: dict[str, PoseDataset], best: str = "") -> None:
    """`rehearse` on each set: what an evaluation would want is read and computed once, now.

    Raises InputError where one would, and where none will have the metric ``best``.
    """
    names: list[str] = []
    for name, dataset in datasets.items():
        names += of_set(name, rehearse(data.sets[name], dataset))
    if best and best not in names:
        meant = next((name for name in names if name.endswith(f" {best}")), names[0])
        has_ap = any(name.endswith("AP") for name in names)
        lacking = "" if has_ap else " (AP needs sigmas: data.keypoints)"
        raise InputError(
            f"run.best is {best}, and these data are measured by {', '.join(names)}{lacking}: "
            f'choose one, such as "{meant}"'
        )


def rehearse(data: PoseData, dataset: PoseDataset) -> dict[str, float]:
    """The metrics of a few people whose keypoints are in the middle of their boxes."""
    some = [dataset.people.get_data_info(i) for i in range(min(len(dataset), REHEARSED))]
    middles = np.concatenate([person["bbox"].reshape(1, 2, 2).mean(1) for person in some])
    count, keypoints = len(some), len(dataset.keypoints)
    ids = (np.array([person[name] for person in some]) for name in ("img_id", "id"))
    places = np.repeat(middles[:, None], keypoints, 1), np.ones((count, keypoints))
    people = People(*places, *ids, np.ones(count), middles, np.ones((count, 2)))
    return compute_metrics(data, people, to_results(people, dataset))


def evaluate(
    session: Session,
    network: nn.Module,
    data: PoseData,
    dataset: PoseDataset,
    config: EvalConfig,
    predict: Predictor | None = None,
) -> dict[str, float]:
    """Metrics of the network on ``dataset``, people of ``data``; all processes call it.

    predict: what is measured in place of the network, see `predict_people`.
    """
    people = predict_people(session, network, dataset, config, data.files, predict)
    return compute_metrics(data, people, to_results(people, dataset))


def compute_metrics(data: PoseData, people: People, results: list[dict]) -> dict[str, float]:
    """The metrics of predicted ``people``, whose COCO results (`coco_results`) are ``results``.

    CrowdPose: `crowd_ap`. MPII: `pckh`. All others with OKS sigmas: `coco_ap`, for AIC with areas
    from the boxes as mmpose has it (AI Challenger's own score was another: the share of people
    that are matched among the larger of annotated and predicted). Without sigmas: PCK at 0.2.
    """
    sigmas, format = data.keypoints.sigmas, data.files.format
    if format == "mpii":
        return pckh(*_of_mpii(data, people))
    if format == "crowdpose":
        return crowd_ap(data.truth, results, sigmas)
    if sigmas:
        # nobody in AIC has a segment, whose area COCO's similarity takes
        return coco_ap(_truth(data, people, results), results, sigmas, use_area=format != "aic")
    return pck_metrics(data, people)


def pck_metrics(data: PoseData, people: People, columns: Sequence[int] = ()) -> dict[str, float]:
    """PCK at 0.2 of the torso (where the keypoints have one) and of the box.

    columns: of the set's keypoints those to count; none: all.
    """
    truth, references = _pck_references(data, people)
    columns = list(columns or range(truth.shape[1]))
    return {
        f"PCK@0.2 {name}": pck(people.keypoints[:, columns], truth[:, columns], reference)["pck"]
        for name, reference in references.items()
    }


def _truth(data: PoseData, people: People, results: list[dict]) -> dict:
    """The truth, with all people in one category where detections do not say which they are of."""
    detected = len(people.annotation) > 0 and people.annotation[0] < 0
    return one_category(data.truth, results[0]["category_id"]) if detected else data.truth


def report_tables(data: PoseData, people: People, results: list[dict]) -> list[Table]:
    """What a report shows beside the metrics: where the errors are."""
    if data.files.format == "mpii":
        return [_part_table(data, people)]
    if data.keypoints.sigmas:
        use_area = data.files.format not in ("aic", "crowdpose")
        return coco_report(_truth(data, people, results), results, data.keypoints, use_area)
    truth, references = _pck_references(data, people)
    reference = next(iter(references.values()))  # the torso where there is one
    return pck_report(people.keypoints, truth, reference, data.keypoints)


def _part_table(data: PoseData, people: People) -> Table:
    """PCKh of each of MPII's joints, with the part that it counts to."""
    parts = {joint: part for part, joints in PARTS.items() for joint in joints}
    parts[8] = "in the mean"
    predicted, truth, heads = _of_mpii(data, people)
    shares = [pck(predicted, truth, heads, t)["per_keypoint"].tolist() for t in (0.5, 0.1)]
    rows = [
        (name, parts.get(k, "not counted"), *(share[k] for share in shares))
        for k, name in enumerate(data.keypoints.names)
    ]
    return Table("Keypoints", ("keypoint", "part", "PCKh@0.5", "PCKh@0.1"), rows)


def _of_mpii(data: PoseData, people: People) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted (N, 16, 2) and true keypoints (N, 16, 3), and head sizes (N,)."""
    truth, heads = data.mpii_truth
    return people.keypoints, truth[people.annotation], heads[people.annotation]


def _pck_references(data: PoseData, people: People) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The truth (N, K, 3), and by name what PCK divides by: the torso if there is one, the box."""
    truth, boxes = ground_truth(data.truth, people.annotation, len(data.keypoints))
    references = {"box": box_size(boxes)}
    if None not in find_parts(data.keypoints.names, TORSO):
        references = {"torso": torso_length(truth, data.keypoints), **references}
    return truth, references
