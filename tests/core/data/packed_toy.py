"""Packed pictures of two classes, for tests that train."""

import io

import numpy as np
from PIL import Image


def write_packed(folder, splits=("train", "val"), count=16, size=(20, 24)):
    """`<split>.npz` each of `count` noisy pictures (height, width) of blue and red in turn."""
    rng = np.random.default_rng(0)
    for split in splits:
        pictures = [noisy(rng, i % 2, size) for i in range(count)]
        np.savez(
            folder / f"{split}.npz",
            blob=np.frombuffer(b"".join(pictures), np.uint8),
            offsets=np.cumsum([0, *map(len, pictures)]),
            labels=np.arange(count) % 2,
            names=np.array(["blue", "red"]),
        )
    return folder


def noisy(rng, red, size):
    """One picture as a PNG."""
    colour = (200, 120, 40) if red else (40, 120, 200)
    pixels = rng.normal(colour, 40, (*size, 3)).clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
