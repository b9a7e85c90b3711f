"""A painting, where the network looked, and what it says, in one picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from core.pictures.fonts import font
from core.pictures.sheets import sheet

SIDE, GAP, LINE, TEXT = 256, 12, 20, 13  # pixels: a picture's longer side, gaps, a line, its font
WARM = np.array([255, 96, 0])  # of the places that mattered
BAR = (72, 120, 176)


def explained(
    image: Image.Image, view: Tensor, drops: Tensor, styles: Mapping[str, float]
) -> Image.Image:
    """The painting, the network's view of it with the drops as heat, and bars of the styles.

    view (3, H, W) in [0, 1], what the network was given; drops (H, W) as `occlusion_map` has them;
    styles: their shares by name, the likeliest first.
    """
    pair = sheet([[_square(image), _square(heat(view, drops))]], gap=GAP)
    card = Image.new("RGB", (pair.width, pair.height + GAP + LINE * len(styles)), "white")
    card.paste(pair)
    _draw_bars(ImageDraw.Draw(card), pair.height, styles, card.width)
    return card


def heat(view: Tensor, drops: Tensor) -> Image.Image:
    """The view at 256 pixels: greyed where hiding changes nothing, warm where it costs most."""
    scale = SIDE / max(view.shape[1:])
    size = (round(view.shape[2] * scale), round(view.shape[1] * scale))  # width, height
    pixels = (view.permute(1, 2, 0).numpy().clip(0, 1) * 255).astype(np.uint8)  # (H, W, 3)
    picture = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC), float)
    strength = drops.clamp(min=0) / drops.max().clamp(min=1e-6)  # (H, W) in [0, 1]
    strength = Image.fromarray(strength.numpy().astype(np.float32))
    weight = np.asarray(strength.resize(size, Image.Resampling.BICUBIC)).clip(0, 1)[..., None]
    grey = picture.mean(-1, keepdims=True) * 0.6 + 70  # pale, so that the warm parts stand out
    mixed = grey + weight * (0.7 * picture + 0.3 * WARM - grey)
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))


def _square(image: Image.Image) -> Image.Image:
    """The image, no larger than SIDE, in the middle of a white square of it."""
    small = image.copy()
    small.thumbnail((SIDE, SIDE))
    square = Image.new("RGB", (SIDE, SIDE), "white")
    square.paste(small, ((SIDE - small.width) // 2, (SIDE - small.height) // 2))
    return square


def _draw_bars(draw, top: int, styles: Mapping[str, float], width: int) -> None:
    start, longest = width // 2, width - width // 2 - 70  # names on the left, numbers on the right
    for i, (style, share) in enumerate(styles.items()):
        y = top + i * LINE
        draw.text((GAP, y), style.replace("_", " "), fill="black", font=font(TEXT))
        draw.rectangle((start, y + 2, start + share * longest, y + 14), fill=BAR)
        draw.text((width - 60, y), f"{100 * share:.1f} %", fill="black", font=font(TEXT))
