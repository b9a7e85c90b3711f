"""What a network confuses: the confusion matrix, and its most confident mistakes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from core.pictures.figures import new_figure, save_figure
from core.pictures.sheets import caption, in_rows, save_image, sheet

CELL = 0.34  # inches of a cell of the confusion matrix
NUMBERED = 40  # classes up to which the cells have numbers
SIDE, GAP = 160, 8  # pixels of the sheet: a picture's longer side, gaps
COLOURS = ("black", "firebrick")  # of what is right, and of what the network said


def confusion_picture(
    path: str | os.PathLike, confusion: np.ndarray, classes: Sequence[str]
) -> Path:
    """Draw a confusion matrix (K, K), true class by predicted class, in percent of each row.

    Rows of classes without a painting are grey. Shares below half a percent have no number, and no
    cell has one for more than 40 classes. Raises InputError where matplotlib is not installed.
    """
    side = min(max(CELL * len(classes), 2.5), 16) + 2.5  # and the names
    figure = new_figure(side + 0.8, side, dpi=120)
    axes = figure.subplots()
    totals = confusion.sum(1, keepdims=True)  # (K, 1)
    shares = 100 * confusion / np.where(totals > 0, totals, np.nan)
    axes.set_facecolor("lightgrey")  # not a number is drawn transparent
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    if len(classes) <= NUMBERED:
        _write_numbers(axes, shares)
    _write_names(axes, classes, totals[:, 0])
    figure.colorbar(image, ax=axes, label="% of the true class", shrink=0.6, pad=0.02)
    return save_figure(path, figure)


def _write_numbers(axes, shares: np.ndarray) -> None:
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.5:
            colour = "white" if share > 60 else "black"
            words = {"ha": "center", "va": "center", "fontsize": 7, "color": colour}
            axes.text(column, row, f"{share:.0f}", **words)


def _write_names(axes, classes: Sequence[str], totals: np.ndarray) -> None:
    names = [name.replace("_", " ") for name in classes]
    counted = [f"{name}  {total}" for name, total in zip(names, totals, strict=True)]
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), counted)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true, and how many")
    axes.tick_params(labelsize=8, length=0)


def mistakes_sheet(
    path: str | os.PathLike,
    open_image: Callable[[int], Image.Image],
    probabilities: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    count: int = 24,
    columns: int = 6,
) -> Path | None:
    """Draw the mistakes that the network was surest of, with what is right and what it said.

    path: .png or .jpg. open_image(i): painting i of the N as an RGB image. Without a mistake
    nothing is written, and None comes back.
    """
    wrong = confident_mistakes(probabilities, labels)[:count].tolist()
    if not wrong:
        return None
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    cards = []
    for i in wrong:
        lines = [f"true: {classes[labels[i]]}"]
        lines.append(f"said: {classes[predicted[i]]} {100 * confidence[i]:.0f}%")
        cards.append(_card(open_image(i), lines))
    return save_image(path, sheet(in_rows(cards, columns), gap=GAP))


def confident_mistakes(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Indices of the paintings that were taken for another class, the surest first."""
    wrong = np.flatnonzero(probabilities.argmax(1) != labels)
    return wrong[np.argsort(-probabilities.max(1)[wrong], kind="stable")]


def _card(image: Image.Image, lines: Sequence[str]) -> Image.Image:
    """A picture of at most SIDE x SIDE pixels above lines of text."""
    small = image.copy()
    small.thumbnail((SIDE, SIDE))
    square = Image.new("RGB", (SIDE, SIDE), "white")
    square.paste(small, ((SIDE - small.width) // 2, SIDE - small.height))  # on its text
    return caption(square, [line.replace("_", " ") for line in lines], COLOURS, below=True)
