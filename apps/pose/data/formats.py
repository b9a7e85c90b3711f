"""Public keypoint data sets beside COCO: their keypoints as mmpose states them, and their metrics.

All but MPII are COCO jsons, so mmpose's classes for them differ from CocoDataset in the metainfo.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from apps.pose.data import mmpose_compat
from apps.pose.data.keypoints import KeypointSet
from core.errors import InputError

_CLASSES = {
    "crowdpose": "CrowdPoseDataset",
    "ochuman": "OCHumanDataset",
    "aic": "AicDataset",
    "mpii": "MpiiDataset",
}


def keypoint_set(
    format: str, json_path: str | Path, side_file: str | Path = "", others: Sequence[Path] = ()
) -> KeypointSet:
    """The keypoints of a data set: "coco" reads them from the json, others are known.

    ``others`` as in `KeypointSet.read`.

    Names, pairs, upper body and sigmas of the others are those of mmpose's
    configs/_base_/datasets/*.py. The sigmas of CrowdPose are its evaluation code's, those of AIC
    half of the deltas of AI Challenger's; MPII has none here, its metric is PCKh.
    """
    if format == "coco":
        return KeypointSet.read(json_path, side_file, others)
    if side_file:
        raise InputError(
            f"data.keypoints ({side_file}) goes with data.format coco; the keypoints of {format} "
            "are known"
        )
    known = _metainfo(format)
    names = [known["keypoint_id2name"][i] for i in range(known["num_keypoints"])]
    upper = set(known["upper_body_ids"])
    return replace(
        KeypointSet.of(names, known["skeleton_links"]),
        swap=tuple(known["flip_indices"]),
        sigmas=None if format == "mpii" else tuple(round(float(s), 8) for s in known["sigmas"]),
        upper=tuple(i in upper for i in range(len(names))),
    )


def _metainfo(format: str) -> dict:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the file is inside the package
        source = getattr(mmpose_compat, _CLASSES[format]).METAINFO
        return mmpose_compat.parse_pose_metainfo(source)
