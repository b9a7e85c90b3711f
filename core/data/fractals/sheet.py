"""Contact sheets: many fractal images in one picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from core.data.fractals.dataset import FractalImages, FractalsConfig

GAP = 2  # pixels between the images


def class_rows(config: FractalsConfig, rows: int, columns: int) -> list[list[np.ndarray]]:
    """The first instance of as many classes as there is room for."""
    images = FractalImages(config)
    labels = range(min(rows * columns, config.classes))
    drawn = [images.render(label, config.first) for label in labels]
    return [drawn[i : i + columns] for i in range(0, len(drawn), columns)]


def rule_rows(config: FractalsConfig, columns: int) -> list[list[np.ndarray]]:
    """One row each: FractalDB's classes in grey and in colour, instances of the first one, sigma
    systems in colour without and with clouds, and 1p-frac's classes."""
    colour = replace(config, colour="hue", tone="log", stamp="point")
    styles = [
        replace(config, rule="fractaldb"),
        replace(colour, rule="fractaldb"),
        replace(colour, rule="sigma"),
        replace(colour, rule="sigma", background="clouds"),
        replace(config, rule="1p-frac"),
    ]
    rows = [class_rows(style, 1, columns)[0] for style in styles]
    images = FractalImages(styles[0])
    rows.insert(2, [images.render(0, instance) for instance in range(columns)])
    return rows


def sheet(rows: list[list[np.ndarray]], tile: int) -> Any:
    """A PIL image of rows of square images (S, S, 3), each scaled to `tile` pixels."""
    from PIL import Image

    step = tile + GAP
    size = (step * max(map(len, rows)) - GAP, step * len(rows) - GAP)
    picture = Image.new("RGB", size, "white")
    for top, row in enumerate(rows):
        for left, pixels in enumerate(row):
            small = Image.fromarray(pixels).resize((tile, tile), Image.Resampling.BOX)
            picture.paste(small, (left * step, top * step))
    return picture
