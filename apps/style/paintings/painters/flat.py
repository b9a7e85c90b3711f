"""Styles of the flat surface: few colours, contours, screens, blocks and grids."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from apps.style.paintings.colour import luma, nearest, rgb, saturate
from apps.style.paintings.hands import Hand
from apps.style.paintings.painters.ground import blur, noise, outlines, over, region_means, sheet
from apps.style.paintings.scenes.scene import Scene


def cloisonnism(scene: Scene, hand: Hand, rng) -> np.ndarray:
    """Flat shapes of deep colour between thick dark lines, as in enamel; two tones a shape."""
    means = saturate(hand.sees(region_means(scene, scene.colour)), 1.35)
    means = np.clip(means + rng.normal(0, 0.03, means.shape), 0, 1).astype(np.float32)
    tone = np.where(scene.light < 0.86, np.float32(0.74), np.float32(1))
    mottle = 1 + 0.1 * (noise(rng, scene.labels.shape, 30) - 0.5)
    canvas = means[scene.labels] * (tone * mottle)[..., None]
    ink = rgb(hand.picks(["1a1c2c", "2b1712", "10241f"]))[0]
    tones = scene.labels * 2 + (tone < 1)
    soft = outlines(tones, scene.pixels * 0.004) * 0.45
    contours = outlines(scene.labels, scene.pixels * 0.015 * hand.scale)
    return over(over(canvas, ink, soft), ink, contours)


POP = (
    "e6232a ffd800 1e63d0 f7f3e8 f59ab5 18a04a",
    "ff4f9a 00a6d6 fff200 f7f3e8 f26a1b 7b3fa0",
    "f4511e ffca28 00897b fdf6ec ec9db0 3949ab",
)


def pop_art(scene: Scene, hand: Hand, rng) -> np.ndarray:
    """Printed primaries, a screen of dots for the tones (Ben Day's), and black contours."""
    unit, paints = scene.pixels / 100, rgb(hand.picks(POP))
    means = saturate(hand.sees(region_means(scene, scene.colour)), 1.4)
    nearest_paint = nearest(means, paints)  # (K,)
    screened = rng.random(len(means)) < 0.55
    paper = paints[3]
    tone = np.clip(1.25 - luma(hand.sees(scene.colour)) * 1.1, 0.12, 0.8)
    dots = _screen(scene, 2.7 * unit * hand.scale, 0.6 + hand.angle, tone)
    solid = paints[nearest_paint][scene.labels]
    ink = np.where((nearest_paint == 3)[:, None], paints[2], paints[nearest_paint])[scene.labels]
    printed = over(sheet(scene, paper), ink, dots)
    canvas = np.where((screened | (nearest_paint == 3))[scene.labels][..., None], printed, solid)
    return over(canvas, rgb("0c0c10")[0], outlines(scene.labels, scene.pixels * 0.013))


def _screen(scene, step: float, angle: float, tone: np.ndarray) -> np.ndarray:
    """Dots on a turned grid that cover as much as the tone says: (H, W) in 0..1."""
    y, x = np.indices(tone.shape, np.float32)
    c, s = np.cos(angle), np.sin(angle)
    u, v = (x * c + y * s) / step, (y * c - x * s) / step
    away = np.hypot(u - np.round(u), v - np.round(v)) * step
    return np.clip(np.sqrt(tone / np.pi) * step - away + 0.5, 0, 1)


PRINTS = (
    "1f3f6e 4f7fa6 a9c3c4 e9dcb8 c9543a 6d8a5a d9a766 26405a",
    "16365c 6f98ac d3d8c4 efe0bd b8402e 8a9a5f e3b47a 3b4a3a",
    "2a4a5e 7fa39a c4ccb0 ecdcc0 cc6a4c 56775e d7b080 2f3f4f",
)


def ukiyo_e(scene: Scene, hand: Hand, rng) -> np.ndarray:
    """A woodblock print: flat inks that fade to one side, thin grey lines, grain, waves, a seal."""
    unit, inks = scene.pixels / 100, rgb(hand.picks(PRINTS))
    paper = inks[3]
    means = hand.sees(region_means(scene, scene.colour))
    block = inks[nearest(_by_hue(means), _by_hue(inks))][scene.labels]
    shape = scene.labels.shape
    down = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None] + np.zeros(shape, np.float32)
    fade = np.clip(1.1 - 1.1 * down, 0.2, 1) if hand.choice < 0.5 else np.clip(0.2 + down, 0.2, 1)
    canvas = over(sheet(scene, paper), block, np.where(scene.depth > 0.4, fade, 0.95))
    canvas = over(canvas, paper, _waves(scene, hand, unit) * 0.75)
    grain = noise(rng, shape, 5, shape[0] / 2.2) + 0.4 * noise(rng, shape, 40)
    canvas = canvas * (0.93 + 0.1 * grain)[..., None]
    canvas = over(canvas, rgb("2b3350")[0], outlines(scene.labels, scene.pixels * 0.004) * 0.85)
    return _seal(canvas, unit, rng)


