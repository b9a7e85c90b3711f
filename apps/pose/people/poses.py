"""What people do: joint angles drawn from plausible ranges, one function for each activity."""

from __future__ import annotations

import numpy as np

from apps.pose.people.skeleton import Pose

Rng = np.random.Generator
RELAXED = (9, 2, -10, 14)  # a hanging arm
STRAIGHT = (4, 0, 8, 3)  # a standing leg


def _pose(name: str, arms, legs, spine=(2, 0, 0), head=(0, 0, 0), **more) -> Pose:
    rows = [np.array(rows, float) for rows in (arms, legs, spine, head)]
    return Pose(name, *rows, **more)


def stand(rng: Rng) -> Pose:
    """Upright, arms down."""
    return _pose("stand", (RELAXED, RELAXED), (STRAIGHT, STRAIGHT))


def hands_on_hips(rng: Rng) -> Pose:
    """Both hands on the hips."""
    arm = (46, -14, -62, 96)
    return _pose("hands_on_hips", (arm, arm), ((9, 0, 14, 2), (9, 0, 14, 2)))


def one_hand_on_hip(rng: Rng) -> Pose:
    """One hand on the hip, one arm down."""
    return _pose("one_hand_on_hip", ((46, -14, -62, 96), RELAXED), (STRAIGHT, (12, 4, 20, 8)))


def arms_crossed(rng: Rng) -> Pose:
    """Arms crossed before the chest."""
    return _pose("arms_crossed", ((8, 24, -66, 100), (8, 18, -70, 94)), (STRAIGHT, (8, 0, 12, 3)))


def wave(rng: Rng) -> Pose:
    """One arm raised, waving."""
    arm = (rng.uniform(70, 115), 5, 80, rng.uniform(40, 105))
    return _pose("wave", (arm, RELAXED), (STRAIGHT, STRAIGHT), head=(0, 6, 0))


def cheer(rng: Rng) -> Pose:
    """Both arms up."""
    arm = (rng.uniform(125, 160), 8, 60, rng.uniform(5, 50))
    return _pose("cheer", (arm, arm), (STRAIGHT, (9, 0, 12, 3)), head=(-8, 0, 0))


def point(rng: Rng) -> Pose:
    """One arm stretched out."""
    arm = (rng.uniform(60, 95), rng.uniform(-10, 30), 0, 6)
    return _pose("point", (arm, RELAXED), (STRAIGHT, (8, 0, 12, 4)), head=(0, 0, 22))


def open_arms(rng: Rng) -> Pose:
    """Both arms to the sides."""
    arm = (rng.uniform(55, 95), 8, 30, rng.uniform(5, 35))
    return _pose("open_arms", (arm, arm), ((9, 0, 10, 3), (9, 0, 10, 3)))


def phone(rng: Rng) -> Pose:
    """A hand at the ear."""
    return _pose("phone", ((8, 24, -24, 102), RELAXED), (STRAIGHT, STRAIGHT), (5, 0, 0), (16, 0, 4))


def think(rng: Rng) -> Pose:
    """A hand at the chin."""
    return _pose("think", ((14, 38, -34, 134), (10, 16, -72, 88)), (STRAIGHT, STRAIGHT), (3, 0, 0))


def walk(rng: Rng) -> Pose:
    """A stride, arms swinging."""
    stride = rng.uniform(15, 30)
    arms = ((8, -0.9 * stride, 0, 12), (8, 0.9 * stride, -8, 30))
    legs = ((2, stride, 5, 8), (2, -0.8 * stride, 5, rng.uniform(12, 45)))
    return _pose("walk", arms, legs, (4, 0, rng.uniform(0, 8)))


def run(rng: Rng) -> Pose:
    """A long stride, elbows bent."""
    stride = rng.uniform(38, 60)
    arms = ((14, -0.9 * stride, -10, 82), (12, 0.7 * stride, -24, 88))
    legs = ((2, stride, 2, rng.uniform(40, 75)), (2, -0.45 * stride, 2, rng.uniform(35, 90)))
    return _pose("run", arms, legs, (14, 0, 10), (-8, 0, 0), lift=rng.uniform(0, 0.06))


