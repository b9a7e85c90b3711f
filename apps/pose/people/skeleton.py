"""A jointed body in three dimensions: lengths, joint angles, forward kinematics, projection.

Body frame: x to the person's left, y up, z the way the person faces; metres. Camera frame: x to the
image's right, y up, z towards the camera; a person with yaw 0 faces the camera, so that the left
hand is at the right of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from apps.pose.data.keypoints import COCO_NAMES

# COCO's own, in its own order: numbers of keypoints, from 1
_LEGS = ((16, 14), (14, 12), (17, 15), (15, 13), (12, 13))
_TRUNK = ((6, 12), (7, 13), (6, 7))
_ARMS = ((6, 8), (7, 9), (8, 10), (9, 11))
_HEAD = ((2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7))
BONES = (*_LEGS, *_TRUNK, *_ARMS, *_HEAD)
SIDES = (("left", 1.0), ("right", -1.0))
KEYPOINTS = COCO_NAMES


@dataclass(frozen=True)
class Build:
    """What does not change when a person moves. Lengths are fractions of the standing height."""

    height: float  # metres
    girth: float  # 1: average
    head: float  # 1: as real heads; illustrations draw them a little larger
    shoulders: float  # half the distance between the shoulder joints
    hips: float  # half the distance between the hip joints
    arm: tuple[float, float]  # upper arm, forearm
    leg: tuple[float, float]  # thigh, shin
    trunk: float  # hip line to shoulder line

    @staticmethod
    def sample(rng: np.random.Generator) -> Build:
        """Draw a build: an adult's or a child's."""
        child = rng.random() < 0.18
        height = rng.uniform(1.05, 1.4) if child else rng.normal(1.72, 0.08)
        arm, leg = rng.uniform(0.94, 1.06, 2) * ((0.94, 0.92) if child else (1.0, 1.0))
        return Build(
            height=float(height),
            girth=float(rng.uniform(0.88, 1.3)),
            head=float(rng.uniform(1.5, 1.65) if child else rng.uniform(1.28, 1.44)),
            shoulders=float(rng.uniform(0.098, 0.118)),
            hips=float(rng.uniform(0.05, 0.062)),
            arm=(0.17 * arm, 0.148 * arm),
            leg=(0.237 * leg, 0.235 * leg),
            trunk=float(rng.uniform(0.275, 0.3)),
        )


@dataclass(frozen=True)
class Pose:
    """Joint angles in degrees. Rows are left and right; outward and forward are positive.

    arms: abduction, flexion, twist (positive turns the bent forearm outward), elbow bend.
    legs: abduction, flexion, twist (positive turns the toes outward), knee bend.
    """

    name: str
    arms: np.ndarray  # (2, 4)
    legs: np.ndarray  # (2, 4)
    spine: np.ndarray  # (3,) forward bend, sideways bend, twist, of the chest against the hips
    head: np.ndarray  # (3,) nod, tilt, turn, against the chest
    lift: float = 0.0  # metres above the ground
    seated: bool = False

    def mirrored(self) -> Pose:
        """The pose in a mirror: left is right."""
        flip = np.array([1.0, -1.0, -1.0])
        return Pose(
            self.name,
            self.arms[::-1],
            self.legs[::-1],
            self.spine * flip,
            self.head * flip,
            self.lift,
            self.seated,
        )


def turn(axis: int, degrees: float) -> np.ndarray:
    """Right-handed rotation about x (0), y (1) or z (2): (3, 3)."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    rotation = np.eye(3)
    rotation[i, i], rotation[i, j], rotation[j, i], rotation[j, j] = cos, -sin, sin, cos
    return rotation


def limb(angles: np.ndarray, side: float, bend: float) -> tuple[np.ndarray, np.ndarray]:
    """Rotations of the two segments of an arm (bend -1) or a leg (bend +1), which hang down."""
    outward, forward, twist, fold = angles
    upper = turn(2, side * outward) @ turn(0, -forward) @ turn(1, side * twist)
    return upper, upper @ turn(0, bend * fold)


