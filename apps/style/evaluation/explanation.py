"""A painting, where the network looked, and what it says, in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

SIDE, GAP, LINE = 256, 12, 20  # pixels: a picture's longer side, margins, a line of text
WARM = np.array([255, 96, 0])  # of the places that mattered
BAR = (72, 120, 176)


def explained(
    image: Image.Image, view: Tensor, drops: Tensor, styles: Sequence[str], shares: Sequence[float]
) -> Image.Image:
    """The painting, the network's view of it with the drops as heat, and bars of the styles.

    view (3, H, W) in [0, 1], what the network was given; drops (H, W) as
    `occlusion_map` has them; styles and their shares, the likeliest first.
    """
    width, height = 2 * SIDE + 3 * GAP, SIDE + 3 * GAP + LINE * len(styles)
    card = Image.new("RGB", (width, height), "white")
    left = image.copy()
    left.thumbnail((SIDE, SIDE))
    right = heat(view, drops)
    right.thumbnail((SIDE, SIDE))
    for i, picture in enumerate((left, right)):
        corner = GAP + i * (SIDE + GAP)
        place = (corner + (SIDE - picture.width) // 2, GAP + (SIDE - picture.height) // 2)
        card.paste(picture, place)
    _write(ImageDraw.Draw(card), SIDE + 2 * GAP, styles, shares, width)
    return card


def heat(view: Tensor, drops: Tensor) -> Image.Image:
    """The view at 256 pixels: greyed where hiding changes nothing, warm where it costs most."""
    scale = SIDE / max(view.shape[1:])
    size = (round(view.shape[2] * scale), round(view.shape[1] * scale))
    pixels = (view.permute(1, 2, 0).numpy().clip(0, 1) * 255).astype(np.uint8)
    picture = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC), float)
    strength = drops.clamp(min=0) / drops.max().clamp(min=1e-6)
    strength = Image.fromarray(strength.numpy().astype(np.float32))
    weight = np.asarray(strength.resize(size, Image.Resampling.BICUBIC)).clip(0, 1)[..., None]
    grey = picture.mean(-1, keepdims=True) * 0.6 + 70
    mixed = grey + weight * (0.7 * picture + 0.3 * WARM - grey)
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))


def _write(draw, top: int, styles: Sequence[str], shares: Sequence[float], width: int) -> None:
    font, start = ImageFont.load_default(size=13), width // 2
    for i, (style, share) in enumerate(zip(styles, shares, strict=True)):
        y = top + i * LINE
        draw.text((GAP, y), style.replace("_", " "), fill="black", font=font)
        draw.rectangle((start, y + 2, start + share * (width - start - 70), y + 14), fill=BAR)
        draw.text((width - 60, y), f"{100 * share:.1f} %", fill="black", font=font)


def save(card: Image.Image, path: Path) -> None:
    """Write a JPEG, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    card.save(partial, "JPEG", quality=90)
    partial.replace(path)
