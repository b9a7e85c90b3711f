"""Outlines that compositions are put together from: (N, 2) arrays of x, y.

The unit of length is the long side of the picture; y points downwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float] | np.ndarray  # RGB, 0..1
TURN = np.linspace(0, 2 * np.pi, 28, endpoint=False)
CIRCLE = np.stack([np.cos(TURN), np.sin(TURN)], 1)


@dataclass
class Shape:
    """A region of one thing: what is painted later hides what is behind it.

    end: its colour at the lower end of the gradient along `axis`, else one colour all over.
    round: how much it is lit as a ball. angle: of the strokes; swirl: strokes go around its centre.
    depth: 0 is near, 1 far.
    """

    outline: np.ndarray
    colour: Colour
    end: Colour | None = None
    axis: float = np.pi / 2
    round: float = 0.0
    angle: float = 0.0
    swirl: bool = False
    depth: float = 0.3

    def row(self, pixels: float) -> list[float]:
        """What `kernels.shade` knows of it, at a number of pixels per unit of length."""
        low, high = self.outline.min(0) * pixels, self.outline.max(0) * pixels
        radius = np.maximum((high - low) / 2, 0.5)
        end = self.colour if self.end is None else self.end
        axis = np.cos(self.axis), np.sin(self.axis)
        return [
            *(low + high) / 2,
            *radius,
            self.round,
            *axis,
            *self.colour,
            *end,
            self.angle,
            float(self.swirl),
            self.depth,
        ]


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """The four corners (4, 2) of an upright rectangle."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def oval(x: float, y: float, across: float, down: float | None = None, turn: float = 0.0):
    """An ellipse with these half axes, turned by an angle."""
    points = CIRCLE * (across, across if down is None else down)
    c, s = np.cos(turn), np.sin(turn)
    return points @ np.array([(c, s), (-s, c)]) + (x, y)


def blob(rng, x: float, y: float, across: float, down: float, rough: float = 0.15) -> np.ndarray:
    """An ellipse whose radius wavers: a crown, a cloud, a stone."""
    waves = np.arange(2, 7)
    size = rng.normal(size=waves.size) * rough / np.sqrt(waves)
    radius = 1 + np.sin(TURN[:, None] * waves + rng.uniform(0, 6, waves.size)) @ size
    return CIRCLE * radius[:, None] * (across, down) + (x, y)


def ridge(rng, width: float, bottom: float, level: float, height: float, peaks: float = 2.0):
    """Everything below a wavering line around a level: hills, or mountains with more peaks."""
    x = np.linspace(-0.02, width + 0.02, 40)
    waves = peaks * 2.0 ** np.arange(4)
    size = height * 2.0 ** -np.arange(4) * rng.uniform(0.4, 1, 4)
    y = level + np.sin(x[:, None] * waves * 2 + rng.uniform(0, 6, 4)) @ size
    return np.concatenate([np.stack([x, y], 1), [(width + 0.02, bottom), (-0.02, bottom)]])


def profile(x: float, bottom: float, height: float, half_widths) -> np.ndarray:
    """What a lathe makes of half widths, from the bottom to the top: bottles, jugs, shoulders."""
    y = bottom - np.linspace(0, height, len(half_widths))
    widths = np.asarray(half_widths)
    left, right = np.stack([x - widths, y], 1), np.stack([x + widths, y], 1)
    return np.concatenate([left, right[::-1]])


def bent(points, width: float) -> np.ndarray:
    """A band of some width along a line of points (N, 2): a branch, a mouth, an arch."""
    points = np.asarray(points, float)
    along = np.gradient(points, axis=0)
    across = along[:, ::-1] * (-1, 1) / np.maximum(np.linalg.norm(along, axis=1), 1e-6)[:, None]
    return np.concatenate([points + across * width / 2, (points - across * width / 2)[::-1]])
