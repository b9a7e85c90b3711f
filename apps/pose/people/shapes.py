"""From the parts of a person to pixels: blobs around spheres, patches of the head, their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from apps.pose.people.canvas import CIRCLE, OBJECT, Canvas, Colour, corners, darker, lighter
from apps.pose.people.skeleton import View

_PAIRED = ["upper_arm", "forearm", "hand", "thigh", "shin", "foot"]
PARTS = (
    *("hair", "face", "left_ear", "right_ear", "neck", "trunk", "pelvis", "skirt", "bag"),
    *(f"{side}_{part}" for part in _PAIRED for side in ("left", "right")),
)
LIT_FROM = corners(np.array(3.0))  # pixels: limbs thinner than this get no lit side
PERSON = 32  # owners of person p: PERSON * (p + 1) + index of the part


def owner(person: int, part: str) -> int:
    """What `Canvas.owners` holds where this part of a person is painted; a seat is an object."""
    if part == "seat":
        return OBJECT
    return PERSON * (person + 1) + PARTS.index(part)


@dataclass
class Blob:
    """The rounded outline of spheres: a tapered capsule around two, a rounded body around more.

    rims: which spheres (0 to 1) get a dark rim: none at a parent joint, where the rim would draw a
    line through what is one limb.
    """

    part: str  # one of PARTS, or "seat"
    points: Sequence[np.ndarray]  # of (3,), metres, body frame
    radii: Sequence[float]  # metres
    colour: Colour
    rims: float | Sequence[float] | None = 1.0
    lit: bool = True
    shade: float = 0.0

    def rim_of_each(self) -> Sequence[float]:
        """The darker rim of each circle, one for all or as given."""
        same = self.rims is None or isinstance(self.rims, float)
        return [self.rims or 0.0] * len(self.points) if same else self.rims


@dataclass
class Patch:
    """A flat polygon (N, 2) in pixels, with a rim of some width in pixels."""

    part: str
    polygon: np.ndarray
    colour: Colour
    rim: float = 0.0


@dataclass
class Part:
    """Shapes in painting order, at the mean depth of the anchors, a little nearer by `nearer`."""

    anchors: Sequence[np.ndarray]
    nearer: float
    shapes: Sequence[Blob | Patch]


def paint(canvas: Canvas, person: int, parts: list[Part], view: View, light: np.ndarray) -> None:
    """Paint one person's parts from far to near, and claim their pixels."""
    depths = [float(view.rotation[2] @ sum(p.anchors)) / len(p.anchors) + p.nearer for p in parts]
    order = sorted(range(len(parts)), key=depths.__getitem__)
    shapes = [shape for index in order for shape in parts[index].shapes]
    outlines = _outlines([shape for shape in shapes if isinstance(shape, Blob)], view, light)
    for shape in shapes:
        if isinstance(shape, Patch):
            _paint_patch(canvas, person, shape)
        else:
            _paint_blob(canvas, person, shape, *next(outlines))


def _outlines(blobs: list[Blob], view: View, light: np.ndarray):
    """For each blob its depth, and the corners around its spheres: plain, with rim, lit side.

    All spheres of a person in one go: array calls on single limbs would take most of the time.
    """
    counts = [len(blob.points) for blob in blobs]
    points = np.array([point for blob in blobs for point in blob.points])
    circles = view.circles(points, np.array([r for blob in blobs for r in blob.radii]))
    rims = np.array([rim for blob in blobs for rim in blob.rim_of_each()])
    variants = np.stack([circles] * 3)  # (plain, rim, lit; spheres; x, y, radius)
    variants[1, :, 2] += rims * (0.35 + 0.0045 * view.scale)
    variants[2] += circles[:, 2:] * np.append(0.3 * light, -0.42)
    around = corners(variants[:, :, None, :2] + variants[:, :, None, 2:] * CIRCLE)
    depths, start = view.depth(points).tolist(), 0
    for count in counts:
        span = slice(start, start + count)
        yield sum(depths[span]) / count, around[:, span].reshape(3, -1, 2)
        start += count


def _paint_blob(canvas: Canvas, person: int, blob: Blob, depth: float, around: np.ndarray) -> None:
    """Farther limbs are darker, so that near and far can be told apart."""
    colour = darker(blob.colour, blob.shade + min(max(0.03 - 0.55 * depth, 0.0), 0.2))
    plain = edge = cv2.convexHull(around[0])
    if blob.rims is not None:
        edge = cv2.convexHull(around[1])
        canvas.fill_corners(edge, darker(colour, 0.42))
    canvas.fill_corners(plain, colour)
    if blob.lit and np.ptp(around[0], axis=0).min() > LIT_FROM:
        canvas.fill_corners(cv2.convexHull(around[2]), lighter(colour, 0.13))
    canvas.claim_corners(edge, owner(person, blob.part))


def _paint_patch(canvas: Canvas, person: int, patch: Patch) -> None:
    edge = patch.polygon
    if patch.rim:
        centre = edge.mean(axis=0)
        edge = centre + (edge - centre) * (1 + patch.rim / max(np.abs(edge - centre).max(), 1e-6))
        canvas.fill(edge, darker(patch.colour, 0.42))
    canvas.fill(patch.polygon, patch.colour)
    canvas.claim_corners(corners(edge), owner(person, patch.part))
