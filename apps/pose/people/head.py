"""Head, hair and face. The head is an ellipsoid; hair, hat and beard are caps cut from it."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np

from apps.pose.people.canvas import darker, lighter, mix
from apps.pose.people.figure import Figure
from apps.pose.people.shapes import Blob, Part, Patch
from apps.pose.people.skeleton import SIDES

_ANGLES = np.linspace(0, 2 * np.pi, 24, endpoint=False)
_COS, _SIN = np.cos(_ANGLES), np.sin(_ANGLES)
DETAIL = 4.5  # pixels of half a head's width from which cheeks, brows and lips are drawn


def on_head(azimuth: float, elevation: float) -> np.ndarray:
    """Unit vector on the head, degrees: azimuth from straight ahead to the left."""
    a, e = np.radians(azimuth), np.radians(elevation)
    return np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])


# Where the COCO keypoints of the face are, and how far from the centre (1: on the ellipsoid).
LANDMARKS = {
    "nose": (on_head(0, -14), 1.1),
    "left_eye": (on_head(25, 1), 1.0),
    "right_eye": (on_head(-25, 1), 1.0),
    "left_ear": (on_head(96, -8), 1.07),
    "right_ear": (on_head(-96, -8), 1.07),
}

# How far each may be turned away (cosine) and still show: what stands off the head shows longer.
SHOWN = {"nose": -0.12, "left_eye": 0.0, "right_eye": 0.0, "left_ear": -0.3, "right_ear": -0.3}


def ring(direction: np.ndarray, angle: float) -> np.ndarray:
    """(24, 3) unit vectors at an angle (degrees) around a unit vector.

    The basis is that of Duff et al., Building an Orthonormal Basis, Revisited (JCGT 2017).
    """
    x, y, z = direction.tolist()
    sign = 1.0 if z >= 0 else -1.0
    a = -1.0 / (sign + z)
    first = np.array([1.0 + sign * x * x * a, sign * x * y * a, -sign * x])
    second = np.array([x * y * a, sign + y * y * a, -y])
    around = np.outer(_COS, first) + np.outer(_SIN, second)
    return np.cos(np.radians(angle)) * direction + np.sin(np.radians(angle)) * around


class Ellipsoid:
    """The head, or the hair or hat around it, as the camera sees it."""

    def __init__(self, figure: Figure, growth: float = 1.0, shift=(0.0, 0.0, 0.0)):
        self.view = figure.view
        axes = figure.body.head_axes  # (3, 3) columns are the half axes, body frame
        self.axes, self.centre = axes * growth, figure.body.joints["head"] + axes @ shift
        # On the unit sphere: a direction is seen where direction . towards > 0.
        self.towards = self.view.rotation[2] @ self.axes / (self.axes**2).sum(axis=0)
        self.towards = self.towards / np.linalg.norm(self.towards)

    def pixels(self, directions: np.ndarray) -> np.ndarray:
        """(n, 3) directions from the centre -> (n, 2) pixels of the surface there."""
        return self.view.circles(self.centre + directions @ self.axes.T, 0.0)[:, :2]

    @cached_property
    def limb(self) -> np.ndarray:
        """(90, 3) directions to the edge of what is seen."""
        return ring(self.towards, 90)

    def outline(self) -> np.ndarray:
        """(90, 2) pixels of that edge."""
        return self.pixels(self.limb)

    def cap(self, direction: np.ndarray, angle: float) -> np.ndarray | None:
        """What is seen (N, 2) of the surface within `angle` degrees of `direction`."""
        rim, limb = ring(direction, angle), self.limb
        seen = np.concatenate(
            [rim[rim @ self.towards > 0], limb[limb @ direction >= np.cos(np.radians(angle))]]
        )
        if len(seen) < 3:
            return None
        return cv2.convexHull(self.pixels(seen).astype(np.float32))[:, 0]


class Head(Ellipsoid):
    """The shapes of a figure's head."""

    def __init__(self, figure: Figure):
        super().__init__(figure)
        self.figure, self.outfit = figure, figure.outfit
        self.size = 0.049 * figure.body.build.head * figure.height  # half the width, metres
        self.bald = self.outfit.hair_style == "bald"
        self.rim = 0.3 + 0.004 * self.view.scale

    def landmark(self, name: str) -> np.ndarray:
        """Where a landmark of LANDMARKS lies in space, (3,)."""
        direction, radius = LANDMARKS[name]
        return self.centre + self.axes @ direction * radius

    def facing(self, directions: np.ndarray) -> np.ndarray:
        """(..., 3) -> 1 where the surface faces the camera, 0 at its outline, -1 behind."""
        normals = directions / np.sqrt((self.axes**2).sum(axis=0))
        row = self.view.rotation[2] @ self.figure.body.head
        return normals @ row / np.linalg.norm(normals, axis=-1)

    def parts(self) -> list[Part]:
        """The parts of the head, to be painted by depth."""
        ears = [(self.facing(LANDMARKS[f"{s}_ear"][0]), self._ear(s)) for s, _ in SIDES]
        covered = self.outfit.hair_style == "bob"
        shapes = [ear for facing, ear in ears if facing <= SHOWN["left_ear"] or covered]
        shapes += self._skull()
        shapes += [ear for facing, ear in ears if facing > SHOWN["left_ear"] and not covered]
        shapes += self._face() + self._hat()
        return [Part([self.centre], 0.02, shapes), *self._tresses()]

    def _skull(self) -> list[Patch]:
        """A disc of skin, hair over its top and back, and the face cut out of the hair."""
        skin, hair = self.outfit.skin, self.outfit.hair
        shapes = [Patch("face", self.outline(), skin, self.rim)]
        if self.bald:
            return shapes
        locks = Ellipsoid(self.figure, 1.09, (0, 0.1, -0.1))
        shapes.append(Patch("hair", locks.outline(), hair, self.rim))
        crown = locks.cap(on_head(-40 * np.sign(self.figure.light[0]), 60), 34)
        shapes += [] if crown is None else [Patch("hair", crown, lighter(hair, 0.12))]
        face = self.cap(on_head(0, -34), 80)
        return shapes + ([] if face is None else [Patch("face", face, skin)])

    def _ear(self, side: str) -> Blob:
        size, point = 0.25 * self.size, self.landmark(f"{side}_ear")
        up = self.figure.body.head[:, 1] * 0.5 * size
        colour = mix(self.outfit.skin, (200, 90, 80), 0.18)
        radii = [size, 0.8 * size]
        return Blob(f"{side}_ear", [point + up, point - up], radii, colour, rims=0.5, lit=False)

    def _face(self) -> list[Patch | Blob]:
        skin, hair, detailed = self.outfit.skin, self.outfit.hair, self._half_width() > DETAIL
        shapes, spots = [], []
        if self.outfit.beard and (cap := self.cap(on_head(0, -62), 46)) is not None:
            shapes.append(Patch("face", cap, hair))
        if detailed:
            spots = [(a, -22, 0.2, 0.15, mix(skin, (235, 90, 80), 0.22)) for a in (-42, 42)]
            spots += [(a, 21, 0.2, 0.045, darker(hair, 0.2)) for a in (-25, 25)]
        for azimuth in (-25, 25):
            if self.outfit.glasses:
                spots.append((azimuth, 1, 0.32, 0.3, (52, 50, 60)))
                spots.append((azimuth, 1, 0.25, 0.23, (226, 238, 244)))
            spots.append((azimuth, 1, 0.13, 0.17, (34, 28, 36)))
            spots += [(azimuth + 3, 5, 0.045, 0.055, (250, 250, 250))] if detailed else []
        return shapes + self._spots(spots) + (self._mouth() if detailed else []) + self._nose()

    def _half_width(self) -> float:
        return self.size * self.view.scale

    def _spots(self, spots: list[tuple]) -> list[Patch]:
        """Ovals on the face (azimuth, elevation, half width, half height in half heads, colour),
        lying in the surface, so that they narrow as the head turns."""
        directions = np.array([on_head(a, e) for a, e, *_ in spots])
        facing = self.facing(directions)
        shapes = []
        for direction, towards, (*_, wide, high, colour) in zip(
            directions, facing, spots, strict=True
        ):
            if towards > 0.12:
                east = np.array([direction[2], 0.0, -direction[0]]) * wide
                north = np.array([0.0, high, 0.0])
                oval = direction + np.outer(_COS[::2], east) + np.outer(_SIN[::2], north)
                shapes.append(Patch("face", self.pixels(oval), colour))
        return shapes

    def _mouth(self) -> list[Patch]:
        """A smile: lips between two arcs that meet in the corners."""
        if self.facing(on_head(0, -42)) < 0.15:
            return []
        across = np.linspace(-1, 1, 7)
        upper = [on_head(19 * a, -41 + 5 * a * a) for a in across]
        lower = [on_head(19 * a, -50 + 14 * a * a) for a in across[::-1]]
        lips = (196, 104, 100) if self.outfit.beard else (158, 56, 60)
        return [Patch("face", self.pixels(np.array(upper + lower)), lips)]

    def _nose(self) -> list[Blob]:
        if self.facing(LANDMARKS["nose"][0]) <= SHOWN["nose"]:
            return []
        bridge = self.centre + self.axes @ on_head(0, -2)
        colour = mix(self.outfit.skin, (190, 80, 60), 0.25)
        radii = [0.07 * self.size, 0.17 * self.size]
        return [Blob("face", [bridge, self.landmark("nose")], radii, colour, None, lit=False)]

    def _hat(self) -> list[Patch]:
        if self.outfit.hat is None:
            return []
        cover = Ellipsoid(self.figure, 1.13, (0, 0.1, -0.06))
        bands = ((74, darker(self.outfit.hat, 0.25)), (60, self.outfit.hat))
        caps = [(cover.cap(on_head(180, 72), angle), colour) for angle, colour in bands]
        return [Patch("hair", cap, colour, 0.4) for cap, colour in caps if cap is not None]

    def _tresses(self) -> list[Part]:
        """Hair that hangs or stands off the head, at its own depth: seen from the front it is
        behind the neck."""
        style, size, chest = self.outfit.hair_style, self.size, self.figure.body.chest
        if style == "bob":
            spots = [self._near(s * 0.5, y, -0.3) for s in (1, -1) for y in (0, -0.8)]
            radii = [0.7 * size, 0.5 * size] * 2
        elif style == "long":
            back = self._near(0, -0.1, -0.45)
            tips = [back + chest @ np.array([s * 0.35, -2.7, -0.4]) * size for s in (1, -1)]
            spots, radii = [back, *tips], [1.02 * size, 0.7 * size, 0.7 * size]
        elif style == "tail":
            knot = self._near(0, 0.25, -1.1)
            spots = [knot, knot + chest @ np.array([0, -1.6, -0.8]) * size]
            radii = [0.42 * size, 0.3 * size]
        elif style == "bun":
            spots, radii = [self._near(0, 0.95, -0.65)], [0.5 * size]
        else:
            return []
        return [Part(spots, -0.01, [Blob("hair", spots, radii, self.outfit.hair, lit=False)])]

    def _near(self, left: float, up: float, forward: float) -> np.ndarray:
        """A point at so many half axes of the head from its centre."""
        return self.centre + self.axes @ np.array([left, up, forward])
