"""The table of an evaluation: a row for each metric, the generator first, the baselines beside."""

from __future__ import annotations

from collections.abc import Mapping

from core.tables import Table, best

UNITS = {"psnr": "dB", "psnr_field": "dB", "sd_field": "dB", "sd_s2sp": "dB"}
PERCENT = ("top1", "top5", "top1_sure", "top5_sure", "map_accuracy", "map_miou")
SMALLER = ("lpips", "fid", "kid", "places_kl", "places_kl_field")  # is better
FIELD = "as the field's tables have it"


def metrics_table(scores: Mapping[str, Mapping[str, float]]) -> Table:
    """Metrics down, predictors across; the best of each row is bold."""
    names = list(dict.fromkeys(name for values in scores.values() for name in values))
    cells = [[values.get(name) for values in scores.values()] for name in names]
    bold = {
        (row, 1 + column)
        for row, name in enumerate(names)
        if not name.endswith("_std")  # a spread is neither good nor bad
        for column in best(cells[row], name in SMALLER)
    }
    rows = [[label(name), *values] for name, values in zip(names, cells, strict=True)]
    forms = dict.fromkeys(scores, four_digits)
    return Table("", ["metric", *scores], rows, forms=forms, bold=bold)


def label(name: str) -> str:
    """The metric, its unit, and whether it is the field's own."""
    unit = UNITS.get(name, "%" if name in PERCENT else "")
    words = [name.removesuffix("_field").replace("_", " "), *([unit] if unit else [])]
    if name.endswith("_field"):
        words.append(f"({FIELD})")
    if name in SMALLER:
        words.append("(smaller is better)")
    return " ".join(words)


def four_digits(value: float) -> str:
    """A figure as tables have it: two decimals from 10 on, else four."""
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}"
