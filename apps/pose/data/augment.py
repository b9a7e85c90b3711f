"""What is drawn anew for each training person: mmpose's transforms of the box, and ours.

Everything random is drawn from NumPy's global generator, which the loader seeds for each sample;
what is off draws nothing, so that a setting changes no other's draws where it follows them.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.special import ndtr, ndtri

from apps.pose.config import AugmentConfig
from apps.pose.data.keypoints import KeypointSet
from apps.pose.data.mmpose_compat import RandomBBoxTransform, RandomFlip, RandomHalfBody
from core.errors import InputError
from core.ranges import check_ranges

LUMA = np.float64([0.299, 0.587, 0.114])  # ITU-R 601-2
PATCH = (0.2, 0.5)  # side of what hides a part of the person, a share of the crop's


def before_cropping(keypoints: KeypointSet, augment: AugmentConfig) -> list:
    """Transforms of a person's box, its angle and its sides. Raises InputError for bad settings."""
    check_augment(augment)
    halves = any(keypoints.upper) and not all(keypoints.upper)
    boxes = _RandomBBoxTransform(
        shift_factor=augment.shift, scale_factor=augment.scale, rotate_factor=augment.rotation
    )
    flip = [RandomFlip(prob=float(augment.flip))] if keypoints.can_mirror else []
    half_body = [RandomHalfBody(prob=augment.half_body)] if halves else []
    turn = [Turn(augment.turn)] if augment.turn else []
    return [*flip, *half_body, _at_least_a_pixel, boxes, *turn]


def after_cropping(augment: AugmentConfig) -> list:
    """Transforms of the crop's pixels: (H, W, 3) uint8 RGB at ``img``."""
    hide = [Hide(augment.occlusion)] if augment.occlusion else []
    return [*([Colours(augment.colour)] if augment.colour else []), *hide]


def check_augment(augment: AugmentConfig) -> None:
    """Raise InputError for an augmentation that is out of range."""
    check_ranges(augment, "augment.")
    if augment.scale[0] > augment.scale[1]:
        raise InputError(f"augment.scale is {augment.scale}: two factors, the smaller one first")


class _RandomBBoxTransform(RandomBBoxTransform):
    """mmpose's transform with the same distribution drawn 50 times faster than by scipy.stats."""

    @staticmethod
    def _truncnorm(low: float = -1.0, high: float = 1.0, size: tuple = ()) -> np.ndarray:
        uniform = np.random.uniform(ndtr(low), ndtr(high), size)  # noqa: NPY002 - the caller seeds it
        return ndtri(uniform).astype(np.float32)


def _at_least_a_pixel(person: dict) -> dict:
    """RandomHalfBody makes a box without area where all points of a half coincide."""
    person["bbox_scale"] = np.maximum(person["bbox_scale"], 1.0)
    return person


class Turn:
    """A share of the people at any angle, all as likely, in place of the one that was drawn.

    Acrobats stand on their hands, and hardly anybody else in a data set does.
    """

    def __init__(self, share: float):
        self.share = share

    def __call__(self, person: dict) -> dict:
        chance, angle = np.random.random(2)  # noqa: NPY002 - the caller seeds it
        if chance < self.share:
            person["bbox_rotation"] = np.float32([360 * angle - 180])
        return person


class Colours:
    """Brightness, contrast and saturation, each times a factor of 1 - strength to 1 + strength.

    In this order, one affine map of RGB without rounding in between.
    """

    def __init__(self, strength: float):
        self.strength = strength

    def __call__(self, person: dict) -> dict:
        draws = np.random.uniform(-1, 1, 3)  # noqa: NPY002 - the caller seeds it
        person["img"] = recolour(person["img"], *(1 + self.strength * draws))
        return person


def recolour(
    image: np.ndarray, brightness: float, contrast: float, saturation: float
) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> the same; contrast is about the mean grey."""
    mean = brightness * float(image.reshape(-1, 3).mean(0) @ LUMA)
    mixing = saturation * np.eye(3) + (1 - saturation) * LUMA[None]  # rows sum to 1
    affine = np.c_[brightness * contrast * mixing, np.full(3, (1 - contrast) * mean)]
    return cv2.transform(image, affine)  # rounds, and cuts at 0 and 255


class Hide:
    """With this probability a rectangle of one random colour, somewhere in the crop.

    Keypoints behind it stay labelled: they are to be told from the rest of the person. One hole of
    20 to 50 % of each side; mmpose's RTMPose configs have CoarseDropout of 20 to 40 %.
    """

    def __init__(self, probability: float):
        self.probability = probability

    def __call__(self, person: dict) -> dict:
        chance, *draws = np.random.random(8)  # noqa: NPY002 - the caller seeds it
        if chance < self.probability:
            image = person["img"].copy()
            size, middle, colour = np.split(np.float64(draws), [2, 4])
            sides = np.float64(image.shape[:2])
            half = (PATCH[0] + (PATCH[1] - PATCH[0]) * size) * sides / 2
            top, left = np.maximum(middle * sides - half, 0).astype(int)
            bottom, right = np.ceil(middle * sides + half).astype(int)
            image[top:bottom, left:right] = np.uint8(256 * colour)
            person["img"] = image
        return person
