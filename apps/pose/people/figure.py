"""A person as a list of painted parts: limbs, trunk, clothes (the head: `head.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from apps.pose.people.canvas import Colour
from apps.pose.people.outfit import Outfit
from apps.pose.people.shapes import Blob, Part
from apps.pose.people.skeleton import SIDES, Body, View


@dataclass
class Figure:
    """Everything that is needed to paint one person."""

    body: Body
    view: View
    outfit: Outfit
    light: np.ndarray  # (2,) unit vector on the image towards the light

    @property
    def height(self) -> float:
        """Of the standing person, in the units of the body."""
        return self.body.build.height

    @property
    def girth(self) -> float:
        """Limb radii below are fractions of this: metres."""
        return self.body.build.girth * self.body.build.height

    @cached_property
    def front(self) -> float:
        """1 where the chest faces the camera, 0 in profile, -1 seen from behind."""
        return float(self.view.rotation[2] @ self.body.chest[:, 2])

    @cached_property
    def side_on(self) -> float:
        """How far the person is turned from the viewer: 0 facing or averted, 1 in profile."""
        return float(np.sqrt(max(0.0, 1.0 - self.front**2)))

    def at(self, across: float, up: float, forward: float) -> np.ndarray:
        """A point of the chest frame: across and forward in heights, up in trunk lengths."""
        point = np.array([across, up * self.body.build.trunk, forward])
        return self.body.chest @ point * self.height

    def parts(self) -> list[Part]:
        """The parts of the body and its clothes, to be painted by depth."""
        parts = [self._chest(), self._neck(), self._pelvis(), *self._skirt(), *self._bag()]
        for side, _ in SIDES:
            parts += [*self._arm(side), *self._leg(side)]
        return parts + (self._seat() if self.body.pose.seated else [])

    def _chest(self) -> Part:
        build, outfit, side = self.body.build, self.outfit, self.side_on
        wide, girth = build.shoulders - 0.004, build.girth
        rows = (
            (wide, 0.96, 0.038 + 0.012 * side),
            (wide * 0.72, 0.6, 0.046 + 0.022 * side),
            (0.048 * girth, 0.1, 0.048 + 0.012 * side),
        )
        points = [self.at(s * across, up, 0) for across, up, _ in rows for s in (1, -1)]
        radii = np.repeat([radius for *_, radius in rows], 2) * self.girth
        blobs = [Blob("trunk", points, radii, outfit.shirt)]
        blobs += self._stripe(wide * 0.72, (0.046 + 0.022 * side) * girth) if outfit.stripe else []
        anchors = [self.body.joints["neck"], self.body.joints["hip_centre"]]
        return Part(anchors, 0.0, blobs + self._jacket())

    def _stripe(self, wide: float, thick: float) -> list[Blob]:
        """A band around the chest, as wide as the chest looks from here."""
        up = self.body.chest[:, 1]
        across = self.view.rotation[0] - up * (self.view.rotation[0] @ up)
        reach = across * (wide * abs(self.front) + thick - 0.01) * self.height
        points = [self.at(0, 0.58, 0) + reach, self.at(0, 0.58, 0) - reach]
        radii = [0.013 * self.height] * 2
        return [Blob("trunk", points, radii, self.outfit.stripe, rims=None, lit=False)]

    def _jacket(self) -> list[Blob]:
        """The strip of another colour down the front: seen from the front only."""
        if self.outfit.jacket is None or self.front < 0.3:
            return []
        ahead = 0.03 * self.body.build.girth
        points = [self.at(0, 0.9, ahead), self.at(0, 0.12, ahead)]
        radii = np.array([0.02, 0.034]) * self.girth * self.front
        return [Blob("trunk", points, radii, self.outfit.jacket, rims=0.3, lit=False)]

    def _neck(self) -> Part:
        """In front of the collar seen from the front, behind it seen from the back."""
        neck, head = self.body.joints["neck"], self.body.joints["head"]
        radii = [0.031 * self.girth, 0.028 * self.girth]
        blob = Blob(
            "neck",
            [neck, 0.45 * neck + 0.55 * head],
            radii,
            self.outfit.skin,
            rims=(0, 1),
            shade=0.12,
            lit=False,
        )
        anchors = [neck, self.body.joints["hip_centre"]]
        return Part(anchors, 0.004 if self.front > 0 else -0.004, [blob])

    def _pelvis(self) -> Part:
        joints = self.body.joints
        points = [joints["left_hip"], joints["right_hip"], self.at(0, 0.3, 0)]
        radii = np.array([0.052, 0.052, 0.045 + 0.012 * self.side_on]) * self.girth
        anchors = [joints["neck"], joints["hip_centre"]]
        return Part(anchors, -0.05, [Blob("pelvis", points, radii, self.outfit.bottom)])

    def _skirt(self) -> list[Part]:
        if self.outfit.cut != "skirt":
            return []
        joints = self.body.joints
        hips = [joints["left_hip"], joints["right_hip"]]
        knees = [joints["left_knee"], joints["right_knee"]]
        hem = [0.35 * hip + 0.65 * knee for hip, knee in zip(hips, knees, strict=True)]
        radii = np.array([0.052, 0.052, 0.062, 0.062]) * self.girth
        nearer = int(np.argmax(self.view.depth(hem)))
        blob = Blob("skirt", hips + hem, radii, self.outfit.bottom)
        return [Part([hips[nearer], hem[nearer]], -0.06, [blob])]

    def _bag(self) -> list[Part]:
        if self.outfit.bag is None:
            return []
        points = [self.at(s * 0.035, up, -0.085) for up in (0.88, 0.4) for s in (1, -1)]
        return [
            Part(points, 0.02, [Blob("bag", points, [0.05 * self.height] * 4, self.outfit.bag)])
        ]

    def _arm(self, side: str) -> list[Part]:
        names = ("shoulder", "elbow", "wrist", "hand")
        shoulder, elbow, wrist, hand = (self.body.joints[f"{side}_{name}"] for name in names)
        shirt, sleeve = self.outfit.shirt, self.outfit.sleeve
        upper = self._segment(f"{side}_upper_arm", shoulder, elbow, (0.034, 0.026), shirt, sleeve)
        fore = self._segment(f"{side}_forearm", elbow, wrist, (0.026, 0.018), shirt, sleeve - 1)
        palm = Blob(
            f"{side}_hand",
            [0.4 * wrist + 0.6 * hand, hand],
            np.array([0.021, 0.019]) * self.height,
            self.outfit.skin,
            (0.4, 1),
        )
        return [
            Part([shoulder, elbow], 0.05, upper),
            Part([elbow, wrist], 0.06, fore),
            Part([wrist, hand], 0.07, [palm]),
        ]

    def _leg(self, side: str) -> list[Part]:
        names = ("hip", "knee", "ankle", "heel", "toe")
        hip, knee, ankle, heel, toe = (self.body.joints[f"{side}_{name}"] for name in names)
        cloth = self.outfit.bottom
        cover = {"trousers": 1.94, "shorts": 0.78, "skirt": 0.3}[self.outfit.cut]
        thigh = self._segment(f"{side}_thigh", hip, knee, (0.05, 0.036), cloth, cover)
        shin = self._segment(f"{side}_shin", knee, ankle, (0.036, 0.022), cloth, cover - 1)
        shoe = Blob(
            f"{side}_foot",
            [ankle, heel, 0.5 * (heel + toe), toe],
            np.array([0.021, 0.023, 0.023, 0.019]) * self.height,
            self.outfit.shoes,
            (0, 1, 1, 1),
        )
        return [
            Part([hip, knee], -0.12, thigh),
            Part([knee, ankle], -0.11, shin),
            Part([heel, toe], -0.1, [shoe]),
        ]

    def _seat(self) -> list[Part]:
        """A stool below the hips, as high as the feet are low."""
        joints, top = self.body.joints, -0.085 * self.height
        floor = min(joints["left_heel"][1], joints["right_heel"][1])
        wide, deep = 0.13 * self.height, 0.1 * self.height
        rim = [np.array([s * wide, top, t * deep]) for s in (1, -1) for t in (1, -1)]
        legs = [
            Blob(
                "seat",
                [point * (0.8, 1, 0.8), np.array([point[0], floor, point[2]])],
                [0.02, 0.016],
                (120, 84, 58),
                lit=False,
            )
            for point in rim
        ]
        plate = Blob("seat", rim, [0.028] * 4, (176, 126, 82))
        return [Part([joints["hip_centre"]], -0.25, [*legs, plate])]

    def _segment(self, part, start, end, radii, cloth: Colour, cover: float) -> list[Blob]:
        """Skin from joint to joint, and cloth down to a share of it."""
        first, last = radii[0] * self.girth, radii[1] * self.girth
        blobs = []
        if cover < 0.99:
            blobs = [Blob(part, [start, end], [first, last], self.outfit.skin, (0, 1))]
        if cover > 0:
            cover = min(cover, 1.0)
            stop, width = start + cover * (end - start), first + cover * (last - first)
            blobs.append(Blob(part, [start, stop], [1.1 * first, 1.1 * width], cloth, (0, 1)))
        return blobs
