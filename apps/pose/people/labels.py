"""COCO keypoints of a painted person, with visibility read from who owns each pixel.

v=2: the part painted last at the joint's pixel is one that the joint belongs to. v=1: something
else is there: another limb, another person, an object. v=0, not labelled: outside the image, or a
part of the face on the far side of the head, which annotators leave out.
"""

from __future__ import annotations

import numpy as np

from apps.pose.people.figure import Figure
from apps.pose.people.head import LANDMARKS, SHOWN, Head
from apps.pose.people.shapes import PERSON, owner
from apps.pose.people.skeleton import KEYPOINTS, SIDES

FAR_SIDE = -0.45  # how far a face point may be turned away (cosine) and still be guessed, v=1
# A shoulder or hip is inside the trunk. It counts as seen through the trunk's own surface unless it
# lies on the far side: nearly as deep as half the distance to its other side, as in profile.
BEHIND = -0.85
OWN = {"nose": ("face",), "left_eye": ("face",), "right_eye": ("face",)}
THROUGH: dict[str, tuple[str, ...]] = {}
for _side, _ in SIDES:
    OWN[f"{_side}_ear"] = (f"{_side}_ear",)
    OWN[f"{_side}_shoulder"] = (f"{_side}_upper_arm",)
    OWN[f"{_side}_elbow"] = (f"{_side}_upper_arm", f"{_side}_forearm")
    OWN[f"{_side}_wrist"] = (f"{_side}_forearm", f"{_side}_hand")
    OWN[f"{_side}_hip"] = (f"{_side}_thigh",)
    OWN[f"{_side}_knee"] = (f"{_side}_thigh", f"{_side}_shin")
    OWN[f"{_side}_ankle"] = (f"{_side}_shin", f"{_side}_foot")
    THROUGH[f"{_side}_shoulder"] = ("trunk",)
    THROUGH[f"{_side}_hip"] = ("trunk", "pelvis", "skirt")
    THROUGH[f"{_side}_knee"] = ("skirt",)


def annotate(figure: Figure, person: int, owners: np.ndarray) -> dict:
    """COCO annotation of the person whose parts are painted in owners (H, W)."""
    seen = (owners // PERSON == person + 1).astype(np.uint8)
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    box = [0, 0, 0, 0]
    if len(rows):
        left, top = int(columns[0]), int(rows[0])
        box = [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top]
    keypoints = label_keypoints(figure, person, owners)
    return {
        "category_id": 1,
        "bbox": box,
        "area": int(np.count_nonzero(seen)),
        "iscrowd": 0,
        "num_keypoints": int((keypoints[:, 2] > 0).sum()),
        "keypoints": [number for x, y, v in keypoints.tolist() for number in (x, y, int(v))],
    }


def label_keypoints(figure: Figure, person: int, owners: np.ndarray) -> np.ndarray:
    """(17, 3) x, y in pixels (one decimal) and COCO visibility."""
    head, joints = Head(figure), figure.body.joints
    points = np.array(
        [head.landmark(name) if name in LANDMARKS else joints[name] for name in KEYPOINTS]
    )
    pixels = np.round(figure.view.circles(points, 0.0)[:, :2], 1)
    turned = head.facing(np.array([LANDMARKS[name][0] for name in KEYPOINTS[:5]]))
    depths = dict(zip(KEYPOINTS, figure.view.depth(points), strict=True))
    labels = np.zeros((len(KEYPOINTS), 3))
    for index, (name, (x, y)) in enumerate(zip(KEYPOINTS, pixels, strict=True)):
        column, row = round(float(x)), round(float(y))
        inside = 0 <= row < owners.shape[0] and 0 <= column < owners.shape[1]
        if not inside or (index < 5 and turned[index] < FAR_SIDE):
            continue
        parts = _belongs_to(name, depths, joints, turned[index] if index < 5 else 1.0)
        visible = owners[row, column] in {owner(person, part) for part in parts}
        # Half a pixel beyond the last pixel centre rounds into the image: keep it there.
        labels[index] = max(x, 0.0), max(y, 0.0), 2 if visible else 1
    return labels


def _belongs_to(name: str, depths: dict, joints: dict, turned: float) -> tuple[str, ...]:
    """The parts that show a joint when they are the nearest at its pixel."""
    if turned <= SHOWN.get(name, -1.0):
        return ()
    if name not in THROUGH or _far_side(name, depths, joints):
        return OWN[name]
    return OWN[name] + THROUGH[name]


def _far_side(name: str, depths: dict, joints: dict) -> bool:
    side, joint = name.split("_")
    pair = "hip" if joint == "knee" else joint
    mine, other = f"{side}_{pair}", f"{'right' if side == 'left' else 'left'}_{pair}"
    width = np.linalg.norm(joints[mine] - joints[other])
    return (depths[mine] - depths[other]) / width < BEHIND
