"""The colours of a scene: the light of an hour, or of a room. No painter has a mood of his own."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np


@dataclass(frozen=True)
class Mood:
    """RGB colours in 0..1 by what they are used for."""

    sky: np.ndarray  # or the wall of a room, above
    glow: np.ndarray  # the sky at the horizon, the wall below
    sun: np.ndarray
    far: np.ndarray  # distant hills
    near: np.ndarray  # the ground, a table
    leaf: np.ndarray
    water: np.ndarray  # or a cloth, a coat
    warm: np.ndarray  # roofs, hats
    pale: np.ndarray  # walls, sails, collars
    dark: np.ndarray


OUTDOORS = {
    "noon": "4f8fd0 c9e4f0 fff3b8 7f9fc4 9dbb5a 4c8a3f 3f86b5 cf5f3a f6ead2 2f3a46",
    "evening": "3d4f92 f4a35c ffe08a 7c6a9e 8a7a3c 3f6246 5a6cae c8452f f3d6b0 2a2440",
    "dawn": "a7b8de f9d6c4 fff0cf b3a3c6 b7b27a 6e9a6c 86b4c6 d98873 fbeee0 4a4560",
    "night": "14224e 3f5f96 f6edb4 2b3c6d 2f4a4a 23493f 28518c b0602f c9c6a8 0d1226",
    "autumn": "86a9c4 f1e2b6 ffeaa0 a0809a c39a3e c8642a 4f7f8c a83a2a f4e3c4 3c2a28",
    "storm": "5b6a78 b9c0b4 f1ecd0 6d7f86 7d8a58 46624a 4c7078 a8563e e6dfcb 22282e",
}
INDOORS = {
    "parlour": "7a3b3f b56a52 f5c54a 8a5a62 b0783f 5f7d3c 2f6f7a d1402f f3e3c8 2c1d1c",
    "studio": "8fa39a cfd4c0 f2c744 8d9a8e a9834f 6f8f4a 3f6a9c d9662f f7f0df 30302c",
    "blue room": "2f5f8f 7fa9bf f7cf57 5f7fa0 d0a46a 4f8a5f e0b13f d8503f f5ead8 1c2a40",
}


def draw_mood(rng: np.random.Generator, moods: dict[str, str]) -> Mood:
    """One of the moods, each of its colours a little off."""
    words = list(moods.values())[rng.integers(len(moods))].split()
    names = [field.name for field in fields(Mood)]
    mood = Mood(**{name: from_hex(word) for name, word in zip(names, words, strict=True)})
    return replace(mood, **{name: near(rng, getattr(mood, name), 0.05) for name in names})


def from_hex(word: str) -> np.ndarray:
    """RRGGBB as (3,) in [0, 1]."""
    return np.frombuffer(bytes.fromhex(word), np.uint8) / 255


def near(rng: np.random.Generator, colour: np.ndarray, by: float = 0.06) -> np.ndarray:
    """A colour beside another: brightness and each channel differ by about `by`."""
    return np.clip(colour + rng.normal(0, by) + rng.normal(0, by / 2, 3), 0, 1)


def mix(a, b, share: float):
    """What lies between two colours or numbers."""
    return a + (b - a) * share
