"""Colours: what a view from above says of the view from the street, and a map does not.

Walls go with roofs, windows with walls, grass with leaves (the season), and the light of both views
is the same: a generator that looks down can know them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.data.randomness import pick, uniform, whole

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Style:
    """A manner of building: colours of wall, roof and window."""

    wall: Colour
    roof: Colour
    window: Colour


LOW = (  # houses with a ridge
    Style((0.93, 0.87, 0.72), (0.66, 0.27, 0.19), (0.25, 0.30, 0.36)),  # plaster and red tiles
    Style((0.62, 0.33, 0.25), (0.33, 0.31, 0.33), (0.80, 0.80, 0.76)),  # brick and slate
    Style((0.90, 0.91, 0.90), (0.24, 0.29, 0.38), (0.22, 0.27, 0.34)),  # white and blue slate
    Style((0.83, 0.68, 0.38), (0.47, 0.33, 0.22), (0.27, 0.24, 0.22)),  # ochre and brown tiles
    Style((0.48, 0.60, 0.53), (0.55, 0.52, 0.46), (0.88, 0.88, 0.82)),  # green boards, grey
)
HIGH = (  # blocks with a flat roof
    Style((0.55, 0.68, 0.78), (0.74, 0.79, 0.83), (0.25, 0.40, 0.54)),  # glass and light metal
    Style((0.72, 0.66, 0.58), (0.52, 0.48, 0.43), (0.23, 0.24, 0.27)),  # stone and gravel
    Style((0.60, 0.36, 0.29), (0.38, 0.27, 0.24), (0.76, 0.74, 0.68)),  # brick and tar
    Style((0.86, 0.84, 0.80), (0.63, 0.66, 0.55), (0.33, 0.37, 0.40)),  # white and green roof
)


@dataclass(frozen=True)
class Season:
    """Colours of what grows."""

    grass: Colour
    leaves: tuple[Colour, ...]
    fields: tuple[Colour, ...]


SEASONS = (
    Season(  # spring, with trees in blossom
        (0.42, 0.62, 0.25),
        leaves=((0.36, 0.58, 0.22), (0.80, 0.62, 0.68)),
        fields=((0.55, 0.68, 0.30), (0.48, 0.36, 0.25)),
    ),
    Season(  # summer
        (0.36, 0.54, 0.20),
        leaves=((0.20, 0.42, 0.15), (0.27, 0.46, 0.18)),
        fields=((0.83, 0.71, 0.36), (0.44, 0.58, 0.22)),
    ),
    Season(  # autumn
        (0.55, 0.55, 0.26),
        leaves=((0.78, 0.45, 0.14), (0.64, 0.28, 0.12), (0.80, 0.64, 0.20)),
        fields=((0.60, 0.50, 0.30), (0.46, 0.34, 0.24)),
    ),
    Season(  # a drought
        (0.64, 0.58, 0.38),
        leaves=((0.42, 0.44, 0.22), (0.48, 0.42, 0.26)),
        fields=((0.76, 0.66, 0.42), (0.56, 0.46, 0.32)),
    ),
)
ASPHALT, PAVEMENT, WATER = (0.36, 0.36, 0.38), (0.64, 0.62, 0.59), (0.20, 0.36, 0.42)


def vary(rng: np.random.Generator, colour: Colour, amount: float = 0.05) -> list[float]:
    """The colour, a little lighter or darker."""
    factor = 1 + uniform(rng, -amount, amount)
    return [min(1.0, part * factor) for part in colour]


def light(rng: np.random.Generator) -> np.ndarray:
    """The light of a scene, as `kernels` takes it: from clear noon to a low sun or an overcast."""
    azimuth, height = uniform(rng, 0, 2 * np.pi), uniform(rng, 0.45, 1.15)
    clouds = pick(rng, (0.25, 0.4, 0.5, 0.75))
    sun = (0.95 if clouds < 0.7 else 0.25) * uniform(rng, 0.85, 1.05)
    grey = 0.0 if clouds < 0.7 else 0.65
    warm = max(0.0, 0.75 - height)
    zenith = _mix((0.24, 0.46, 0.82), (0.62, 0.65, 0.69), grey)
    horizon = _mix((0.74, 0.84, 0.94), (0.80, 0.81, 0.82), grey)
    horizon = _mix(horizon, (0.98, 0.84, 0.66), warm * (1 - grey))
    ray = [np.cos(height) * np.cos(azimuth), np.cos(height) * np.sin(azimuth), np.sin(height)]
    ambient = 0.48 if clouds < 0.7 else 0.78
    haze = 1 / uniform(rng, 180, 500)
    return np.array([*ray, sun, ambient, *zenith, *horizon, clouds, haze, whole(rng, 0, 10**6)])


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    return tuple(x + share * (y - x) for x, y in zip(a, b, strict=True))
