"""Learning curves of runs as one picture: loss, learning rate and evaluations over the steps.

`python -m core.training.curves RUN [RUN ...] [--out FILE]`

Of several runs, what is none (a shell's RUNS/* gives all that lies there) is named and left out.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.config import entry_point
from core.data.images.labelled import some_of
from core.errors import InputError
from core.pictures.figures import COLOURS, log_axis, new_figure, plain_axes, save_figure
from core.training.files.folder import read_metrics
from core.training.session import Session

STYLES = ("-", "--", ":")  # of the first, second and third seven runs
SPAN = 0.05  # smoothing: over the steps within this share of the step itself
LOG_RANGE = 10  # ratio of the largest to the smallest loss from which the axis is logarithmic
LABELLED = 3  # runs up to which an evaluation's last value stands beside its curve
Curve = tuple[np.ndarray, np.ndarray]  # steps (n,) and values (n,), ascending


def draw_curves(
    runs: str | os.PathLike | Sequence[str | os.PathLike], out: str | os.PathLike = ""
) -> Path:
    """Draw a run's folder, or several over one another; returns the picture's path.

    `out` is RUN/pictures/curves.png unless given, and of several runs curves.png in the folder that
    holds all of them; its ending (.png, .pdf, .svg) chooses the format. An existing picture is
    replaced. Raises InputError for a folder without figures, an unknown format, and where
    matplotlib is not installed.
    """
    runs = [Path(run) for run in ([runs] if isinstance(runs, str | os.PathLike) else runs)]
    by_run = [curves(run) for run in runs]
    names = list(dict.fromkeys(name for each in by_run for name in each))
    figure, panels = _figure(len(names))
    for axes, name in zip(panels, names, strict=True):
        _panel(axes, name, [each.get(name) for each in by_run])
    last = max(steps[-1] for each in by_run for steps, _ in each.values())
    panels[0].set_xlim(0, 1.02 * last)  # the panels share it
    _legend(figure, _labels(runs))
    return save_figure(Path(out).expanduser() if out else _usual_place(runs), figure)


def _usual_place(runs: list[Path]) -> Path:
    if len(runs) == 1:
        return runs[0] / "pictures" / "curves.png"
    return Path(os.path.commonpath([run.absolute().parent for run in runs])) / "curves.png"


def report_curves(session: Session, runs: list[Path], out: Path | None = None) -> None:
    """`draw_curves` on the main process, and the picture's path printed, or why there is none."""
    if not session.is_main:
        return
    try:
        session.print(f"learning curves: {draw_curves(runs, out or '')}")
    except InputError as error:
        session.print(f"no picture of the learning curves: {error}")


def curves(run: Path) -> dict[str, Curve]:
    """The curves of a run by name: "loss", "lr", and "eval/..." for evaluations.

    Values that are not finite are left out, and curves without any.
    """
    rows = read_metrics(run)
    names = dict.fromkeys(key for row in rows for key in row if key.startswith("eval/"))
    by_name = {name: _curve(rows, name) for name in ("loss", "lr", *names)}
    by_name = {name: curve for name, curve in by_name.items() if len(curve[0])}
    if not by_name:
        raise InputError(f"{run} has no figures in metrics.jsonl: is it the folder of a run?")
    return by_name


def _curve(rows: list[dict], name: str) -> Curve:
    pairs = [(row["step"], row[name]) for row in rows if math.isfinite(row.get(name, math.nan))]
    steps, values = np.array(pairs, float).reshape(-1, 2).T
    return steps, values


def smoothed(steps: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Means of values (n,) at the steps within 5 % of each: narrow where losses fall fast."""
    first = np.searchsorted(steps, steps * (1 - SPAN), "left")
    last = np.searchsorted(steps, steps * (1 + SPAN), "right")
    sums = np.concatenate([[0.0], values.cumsum()])
    return (sums[last] - sums[first]) / (last - first)


def _labels(runs: list[Path]) -> list[str]:
    """Folders' names; whole paths where two names are the same."""
    names = [run.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]


def _panel(axes, name: str, each: list[Curve | None]) -> None:
    """One quantity of every run that has it."""
    titles = {"loss": "training loss, mean of a sample", "lr": "learning rate"}
    title = titles.get(name, name.replace("eval/", "evaluation: "))
    axes.set_title(title, loc="left", fontsize=10)
    for i, curve in enumerate(each):
        if curve is not None:
            _draw(axes, name, *curve, _style(i), with_value=len(each) <= LABELLED)
    drawn = np.concatenate([curve[1] for curve in each if curve is not None])
    if name == "loss" and drawn.min() > 0 and drawn.max() > LOG_RANGE * drawn.min():
        log_axis(axes.yaxis, "{:.4g}")
    else:
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.4g}")
    if name == "lr":
        axes.set_ylim(bottom=0)
    axes.set_xlabel("optimizer step", fontsize=9)
    axes.tick_params(labelsize=8)
    plain_axes(axes)


def _style(i: int) -> dict:
    return {"color": COLOURS[i % len(COLOURS)], "linestyle": STYLES[i // len(COLOURS) % 3]}


def _draw(
    axes, name: str, steps: np.ndarray, values: np.ndarray, style: dict, with_value: bool
) -> None:
    style = style | {"marker": "o" if len(steps) == 1 else "", "markersize": 3.5}
    if name == "loss":
        axes.plot(steps, values, **style, alpha=0.25, linewidth=0.8)
        axes.plot(steps, smoothed(steps, values), **style, linewidth=1.6)
    elif name == "lr":
        axes.plot(steps, values, **style, linewidth=1.6)
    else:
        axes.plot(steps, values, **style | {"marker": "o"}, linewidth=1.4)
        if not with_value:
            return
        text = {"textcoords": "offset points", "fontsize": 8, "color": style["color"]}
        axes.annotate(f"{values[-1]:.4g}", (steps[-1], values[-1]), (0, 6), ha="right", **text)


def _figure(count: int):
    """An empty figure and its `count` panels, in rows of two."""
    rows = -(-count // 2)
    figure = new_figure(10, 2.9 * rows + 0.4)
    from matplotlib.ticker import MaxNLocator

    panels = list(figure.subplots(rows, 2, sharex=True, squeeze=False).flat)
    for axes in panels:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
        axes.xaxis.set_tick_params(labelbottom=True)
    for axes in panels[count:]:
        axes.remove()
    return figure, panels[:count]


def _legend(figure, labels: list[str]) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], **_style(i)) for i in range(len(labels))]
    figure.legend(lines, labels, loc="outside upper left", ncols=4, frameon=False, fontsize=9)


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--out",
        default="",
        help=".png, .pdf or .svg (RUN/pictures/curves.png; of several curves.png beside them)",
    )
    options = parser.parse_args()
    print(draw_curves(_those_with_figures(options.runs), options.out))


def _those_with_figures(runs: list[str]) -> list[Path]:
    """Of several runs each once, without what has no figures, which is named; one as it is."""
    paths = list(dict.fromkeys(map(Path, runs)))
    found = [path for path in paths if read_metrics(path)]
    if len(paths) == 1 or not found:
        return paths
    if others := [str(path) for path in paths if path not in found]:
        print(f"left out, without figures: {some_of(others)}", file=sys.stderr)
    return found


if __name__ == "__main__":
    main()
