"""What a network has to beat.

    python -m apps.pose.evaluation.baselines [PRESET] [--data.root ...]

The median pose: where each keypoint of the training people lies in their boxes, in the median, put
into every annotated box of the validation people. It has seen no picture. Of several sets, each by
its own people, on the keypoints that a network would share with it. Presets and settings are those
of train.py; only `data` and `embedded` matter here.
"""

from __future__ import annotations

import numpy as np

from apps.pose.data.dataset import PoseDataset
from apps.pose.data.sets import PoseSets
from apps.pose.data.source import PoseData
from apps.pose.evaluation.inference import People, to_results
from apps.pose.evaluation.protocol import compute_metrics
from apps.pose.presets import PRESETS
from core.config import cli, entry_point
from core.training.session import Session


def median_pose(dataset: PoseDataset) -> np.ndarray:
    """(K, 2) medians over the labelled keypoints of x and y as shares of the box, 0 left and top.

    The middle of the box for a keypoint that is labelled in nobody.
    """
    people = _people(dataset)
    corner, size = _boxes(people)
    points = np.concatenate([person["keypoints"] for person in people])  # (N, K, 2)
    visible = np.concatenate([person["keypoints_visible"] for person in people]) > 0  # (N, K)
    shares = (points - corner[:, None]) / size[:, None]
    hidden = np.repeat(~visible[..., None], 2, -1)
    return np.ma.median(np.ma.array(shares, mask=hidden), 0).filled(0.5)


def predict_pose(pose: np.ndarray, dataset: PoseDataset) -> People:
    """The people of ``dataset``, each with the network's keypoints (K, 2) ``pose`` in the annotated
    box: those that the data set has, as `predict_people` gives them."""
    people = _people(dataset)
    corner, size = _boxes(people)
    pose = pose[list(dataset.shared.places)]  # (S, 2)
    keypoints = corner[:, None] + pose * size[:, None]  # (N, S, 2)
    return People(
        keypoints=keypoints,
        scores=np.ones(keypoints.shape[:2]),
        image_id=np.array([person["img_id"] for person in people]),
        annotation=np.array([person["id"] for person in people]),
        box_score=np.ones(len(people)),
        center=corner + size / 2,
        scale=size,
    )


def score_median_pose(data: PoseData) -> dict[str, float]:
    """The metrics of the data set, as `compute_metrics` has them, for the median pose."""
    val = data.val()
    people = predict_pose(median_pose(data.train()), val)
    return compute_metrics(data, people, to_results(people, val))


def _people(dataset: PoseDataset) -> list[dict]:
    return [dataset.people.get_data_info(index) for index in range(len(dataset))]


def _boxes(people: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """The upper left corners (N, 2) and the widths and heights (N, 2) of the annotated boxes."""
    boxes = np.concatenate([person["bbox"] for person in people])  # (N, 4) x1, y1, x2, y2
    return boxes[:, :2], boxes[:, 2:] - boxes[:, :2]


@entry_point
def main() -> None:
    for data in PoseSets(cli(PRESETS), Session()).sets.values():
        metrics = score_median_pose(data)
        print(f"the median pose of {data.files.train_json} on {data.val_json}: annotated boxes")
        for name, value in metrics.items():
            print(f"  {name:14s} {value:.4f}")


if __name__ == "__main__":
    main()
