"""Figures of numbers by matplotlib, without a display and without pyplot's global state.

figure = new_figure(5, 3)
axes = figure.subplots()
axes.plot(steps, losses, color=COLOURS[0])
plain_axes(axes)
save_figure("curves.png", figure)
"""

from __future__ import annotations

import os
from pathlib import Path

from core.errors import InputError
from core.files import whole_file

# Told apart in print and by the colour-blind: Okabe and Ito 2008.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
ENDINGS = (".png", ".pdf", ".svg")


def new_figure(width: float, height: float, dpi: int = 150):
    """An empty matplotlib figure, in inches, that arranges its own parts.

    Raises InputError where matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("pictures need the package matplotlib: pip install matplotlib") from error
    figure = Figure(figsize=(width, height), layout="constrained", dpi=dpi)
    FigureCanvasAgg(figure)  # no window, whatever the machine's default is
    return figure


def save_figure(path: str | os.PathLike, figure) -> Path:
    """Write a figure whole or not at all, as its name's ending says; returns the path.

    Raises InputError for an ending that is not .png, .pdf or .svg.
    """
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"{path}: a picture's name ends in .png, .pdf or .svg")
    with whole_file(path) as partial:
        figure.savefig(partial, format=path.suffix.lower().removeprefix("."))
    return path


def plain_axes(axes, grid: str = "both") -> None:
    """No frame above and on the right, and a faint grid: "both", "x", "y", or "" for none."""
    axes.spines[["top", "right"]].set_visible(False)
    if grid:
        axes.grid(True, axis=grid, alpha=0.25)


def log_axis(axis, form: str = "{:,.6g}") -> None:
    """Make axes.xaxis or axes.yaxis logarithmic, with the labels 1, 2, 5, 10, ..."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.axes.set(**{f"{axis.axis_name}scale": "log"})  # first: it resets what comes next
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: form.format(value)))
    axis.set_minor_locator(NullLocator())
