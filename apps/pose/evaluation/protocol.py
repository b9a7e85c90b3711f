"""Which metric a data set is measured by, and the tables of a report."""

from __future__ import annotations

import numpy as np

from apps.pose.data.annotations import ground_truth
from apps.pose.data.mpii import PARTS, mpii_truth, pckh
from apps.pose.data.source import PoseData
from apps.pose.evaluation.inference import People
from apps.pose.evaluation.metrics import TORSO, box_size, coco_ap, crowd_ap, pck, torso_length
from apps.pose.evaluation.report import coco_report, pck_report
from apps.pose.evaluation.table import Table


def measure(data: PoseData, people: People, results: list[dict]) -> dict[str, float]:
    """The metrics of predicted ``people``, whose COCO results (`coco_results`) are ``results``.

    CrowdPose: `crowd_ap`. MPII: `pckh`. All others with OKS sigmas: `coco_ap`, for AIC with areas
    from the boxes as mmpose has it (AI Challenger's own score was another: the share of people
    found among the larger of annotated and found). Without sigmas: PCK at 0.2.
    """
    sigmas, format = data.keypoints.sigmas, data.files.format
    if format == "mpii":
        return pckh(*_mpii(data, people))
    if format == "crowdpose":
        return crowd_ap(data.truth(), results, sigmas)
    if sigmas:
        return coco_ap(data.truth(), results, sigmas, use_area=format != "aic")
    truth, references = _pck_references(data, people)
    return {
        f"PCK@0.2 {name}": pck(people.keypoints, truth, reference)["pck"]
        for name, reference in references.items()
    }


def tables(data: PoseData, people: People, results: list[dict]) -> list[Table]:
    """What a report shows beside the metrics: where the errors are."""
    if data.files.format == "mpii":
        names = {joint: part for part, joints in PARTS.items() for joint in joints}
        names[8] = "in the mean"
        predicted, truth, heads = _mpii(data, people)
        at = {t: pck(predicted, truth, heads, t)["per_keypoint"] for t in (0.5, 0.1)}
        rows = [
            (name, names.get(k, "not counted"), *(float(found[k]) for found in at.values()))
            for k, name in enumerate(data.keypoints.names)
        ]
        return [Table("Keypoints", ("keypoint", "part", "PCKh@0.5", "PCKh@0.1"), tuple(rows))]
    if data.keypoints.sigmas:
        use_area = data.files.format not in ("aic", "crowdpose")
        return coco_report(data.truth(), results, data.keypoints, use_area)
    truth, references = _pck_references(data, people)
    reference = next(iter(references.values()))
    return pck_report(people.keypoints, truth, reference, data.keypoints)


def _mpii(data: PoseData, people: People) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    truth, heads = mpii_truth(data.val_json, data.head_boxes)
    return people.keypoints, truth[people.annotation], heads[people.annotation]


def _pck_references(data: PoseData, people: People) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The truth (N, K, 3), and by name what PCK divides by: the torso if there is one, the box."""
    truth, boxes = ground_truth(data.truth(), people.annotation, len(data.keypoints))
    references = {"box": box_size(boxes)}
    names = {name.lower().replace(" ", "_") for name in data.keypoints.names}
    if names >= set(TORSO):
        references = {"torso": torso_length(truth, data.keypoints), **references}
    return truth, references
