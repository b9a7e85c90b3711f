"""Pictures of throughput: what was measured here, and beside it what the paper reports."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from core.pictures.figures import COLOURS, log_axis, new_figure, plain_axes, save_figure
from core.profiling.rows import Row

# MLP-Mixer, Tables 2 and 3: pre-training data, model, ImageNet top-1 (%), images/s for each core
# of a TPUv3. As reported; rows without a speed are left out.
REPORTED = (
    ("ImageNet", "Mixer-B/16", 76.44, 1384),
    ("ImageNet", "Mixer-L/16", 71.76, 419),
    ("ImageNet-21k", "Mixer-L/16 at 448", 83.91, 105),
    ("ImageNet-21k", "ViT-L/16 at 448", 85.30, 32),
    ("JFT-300M", "Mixer-S/32", 68.70, 11489),
    ("JFT-300M", "Mixer-B/32", 75.53, 4208),
    ("JFT-300M", "Mixer-S/16", 73.83, 3994),
    ("JFT-300M", "Mixer-B/16", 80.00, 1384),
    ("JFT-300M", "Mixer-L/32", 80.67, 1314),
    ("JFT-300M", "Mixer-L/16", 84.05, 419),
    ("JFT-300M", "Mixer-H/14", 86.32, 194),
    ("JFT-300M", "Mixer-L/16 at 448", 86.78, 105),
    ("JFT-300M", "Mixer-H/14 at 448", 87.94, 40),
    ("JFT-300M", "ViT-H/14 at 448", 88.55, 15),
)
BLUE, ORANGE, GREEN = COLOURS[:3]
DATA_COLOURS = {"ImageNet": BLUE, "ImageNet-21k": ORANGE, "JFT-300M": GREEN}
MIXER_NAME = re.compile(r"(?:timm:)?mixer_([sblh])(\d\d)(?:_224)?(?:\..*)?")


def plot_rates(rows: Sequence[Row], device: str, path: Path) -> Path:
    """Median images/s of every row, with the range of the rounds."""
    drawn = [row for row in rows if row.images_per_second is not None][::-1]
    figure = new_figure(9, 1.2 + 0.3 * max(len(drawn), 3))
    axes = figure.add_subplot()
    labels = [f"{r.model}   {r.mode}, {r.compile}, {r.precision}" for r in drawn]
    middle = [row.images_per_second for row in drawn]
    below = [row.images_per_second - row.images_per_second_low for row in drawn]
    above = [row.images_per_second_high - row.images_per_second for row in drawn]
    places = range(len(drawn))
    for place, *bar, row in zip(places, middle, below, above, drawn, strict=True):
        colour = BLUE if row.mode == "inference" else ORANGE
        axes.errorbar(bar[0], place, xerr=[[bar[1]], [bar[2]]], fmt="o", color=colour, capsize=3)
        axes.annotate(
            f"{bar[0]:,.1f}", (bar[0], place), (0, 6), textcoords="offset points", fontsize=7
        )
    log_axis(axes.xaxis)
    axes.set_yticks(places, labels, fontsize=8)
    axes.set_xlabel("images/s (median and range of the rounds)")
    axes.set_title(f"Measured here: {device}", fontsize=10)
    return _save(path, figure)


def plot_accuracy(rows: Sequence[Row], device: str, path: Path) -> Path:
    """Left the paper's accuracy against its speed; right the same accuracies against ours.

    On the right are the released architectures among the inference rows, each at the best of its
    measured speeds.
    """
    figure = new_figure(11, 5)
    left, right = figure.subplots(1, 2, sharey=True)
    for data, model, top1, speed in REPORTED:
        _point(left, speed, top1, data, model, hollow=model.startswith("ViT"))
    left.set_title("Reported: top-1, and speed on TPUv3 (Tables 2 and 3)", fontsize=10)
    left.set_xlabel("images/s for each TPUv3 core, as reported")
    left.set_ylabel("ImageNet top-1 (%), as reported")
    placed = measured_points(rows)
    for data, model, top1, speed in placed:
        _point(right, speed, top1, data, model, hollow=False)
    right.set_title(f"Measured here: speed on {device}", fontsize=10)
    right.set_xlabel("images/s, measured here (inference, best setting)")
    right.margins(x=0.3)
    if not placed:
        words = "no Mixer of the paper at 224 pixels\nwas among the models measured here"
        right.text(0.5, 0.5, words, ha="center", transform=right.transAxes)
        right.set_xticks([])
    _legend(left)
    return _save(path, figure)


def plot_tokens(points: Sequence[dict], device: str, path: Path) -> Path:
    """Time per image, time per token and MACs per image against the number of tokens."""
    figure = new_figure(13, 4.2)
    panels = {
        "ms_per_image": ("ms per image", 1),
        "us_per_token": ("µs per token", 1),
        "macs_per_image": ("GMACs per image", 1e-9),
    }
    drawn = [point for point in points if point["ms_per_image"] is not None]
    for axes, (key, (title, scale)) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        for model in dict.fromkeys(point["model"] for point in drawn):
            line = sorted((p["tokens"], p[key] * scale) for p in drawn if p["model"] == model)
            axes.plot(*zip(*line, strict=True), marker="o", markersize=4, label=model)
        log_axis(axes.xaxis)
        if key == "us_per_token":
            axes.set_ylim(bottom=0)  # flat where the cost is linear in S
        else:
            log_axis(axes.yaxis)
        counts = sorted({point["tokens"] for point in drawn})
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.minorticks_off()
        axes.set(xlabel="tokens S", ylabel=title)
    if drawn:
        figure.axes[0].legend(frameon=False, fontsize=8)
    setting = points[0]["setting"]
    figure.suptitle(f"Measured here: {device}; {setting}", fontsize=10)
    return _save(path, figure)


def measured_points(rows: Sequence[Row]) -> list[tuple[str, str, float, float]]:
    """As REPORTED, with the best measured speed of each architecture that has an accuracy."""
    best: dict[str, float] = {}
    for row in rows:
        match = MIXER_NAME.fullmatch(row.model.split(",")[0])  # its options do not matter
        if match and row.mode == "inference" and row.images_per_second is not None:
            name = f"Mixer-{match[1].upper()}/{match[2]}"
            best[name] = max(best.get(name, 0.0), row.images_per_second)
    return [(data, name, top1, best[name]) for data, name, top1, _ in REPORTED if name in best]


def _point(axes, speed: float, top1: float, data: str, model: str, hollow: bool) -> None:
    colour = DATA_COLOURS[data]
    face = "none" if hollow else colour
    axes.scatter(speed, top1, s=36, marker="s" if hollow else "o", edgecolor=colour, facecolor=face)
    label = model.partition("-")[2]  # the marker says which family
    axes.annotate(label, (speed, top1), (5, 4), textcoords="offset points", fontsize=7)
    log_axis(axes.xaxis)


def _legend(axes) -> None:
    for data, colour in DATA_COLOURS.items():
        axes.scatter([], [], color=colour, label=f"pre-trained on {data}")
    axes.scatter([], [], color="#555555", label="Mixer")
    axes.scatter([], [], marker="s", facecolor="none", edgecolor="#555555", label="ViT")
    axes.legend(loc="lower left", frameon=False, fontsize=8)


def _save(path: Path, figure) -> Path:
    for axes in figure.axes:
        plain_axes(axes)
    return save_figure(path, figure)