@dataclass
class Body:
    """Joints and frames of a posed person, hip centre at the origin, in the body frame."""

    build: Build
    pose: Pose

    @cached_property
    def chest(self) -> np.ndarray:
        """Rotation of the chest, (3, 3)."""
        bend, tilt, twist = self.pose.spine
        return turn(1, twist) @ turn(0, bend) @ turn(2, tilt)

    @cached_property
    def head(self) -> np.ndarray:
        """Rotation of the head, (3, 3)."""
        nod, tilt, yaw = self.pose.head
        return self.chest @ turn(1, yaw) @ turn(0, nod) @ turn(2, tilt)

    @cached_property
    def head_axes(self) -> np.ndarray:
        """(3, 3) columns: the half axes of the head's ellipsoid (to the left, up, forward)."""
        half = self.build.head * self.build.height
        return self.head @ np.diag([0.049 * half, 0.062 * half, 0.055 * half])

    @cached_property
    def joints(self) -> dict[str, np.ndarray]:
        """Where the joints are in space, (3,) by name."""
        joints = self._trunk()
        for row, (side, sign) in enumerate(SIDES):
            joints |= self._arm(joints, row, side, sign) | self._leg(joints, row, side, sign)
        return joints

    def _trunk(self) -> dict[str, np.ndarray]:
        build, chest = self.build, self.chest * self.build.height
        head = 0.062 * build.head + 0.02
        neck = chest @ [0, build.trunk, 0]
        middle = neck + chest @ [0, 0.028, 0.006] + self.head @ [0, head * build.height, 0]
        joints = {"hip_centre": np.zeros(3), "neck": neck, "head": middle}
        for side, sign in SIDES:
            joints[f"{side}_shoulder"] = chest @ [sign * build.shoulders, build.trunk, 0]
            joints[f"{side}_hip"] = np.array([sign * build.hips * build.height, 0, 0])
        return joints

    def _arm(self, joints: dict, row: int, side: str, sign: float) -> dict[str, np.ndarray]:
        upper, fore = limb(self.pose.arms[row], sign, -1.0)
        down = np.array([0, -self.build.height, 0])
        elbow = joints[f"{side}_shoulder"] + self.chest @ upper @ down * self.build.arm[0]
        wrist = elbow + self.chest @ fore @ down * self.build.arm[1]
        hand = wrist + self.chest @ fore @ down * 0.042
        return {f"{side}_elbow": elbow, f"{side}_wrist": wrist, f"{side}_hand": hand}

    def _leg(self, joints: dict, row: int, side: str, sign: float) -> dict[str, np.ndarray]:
        upper, shin = limb(self.pose.legs[row], sign, 1.0)
        height = self.build.height
        knee = joints[f"{side}_hip"] + upper @ [0, -self.build.leg[0] * height, 0]
        ankle = knee + shin @ [0, -self.build.leg[1] * height, 0]
        heel = ankle + shin @ [0, -0.022 * height, -0.016 * height]
        toe = ankle + shin @ [0, -0.03 * height, 0.085 * height]
        return {
            f"{side}_knee": knee,
            f"{side}_ankle": ankle,
            f"{side}_heel": heel,
            f"{side}_toe": toe,
        }


@dataclass
class View:
    """A weak-perspective camera on one person: nearer limbs are drawn a little larger."""

    rotation: np.ndarray  # (3, 3) body frame to camera frame
    scale: float  # pixels per metre at the hips
    distance: float  # camera to hips, metres
    origin: np.ndarray  # (2,) pixel of the hip centre

    def depth(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) -> (...,) metres towards the camera from the hip centre."""
        return np.asarray(points) @ self.rotation[2]

    def circles(self, points: np.ndarray, radii: np.ndarray | float) -> np.ndarray:
        """Spheres (N, 3) of the given radii in metres -> (N, 3) pixel x, pixel y, pixel radius."""
        camera = np.asarray(points) @ self.rotation.T
        scale = self.scale / (1.0 - camera[:, 2] / self.distance)
        out = np.empty_like(camera)
        out[:, 0] = self.origin[0] + camera[:, 0] * scale
        out[:, 1] = self.origin[1] - camera[:, 1] * scale
        out[:, 2] = radii * scale
        return out
