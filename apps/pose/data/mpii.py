"""MPII Human Pose: its json, through mmpose's data set, and its heads.

N people, the 16 keypoints of `mmpose.datasets.datasets.body.MpiiDataset`; pixels count from 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from apps.pose.data.coco_people import OpenedPeople, shared_metainfo
from apps.pose.data.joining import Shared
from apps.pose.data.keypoints import read_json
from apps.pose.data.mmpose_compat import BaseDataset, MpiiDataset
from core.errors import InputError

COUNT = 16
HEAD_SHARE = 0.6  # of the head box's diagonal (evalMPII's SC_BIAS)
_FIELDS = ("image", "center", "scale", "joints", "joints_vis")


def open_mpii(
    json_path: str | Path, images: str | Path, shared: Shared, boxes: str | Path | None
) -> OpenedPeople:
    """The people of mpii_train.json or mpii_val.json, each with the crop of its center and scale.

    A person's id is its number in the json, the image id the number in the image's name; keypoints
    are the network's, as in `open_coco`. Raises InputError for everything that cannot be used.
    """
    if boxes:
        raise InputError(f"MPII is evaluated at its own center and scale, not at boxes ({boxes})")
    records = read_mpii(json_path)
    if not any((Path(images) / record["image"]).is_file() for record in records[:20]):
        raise InputError(f"{images} has none of the first images of {json_path}: check the folder")
    people = MpiiPeople(
        shared,
        ann_file=str(json_path),
        data_prefix={"img": str(images)},
        data_mode="topdown",
    )
    names = {record["image"] for record in records}
    counts = {"images": len(names), "annotations": len(records), "people": len(people)}
    return OpenedPeople(people, counts)


class MpiiPeople(MpiiDataset):
    """mmpose's MPII data set with keypoints that count from 0, as its centers do.

    mmpose 1.3.2 takes 1 from the center and not from the joints, so that what a network learns is
    one pixel off to the right and down, and `MpiiPCKAccuracy` adds another. HRNet's code and mmpose
    before 1.0 take 1 from both.
    """

    def __init__(self, shared: Shared, **options):
        self.shared = shared
        super().__init__(metainfo=shared.network.metainfo(), **options)
        self._same_for_all = shared_metainfo(self)

    def load_data_list(self) -> list[dict]:
        """As mmpose's, with joints counted from 0 and as the network has them."""
        people = super().load_data_list()
        for person in people:
            points, visible = person["keypoints"][0] - 1, person["keypoints_visible"][0]
            person["keypoints"] = self.shared.spread(points)[None]  # (1, K, 2)
            person["keypoints_visible"] = self.shared.spread(np.float32(visible))[None]
            # The box says the same; GetBBoxCenterScale warns where it finds these.
            del person["bbox_center"], person["bbox_scale"]
        return people

    def get_data_info(self, idx: int) -> dict:
        """A record of a person, with what all of them share."""
        return {**BaseDataset.get_data_info(self, idx), **self._same_for_all}


def read_mpii(path: str | Path) -> list[dict]:
    """The records of MPII's json (HRNet's, which mmpose hands out as mpii_annotations), checked."""
    records = read_json(path)
    if not isinstance(records, list) or not records:
        raise InputError(f"{path} holds no list of people: give mpii_train.json or mpii_val.json")
    for number, record in enumerate(records):
        where = f"{path}: person number {number}"
        missing = [f for f in _FIELDS if not isinstance(record, dict) or f not in record]
        if missing:
            raise InputError(f"{where} has no {', '.join(missing)}: is it MPII's json?")
        if not Path(record["image"]).stem.isdigit():
            raise InputError(f"{where}: the image {record['image']!r} is no number as MPII's are")
        _check_numbers(record, where)
    return records


def _check_numbers(record: dict, where: str) -> None:
    for name, shape in (("center", (2,)), ("joints", (COUNT, 2)), ("joints_vis", (COUNT,))):
        try:
            good = np.isfinite(np.array(record[name], dtype=np.float64).reshape(shape)).all()
        except (ValueError, TypeError):
            good = False
        if not good:
            raise InputError(f"{where}: {name} is not {shape} numbers: {record[name]}")
    if not np.isin(record["joints_vis"], (0, 1)).all():
        raise InputError(f"{where}: joints_vis must be 0 or 1, got {record['joints_vis']}")
    if not isinstance(record["scale"], int | float) or not record["scale"] > 0:
        raise InputError(f"{where}: scale {record['scale']!r} must be above 0")


def mpii_truth(json_path: str | Path, head_boxes: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (N, 16, 3) as x, y, v, and head sizes (N,), in pixels.

    ``head_boxes`` is mpii_gt_val.mat, which lists the people of mpii_val.json in the same order.
    """
    records = read_mpii(json_path)
    joints = np.array([r["joints"] for r in records], dtype=np.float64) - 1
    visible = np.array([r["joints_vis"] for r in records], dtype=np.float64)
    heads = head_sizes(head_boxes)
    if len(heads) != len(records):
        raise InputError(
            f"{head_boxes} has {len(heads)} head boxes, {json_path} {len(records)} people: "
            "give the file of this split (data.head_boxes)"
        )
    return np.concatenate([joints, visible[..., None]], -1), heads


def head_sizes(path: str | Path) -> np.ndarray:
    """(N,) 0.6 x the diagonal of each head box (`headboxes_src`: 2 corners, x and y, N people)."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        corners = loadmat(path)["headboxes_src"]
    except (OSError, ValueError, KeyError, MatReadError) as error:
        raise InputError(
            f"{path} is no mpii_gt_val.mat with headboxes_src ({error}): set data.head_boxes"
        ) from None
    return HEAD_SHARE * np.linalg.norm(np.float64(corners[1]) - np.float64(corners[0]), axis=0)
