"""Styles of light and dark: soft passages, hatched lines, broken planes."""

from __future__ import annotations

import numpy as np

from apps.style.paintings.colour import curve, luma, rgb, saturate
from apps.style.paintings.hands import Hand
from apps.style.paintings.painters.ground import blur, noise, outlines, over, sheet
from apps.style.paintings.scenes.scene import Scene


def high_renaissance(scene: Scene, hand: Hand, rng) -> np.ndarray:
    """Sfumato: no line anywhere, one thing passes into the next; brown glazes, dark corners."""
    unit, seen = scene.pixels / 100, hand.sees(scene.colour)
    shape = scene.labels.shape
    soft = blur(seen, 0.7 * unit * hand.scale) * 0.6 + blur(seen, 2.5 * unit * hand.scale) * 0.4
    haze = curve(luma(soft), rgb("1c120a")[0], rgb(hand.picks(["e6c98c", "d9c79a", "e8bf86"]))[0])
    mixed = over(saturate(soft, 1.1), haze, np.full(shape, 0.5, np.float32))
    y, x = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    light = np.clip(1.15 - 0.33 * (x * x + y * y), 0.2, 1).astype(np.float32)
    deep = mixed * light[..., None]
    deep = deep * deep * (3 - 2 * deep) * 0.6 + deep * 0.45
    return deep * (0.97 + 0.06 * noise(rng, shape, shape[1] / 3))[..., None]


PAPERS = ["f3ead6", "efe4cc", "f7f4ec", "e9dec6"]
INKS = ["1a1512", "2a1a10", "151a24", "33201a"]


def engraving(scene: Scene, hand: Hand, rng) -> np.ndarray:
    """Lines cut into copper: along the things, closer and crossed where it is dark."""
    unit = scene.pixels / 100
    tone = blur(luma(hand.sees(scene.colour)), 0.4 * unit)
    dark = np.clip(1.02 - tone, 0, 1)
    step = 1.75 * unit * hand.scale
    wave = (noise(rng, scene.labels.shape, 8) - 0.5) * 1.5 * unit
    y, x = np.indices(tone.shape, np.float32)
    ink = _lines(scene.across + wave, step, dark)
    for angle, least in ((0.8 + hand.angle, 0.42), (-0.75 + hand.angle, 0.66)):
        across = y * np.cos(angle) - x * np.sin(angle) + wave
        ink = np.maximum(ink, _lines(across, step, np.clip(dark - least, 0, 1) * 1.5))
    ink = np.maximum(ink, outlines(scene.labels, 0.5 * unit) * 0.9)
    paper = sheet(scene, rgb(hand.picks(PAPERS))[0])
    paper *= (0.97 + 0.05 * noise(rng, tone.shape, 30))[..., None]
    return over(paper, rgb(hand.picks(INKS))[0], ink * 0.95)


def _lines(across: np.ndarray, step: float, dark: np.ndarray) -> np.ndarray:
    """Parallel lines whose width follows the darkness: coverage (H, W) in 0..1."""
    away = np.abs(across / step - np.round(across / step)) * step
    return np.clip(dark * step * 0.5 - away + 0.35, 0, 1) * (dark > 0.04)


PLANES = (
    "241c14 8a7350 e2d0a4",
    "1d2321 74775f d8d3b4",
    "2a1a16 90604a e6cba8",
    "1c2026 6f7780 d9d6cc",
)


def cubism(scene: Scene, hand: Hand, rng) -> np.ndarray:
    """The things broken into facets, each seen from elsewhere and shaded by itself, in ochres."""
    unit, seen = scene.pixels / 100, hand.sees(scene.colour)
    facet, along = _facets(scene, hand, rng)
    views = _views(facet, scene, rng)
    broken = seen[views]
    dark, middle, light = rgb(hand.picks(PLANES))
    tone = np.clip(luma(broken) * 0.75 + 0.6 * (0.45 - along) + 0.16, 0, 1)
    shade, glow = curve(2 * tone, dark, middle), curve(2 * tone - 1, middle, light)
    canvas = np.where(tone[..., None] < 0.5, shade, glow)  # (H, W, 3)
    canvas = over(canvas, broken, np.full(tone.shape, 0.22, np.float32))
    brush = noise(rng, tone.shape, 60, 30) - 0.5
    canvas = canvas + 0.09 * brush[..., None]
    edges = outlines(facet.astype(np.uint8), 0.5 * unit) * (noise(rng, tone.shape, 9) > 0.35)
    edges = np.maximum(edges, outlines(scene.labels[views], 0.3 * unit))
    return over(np.clip(canvas, 0, 1), dark, edges * 0.85)


def _facets(scene: Scene, hand: Hand, rng) -> tuple[np.ndarray, np.ndarray]:
    """Which facet a pixel is in (below 256), and how far it is from its lit edge, 0..1.

    Facets are what straight cuts leave: each cut goes through the facets on a random side of an
    earlier one, so that some lines end at others.
    """
    height, width = scene.labels.shape
    y, x = np.indices((height, width), np.float32)
    facet, along = np.zeros((height, width), np.int64), np.full((height, width), np.inf, np.float32)
    turns = rng.choice([0.65, -0.75, 1.45, 0.1], 8) + hand.angle + rng.normal(0, 0.12, 8)
    for k, turn in enumerate(turns):
        at = (0.5 + rng.uniform(-0.42, 0.42, 2)) * (width, height)
        c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        away = (y - np.float32(at[1])) * c - (x - np.float32(at[0])) * s
        within = (facet >> rng.integers(k)) & 1 == rng.integers(2) if k > 2 else True
        facet |= (within & (away > 0)).astype(np.int64) << k
        along = np.where(within & (away > 0) & (away < along), away, along)
    return facet, np.clip(along / (0.22 * scene.pixels * hand.scale), 0, 1)


def _views(facet: np.ndarray, scene: Scene, rng) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns (H, W) where each facet looks: beside, a little larger or smaller."""
    height, width = facet.shape
    count = int(facet.max()) + 1
    shift = rng.normal(0, 0.03 * scene.pixels, (count, 2))
    zoom = rng.uniform(0.82, 1.2, count)
    y, x = np.indices(facet.shape)
    rows = (y - height / 2) * zoom[facet] + height / 2 + shift[facet, 1]
    columns = (x - width / 2) * zoom[facet] + width / 2 + shift[facet, 0]
    inside = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    return inside[0].astype(int), inside[1].astype(int)
