"""What a network confuses: the confusion matrix, and its most confident mistakes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from core.errors import InputError

CELL = 0.34  # inches of a cell of the confusion matrix
NUMBERED = 40  # classes up to which the cells have numbers
SIDE, GAP, LINE = 160, 8, 15  # pixels of the sheet: a picture's longer side, gaps, a line of text


def confusion_picture(
    path: str | os.PathLike, confusion: np.ndarray, classes: Sequence[str]
) -> Path:
    """Draw a confusion matrix (K, K), true class by predicted class, in percent of each row.

    Rows of classes without a painting are grey. Shares below half a percent have no number, and no
    cell has one for more than 40 classes. Raises InputError where matplotlib is not installed.
    """
    figure, axes = _figure(len(classes))
    totals = confusion.sum(1, keepdims=True)
    shares = 100 * confusion / np.where(totals > 0, totals, np.nan)
    axes.set_facecolor("lightgrey")
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    if len(classes) <= NUMBERED:
        _write_numbers(axes, shares)
    names = [name.replace("_", " ") for name in classes]
    axes.set_xticks(range(len(names)), names, rotation=90)
    counted = [f"{name}  {total}" for name, total in zip(names, totals[:, 0], strict=True)]
    axes.set_yticks(range(len(names)), counted)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true, and how many")
    axes.tick_params(labelsize=8, length=0)
    figure.colorbar(image, ax=axes, label="% of the true class", shrink=0.6, pad=0.02)
    return _replace(path, lambda partial: figure.savefig(partial, format="png"))


def _figure(count: int):
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("pictures need the package matplotlib: pip install matplotlib") from error
    side = min(max(CELL * count, 2.5), 16) + 2.5  # and the names
    figure = Figure(figsize=(side + 0.8, side), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)  # no window, whatever the machine's default is
    return figure, figure.subplots()


def _write_numbers(axes, shares: np.ndarray) -> None:
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.5:
            colour = "white" if share > 60 else "black"
            words = {"ha": "center", "va": "center", "fontsize": 7, "color": colour}
            axes.text(column, row, f"{share:.0f}", **words)


def mistakes_sheet(
    path: str | os.PathLike,
    open_image: Callable[[int], object],
    probabilities: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    count: int = 24,
    columns: int = 6,
) -> Path | None:
    """Draw the mistakes that the network was surest of, with what is right and what it said.

    path: .png or .jpg. open_image(i): painting i of the N as an RGB PIL image. Without a mistake
    nothing is written, and None comes back.
    """
    wrong = confident_mistakes(probabilities, labels)[:count]
    if not len(wrong):
        return None
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    cards = []
    for i in wrong.tolist():
        said = f"{classes[predicted[i]]} {100 * confidence[i]:.0f}%"
        cards.append(_card(open_image(i), [f"true: {classes[labels[i]]}", f"said: {said}"]))
    sheet = _tiled(cards, min(columns, len(cards)))
    kind = "PNG" if str(path).lower().endswith(".png") else "JPEG"
    return _replace(path, lambda partial: sheet.save(partial, kind, quality=90))


def confident_mistakes(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Indices of the paintings that were taken for another class, the surest first."""
    wrong = np.flatnonzero(probabilities.argmax(1) != labels)
    return wrong[np.argsort(-probabilities.max(1)[wrong], kind="stable")]


def _card(image, lines: list[str]):
    """A picture of at most SIDE x SIDE pixels above lines of text."""
    from PIL import Image, ImageDraw

    image = image.copy()
    image.thumbnail((SIDE, SIDE))
    card = Image.new("RGB", (SIDE, SIDE + len(lines) * LINE + 2), "white")
    card.paste(image, ((SIDE - image.width) // 2, SIDE - image.height))
    draw = ImageDraw.Draw(card)
    for i, line in enumerate(lines):
        line = line.replace("_", " ")
        words = {"fill": ("black", "firebrick")[i], "font": _fitting(line)}
        draw.text((0, SIDE + 2 + i * LINE), line, **words)
    return card


def _fitting(line: str):
    """The largest font, from 12 down to 7 pixels, in which the line is no wider than a card."""
    from PIL import ImageFont

    fonts = [ImageFont.load_default(size=size) for size in range(12, 6, -1)]
    return next((font for font in fonts if font.getlength(line) <= SIDE), fonts[-1])


def _tiled(cards: list, columns: int):
    from PIL import Image

    width, height = cards[0].width + GAP, cards[0].height + GAP
    rows = -(-len(cards) // columns)
    sheet = Image.new("RGB", (columns * width + GAP, rows * height + GAP), "white")
    for i, card in enumerate(cards):
        sheet.paste(card, (GAP + i % columns * width, GAP + i // columns * height))
    return sheet


def _replace(path: str | os.PathLike, write: Callable[[Path], object]) -> Path:
    """Write a file beside the path and move it there."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    write(partial)
    os.replace(partial, path)
    return path
