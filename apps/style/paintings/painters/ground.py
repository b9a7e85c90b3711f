"""What lies under the paint or holds it together: blurs, noise, regions, outlines, strokes.

H, W are the pixels of the canvas; `pixels` stands for those of its long side.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from apps.style.paintings import kernels
from apps.style.paintings.scenes.scene import Scene


def sheet(scene: Scene, colour) -> np.ndarray:
    """A canvas (H, W, 3) of one colour."""
    return np.full((*scene.labels.shape, 3), colour, np.float32)


def blur(picture: np.ndarray, radius: float) -> np.ndarray:
    """Blur (H, W) or (H, W, 3) in 0..1, to 8 bits; the radius is in pixels."""
    image = Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8))
    for size in (float(radius), float(radius) * 0.7):
        image = image.filter(ImageFilter.BoxBlur(size))
    return np.asarray(image, np.float32) / 255


def noise(rng, shape: tuple[int, int], across: float, down: float | None = None) -> np.ndarray:
    """Smooth random heights (H, W) in about 0..1, of so many bumps across and down."""
    cells = rng.random((max(round(down or across), 2), max(round(across), 2)), np.float32)
    return np.asarray(Image.fromarray(cells).resize(shape[::-1], Image.Resampling.BICUBIC))


def region_means(scene: Scene, colour: np.ndarray) -> np.ndarray:
    """The mean colour (K, 3) of each region; black where a region is hidden."""
    labels = scene.labels.ravel()
    counts = np.maximum(np.bincount(labels), 1)
    sums = [np.bincount(labels, colour[..., c].ravel()) for c in range(3)]
    return (np.stack(sums, 1) / counts[:, None]).astype(np.float32)


def outlines(labels: np.ndarray, width: float) -> np.ndarray:
    """How much of each pixel a contour covers, (H, W) in 0..1, along the edges of regions."""
    edge = np.zeros(labels.shape, np.float32)
    edge[:, 1:] = labels[:, 1:] != labels[:, :-1]
    edge[1:] = np.maximum(edge[1:], labels[1:] != labels[:-1])
    radius = max(width / 2, 0.5)
    return np.clip(blur(edge, radius) * (2 * radius + 1) * 2.2 - 0.45, 0, 1)


def over(canvas: np.ndarray, paint, cover: np.ndarray) -> np.ndarray:
    """Paint (3,) or (H, W, 3) over a canvas, as much as `cover` (H, W) says."""
    return canvas + cover[..., None] * (np.asarray(paint, np.float32) - canvas)


def places(rng, scene: Scene, step: float) -> np.ndarray:
    """Where to put dabs: one in each square of side `step`, at random in it, in random order.

    (N, 2) x, y in pixels."""
    height, width = scene.labels.shape
    x, y = np.meshgrid(np.arange(0, width, step), np.arange(0, height, step))
    points = np.stack([x.ravel(), y.ravel()], 1) + rng.random((x.size, 2)) * step
    points = np.minimum(points, (width - 1, height - 1))
    return points[rng.permutation(len(points))]


def look(field: np.ndarray, points: np.ndarray) -> np.ndarray:
    """What a field (H, W, ...) holds at points (N, 2)."""
    return field[points[:, 1].astype(int), points[:, 0].astype(int)]


def put(
    canvas,
    points,
    colour,
    half_length,
    half_width,
    angle=0.0,
    opacity=1.0,
    bristles=0.0,
    relief=0.0,
) -> None:
    """Put dabs on the canvas: see `kernels.dab`. All but points may be one for all or (N,)."""
    dabs = np.empty((len(points), kernels.DAB), np.float32)
    dabs[:, :2], dabs[:, 5:8] = points, colour
    dabs[:, 2], dabs[:, 3], dabs[:, 4] = half_length, half_width, angle
    dabs[:, 8], dabs[:, 9], dabs[:, 10] = opacity, bristles, relief
    kernels.dab(canvas, dabs)
