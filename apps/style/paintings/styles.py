"""The styles by name, and a painting as a pure function of (seed, style, artist, number, size)."""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image

from apps.style.paintings.hands import ARTISTS, Hand, hand, title
from apps.style.paintings.painters import brushed, flat, tonal
from apps.style.paintings.scenes.scene import OVERSAMPLING, draw_scene, kind_of

PAINTERS = {
    "Action_painting": brushed.action_painting,
    "Cloisonnism": flat.cloisonnism,
    "Color_Field_Painting": flat.color_field,
    "Cubism": tonal.cubism,
    "Engraving": tonal.engraving,
    "Fauvism": brushed.fauvism,
    "High_Renaissance": tonal.high_renaissance,
    "Impressionism": brushed.impressionism,
    "Neoplasticism": flat.neoplasticism,
    "Pointillism": brushed.pointillism,
    "Pop_Art": flat.pop_art,
    "Ukiyo_e": flat.ukiyo_e,
}
STYLES = tuple(PAINTERS)  # in the order of their numbers


def paint(seed: int, style: str, artist: int, number: int, size: int) -> np.ndarray:
    """Scene `number` of a seed as an artist (0 to ARTISTS - 1) of a style paints it.

    (H, W, 3) uint8 whose longer side is `size`; the scene and the sides are the same in all styles.
    """
    scene = draw_scene(seed, number, size)
    who = artist_of(seed, style, artist)
    rng = np.random.default_rng([seed, STYLES.index(style), artist, number])
    canvas = np.clip(PAINTERS[style](scene, who, rng), 0, 1)
    large = Image.fromarray((canvas * 255 + 0.5).astype(np.uint8))
    return np.asarray(large.reduce(OVERSAMPLING))


@cache
def artist_of(seed: int, style: str, artist: int) -> Hand:
    """The hand of one of a style's artists."""
    return hand(seed, STYLES.index(style), artist, len(STYLES))


def artist_for(seed: int, style: str, number: int) -> int:
    """Who of the style's artists paints scene `number`; some are busier than others."""
    rng = np.random.default_rng([seed, STYLES.index(style), number, 5])
    return int(ARTISTS * rng.random() ** 1.3)


def file_name(seed: int, style: str, number: int) -> str:
    """'ada-tessel_the-bay-at-noon-17.jpg', as the ArtGAN copy of WikiArt names its files."""
    who = artist_of(seed, style, artist_for(seed, style, number))
    return f"{who.name}_{title(seed, kind_of(seed, number), number)}.jpg"
