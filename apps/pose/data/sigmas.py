"""OKS sigmas from people annotated twice: python -m apps.pose.data.sigmas FIRST SECOND (jsons)."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from apps.pose.data.keypoints import KeypointSet
from apps.pose.data.records.annotations import read_truth
from core.config import entry_point
from core.errors import InputError


def estimate(first: str | Path, second: str | Path) -> tuple[KeypointSet, np.ndarray, np.ndarray]:
    """The keypoints, sigmas (K,), and how many people each comes from (K,).

    sigma_i^2 = E[d_i^2 / s^2] (cocodataset.org/#keypoints-eval): d_i is the distance of a person's
    two annotations of keypoint i, s^2 the area of the person in the first json (0.53 of the box,
    where it has none). People are matched by the ids of their annotations. Raises InputError where
    a keypoint has not been labelled twice.
    """
    keypoints = KeypointSet.read(first, others=[second])
    one, other = (_people(path, len(keypoints)) for path in (first, second))
    shared = sorted(one.keys() & other.keys())
    if not shared:
        raise InputError(f"{first} and {second} have no annotation id in common: ids match people")
    a, b = (np.stack([people[i][0] for i in shared]) for people in (one, other))  # (N, K, 3)
    area = np.array([one[i][1] for i in shared])
    both = (a[..., 2] > 0) & (b[..., 2] > 0) & (area[:, None] > 0)
    counts = both.sum(0)
    if not counts.all():
        name = keypoints.names[int(np.argmin(counts))]
        raise InputError(f"{name!r} is labelled in both {first} and {second} for nobody: label it")
    squares = np.square(a - b)[..., :2].sum(-1) / np.maximum(area, 1e-9)[:, None]
    return keypoints, np.sqrt((squares * both).sum(0) / counts), counts


def _people(path: str | Path, count: int) -> dict[int, tuple[np.ndarray, float]]:
    """Keypoints (K, 3) and area by annotation id."""
    people = {}
    for annotation in read_truth(path, count)["annotations"]:
        if annotation["keypoints"]:
            points = np.array(annotation["keypoints"], dtype=np.float64).reshape(count, 3)
            people[annotation["id"]] = points, annotation["area"]
    return people


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", help="COCO keypoint json")
    parser.add_argument("second", help="the same annotation ids, labelled by someone else")
    options = parser.parse_args()
    keypoints, sigmas, counts = estimate(options.first, options.second)
    for name, sigma, count in zip(keypoints.names, sigmas, counts, strict=True):
        print(f"# {name}: {sigma:.3f} from {count} people")
    print(f"sigmas: [{', '.join(f'{sigma:.3f}' for sigma in sigmas)}]")


if __name__ == "__main__":
    main()