def sit(rng: Rng) -> Pose:
    """On a seat."""
    arm = (8, 24, -16, rng.uniform(25, 55))
    knee = rng.uniform(78, 94)
    leg = (8, rng.uniform(74, 86), 4, knee)
    return _pose("sit", (arm, arm), (leg, leg), (rng.uniform(0, 12), 0, 0), seated=True)


def crouch(rng: Rng) -> Pose:
    """Knees bent deeply."""
    arm = (12, rng.uniform(25, 55), -14, rng.uniform(30, 70))
    flex = rng.uniform(70, 105)
    leg = (16, flex, 10, flex + rng.uniform(12, 28))
    return _pose("crouch", (arm, arm), (leg, leg), (rng.uniform(18, 34), 0, 0), (-14, 0, 0))


def kick(rng: Rng) -> Pose:
    """One leg swung forward."""
    arms = ((34, -28, 0, 25), (48, 26, 10, 30))
    legs = ((4, rng.uniform(42, 75), 4, rng.uniform(5, 35)), (4, -6, 8, 12))
    return _pose("kick", arms, legs, (-6, 0, -8))


def jump(rng: Rng) -> Pose:
    """Off the ground, arms up."""
    arm = (rng.uniform(95, 155), 10, 50, rng.uniform(10, 50))
    legs = ((14, rng.uniform(0, 40), 8, rng.uniform(30, 80)), (18, -8, 8, rng.uniform(30, 80)))
    return _pose("jump", (arm, arm), legs, lift=rng.uniform(0.1, 0.3))


def tree(rng: Rng) -> Pose:
    """Yoga's tree: on one leg, hands above the head."""
    arm = (150, 10, 40, 38)
    return _pose("tree", (arm, arm), ((48, 30, 56, 112), (0, 0, 6, 1)))


def dance(rng: Rng) -> Pose:
    """One arm up, one hand on the hip, hips to the side."""
    arms = ((rng.uniform(80, 135), 8, 70, rng.uniform(20, 90)), (46, -14, -62, 92))
    legs = ((22, 14, 18, rng.uniform(8, 45)), (5, 0, 10, 6))
    return _pose("dance", arms, legs, (0, rng.uniform(-9, 9), 6), (0, -6, 0))


def bow(rng: Rng) -> Pose:
    """Bent forward."""
    arm = (8, rng.uniform(30, 60), -6, 12)
    return _pose("bow", (arm, arm), (STRAIGHT, STRAIGHT), (rng.uniform(25, 45), 0, 0), (-12, 0, 0))


POSES = {
    stand: 13,
    walk: 15,
    run: 8,
    wave: 9,
    hands_on_hips: 5,
    one_hand_on_hip: 5,
    arms_crossed: 4,
    cheer: 6,
    point: 6,
    open_arms: 5,
    phone: 4,
    think: 3,
    sit: 7,
    crouch: 4,
    kick: 4,
    jump: 5,
    tree: 2,
    dance: 6,
    bow: 1,
}


def sample_pose(rng: Rng) -> Pose:
    """An activity, mirrored half of the time, every angle a few degrees off."""
    weights = np.array(list(POSES.values()), float)
    pose = list(POSES)[rng.choice(len(weights), p=weights / weights.sum())](rng)
    pose = pose.mirrored() if rng.random() < 0.5 else pose
    arms = pose.arms + rng.normal(0, (5, 6, 6, 7), (2, 4))
    legs = pose.legs + rng.normal(0, (2, 3, 5, 3), (2, 4))
    arms[:, 3], legs[:, 3] = arms[:, 3].clip(0, 140), legs[:, 3].clip(0, 140)
    spine = pose.spine + rng.normal(0, (2.5, 3, 4))
    head = pose.head + rng.normal(0, (5, 5, 13))
    return Pose(pose.name, arms, legs, spine, head, pose.lift, pose.seated)


def sample_yaw(rng: Rng) -> float:
    """Degrees from facing the camera: 44 % frontal, 32 % three-quarter, 12 % profile, 12 % back."""
    low, high = [(0, 25), (25, 62), (66, 108), (130, 180)][
        rng.choice(4, p=(0.44, 0.32, 0.12, 0.12))
    ]
    return float(rng.uniform(low, high) * rng.choice((-1, 1)))
