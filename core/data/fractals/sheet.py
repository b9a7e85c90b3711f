"""Contact sheets: many fractal images in one picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from core.data.fractals.dataset import FractalImages, FractalsConfig
from core.pictures.sheets import as_image, in_rows, sheet

GAP = 2  # pixels between the images


def class_rows(config: FractalsConfig, rows: int, columns: int) -> list[list[np.ndarray]]:
    """The first instance of as many classes as there is room for."""
    images = FractalImages(config)
    labels = range(min(rows * columns, config.classes))
    drawn = [images.render(label, config.first) for label in labels]
    return in_rows(drawn, columns)


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


def fractal_sheet(rows: list[list[np.ndarray]], tile: int) -> Image.Image:
    """Rows of square images (S, S, 3) uint8, each scaled to `tile` pixels."""
    box = Image.Resampling.BOX  # means of whole pixels: points are not lost between them
    tiles = [[as_image(image).resize((tile, tile), box) for image in row] for row in rows]
    return sheet(tiles, gap=GAP, margin=0)