def _by_hue(colour: np.ndarray) -> np.ndarray:
    """Colours such that hue weighs more than brightness in their distances."""
    grey = luma(colour)[..., None]
    return 2 * (colour - grey) + 0.5 * grey


def _waves(scene, hand, unit: float) -> np.ndarray:
    """Overlapping arcs (seigaiha) on the near half of what lies far: water, fields, walls."""
    y, x = np.indices(scene.labels.shape, np.float32)
    step = 9 * unit * hand.scale
    cover = np.zeros(scene.labels.shape, np.float32)
    for row in (2, 1, 0):  # the nearer scales hide the farther
        level = (np.floor(y / (step / 4)) + row) * (step / 4)
        odd = np.round(level / (step / 4)) % 2
        middle = (np.floor(x / step - odd / 2) + 0.5 + odd / 2) * step
        radius = np.hypot(x - middle, y - level)
        ring = np.clip(1.2 - np.abs(np.mod(radius, step / 6) - step / 12) / (0.35 * unit), 0, 1)
        cover = np.where(radius < step / 2, ring, cover)
    return cover * ((scene.depth > 0.45) & (scene.depth < 0.85))


def _seal(canvas: np.ndarray, unit: float, rng) -> np.ndarray:
    """The red seal of the publisher in a corner."""
    width = canvas.shape[1]
    side, tall = int(6 * unit), int(12 * unit)
    left = int(4 * unit) if rng.random() < 0.5 else width - side - int(4 * unit)
    top = int(4 * unit)
    marks = np.kron(rng.random((6, 3)) < 0.45, np.ones((tall // 6, side // 3)))
    stamp = np.where(marks[..., None] > 0, rgb("efe0bd")[0], rgb("b52f25")[0])
    canvas[top : top + stamp.shape[0], left : left + stamp.shape[1]] = stamp
    return canvas


def color_field(scene: Scene, hand: Hand, rng) -> np.ndarray:
    """Two to four large soft rectangles of stained colour on a ground of one."""
    height, width = scene.labels.shape
    seen = saturate(hand.sees(scene.colour), 1.5)
    ground = seen.mean((0, 1)) * hand.picks([0.45, 0.75, 0.9, 1.1])
    weave = 0.94 + 0.12 * noise(rng, scene.labels.shape, 6)
    canvas = sheet(scene, np.clip(ground, 0, 1)) * weave[..., None]
    margin, gap = 0.07 * width, 0.02 * height
    cuts = _cuts(seen, int(2 + 3 * hand.choice * 0.999), rng)
    edge = 0.016 * scene.pixels * hand.scale
    y, x = np.indices((height, width), np.float32)
    wobble = (noise(rng, scene.labels.shape, 14) - 0.5) * 1.2 * edge
    for top, bottom in pairwise(cuts):
        inner = np.minimum.reduce([x - margin, width - margin - x, y - top - gap, bottom - gap - y])
        cover = np.clip((inner + wobble) / (2.5 * edge), 0, 1)
        cover = cover * cover * (3 - 2 * cover)
        band = seen[int(top) : int(bottom)]
        paint = saturate(band.reshape(-1, 3)[::37].mean(0) * rng.uniform(0.85, 1.25), 1.7)
        stain = 0.86 + 0.2 * noise(rng, scene.labels.shape, 9)
        canvas = over(canvas, np.clip(paint * stain[..., None], 0, 1), cover * 0.95)
    return canvas


def _cuts(seen: np.ndarray, bands: int, rng) -> list[float]:
    """The rows between the bands: where the picture's rows change most, well apart."""
    height = seen.shape[0]
    rows = blur(seen.mean(1, keepdims=True).repeat(8, 1), 3)[:, 0]
    change = np.abs(np.diff(rows, axis=0)).sum(1) + rng.random(height - 1) * 1e-3
    cuts = [0.04 * height, 0.96 * height]
    while len(cuts) <= bands:
        apart = np.min([np.abs(np.arange(height - 1) - cut) for cut in cuts], axis=0)
        cuts.append(float(np.argmax(np.where(apart > 0.17 * height, change + 1, apart / height))))
    return sorted(cuts)


def neoplasticism(scene: Scene, hand: Hand, rng) -> np.ndarray:
    """Black lines at right angles; white fields, some of a primary colour or grey."""
    seen = hand.sees(scene.colour)
    white = rgb(hand.picks(["f4f1e8", "eceae4", "f6f4f0"]))[0]
    canvas, line = sheet(scene, white), max(round(scene.pixels * 0.016 * hand.scale), 2)
    black = rgb("15151a")[0]
    cells = _split(seen, (0, 0, *seen.shape[:2]), 10 + int(8 * hand.choice), rng)
    paints = rgb("d42a20 f2c714 1f4fa3 d9d9d4")
    means = np.array([seen[t:b:4, le:r:4].mean((0, 1)) for t, le, b, r in cells])
    vivid = np.ptp(means, axis=1) * rng.uniform(0.6, 1.4, len(cells))
    used = np.zeros(len(paints))
    for k in np.argsort(-vivid)[: round(len(cells) * (0.3 + 0.25 * hand.choice))]:
        top, left, bottom, right = cells[k]
        paint = np.argmin(((_pure(means[k]) - paints) ** 2).sum(1) + used)
        used[paint] += 0.3
        canvas[top:bottom, left:right] = paints[paint]
    for top, left, bottom, right in cells:
        for band in (
            np.s_[max(top - line, 0) : top + line, left:right],
            np.s_[top:bottom, max(left - line, 0) : left + line],
        ):
            if (top if band[0].start < top else left) > 0:
                canvas[band] = black
    return canvas * (0.985 + 0.03 * noise(rng, scene.labels.shape, 40))[..., None]


def _pure(colour: np.ndarray) -> np.ndarray:
    """The colour stretched to the whole range: what it would be without grey."""
    return (colour - colour.min()) / max(np.ptp(colour), 0.06)


def _split(seen, cell, count: int, rng) -> list[tuple[int, int, int, int]]:
    """Cells (top, left, bottom, right), made by cutting the largest again and again."""
    cells = [cell]
    least = 0.1 * max(seen.shape[:2])
    while len(cells) < count:
        room = 2 * least + 2  # so that a cut along either side leaves cells that are wide enough
        sizes = [(b - t) * (r - le) * (min(b - t, r - le) > room) for t, le, b, r in cells]
        if max(sizes) == 0:
            break
        cells += _cut(seen, cells.pop(int(np.argmax(sizes))), least, rng)
    return cells


def _cut(seen, cell, least: float, rng) -> list[tuple[int, int, int, int]]:
    """Cut a cell where the picture changes most across it, along the longer side as a rule."""
    top, left, bottom, right = cell
    upright = (right - left) * rng.uniform(0.6, 1.6) > bottom - top
    lines = seen[top:bottom, left:right].mean(0 if upright else 1)
    change = np.abs(np.diff(lines, axis=0)).sum(1)
    start = int(least)
    at = start + int(np.argmax(change[start : len(change) - start]))
    if upright:
        return [(top, left, bottom, left + at), (top, left + at, bottom, right)]
    return [(top, left, top + at, right), (top + at, left, bottom, right)]
