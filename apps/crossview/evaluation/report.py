"""Tables of an evaluation: a row for each metric, the generator first, the floors beside it."""

from __future__ import annotations

from collections.abc import Mapping

UNITS = {"psnr": "dB", "psnr_field": "dB", "sd_field": "dB", "sd_s2sp": "dB"}
PERCENT = ("top1", "top5", "top1_sure", "top5_sure", "map_accuracy", "map_miou")
SMALLER = ("lpips", "fid", "kid", "places_kl", "places_kl_field")  # is better
FIELD = "as the field's tables have it"


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown: metrics down, predictors across; the best of each row is bold."""
    names = list(dict.fromkeys(name for scores in rows.values() for name in scores))
    lines = ["| metric | " + " | ".join(rows) + " |", "|---" * (len(rows) + 1) + "|"]
    for name in names:
        values = [scores.get(name) for scores in rows.values()]
        best = _best(name, values)
        cells = [_cell(value, value is not None and value == best) for value in values]
        lines.append(f"| {label(name)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def label(name: str) -> str:
    """The metric, its unit, and whether it is the field's own."""
    unit = UNITS.get(name, "%" if name in PERCENT else "")
    words = [name.removesuffix("_field").replace("_", " "), *([unit] if unit else [])]
    if name.endswith("_field"):
        words.append(f"({FIELD})")
    if name in SMALLER:
        words.append("(smaller is better)")
    return " ".join(words)


def _best(name: str, values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None and value == value]
    if len(known) < 2 or name.endswith("_std"):
        return None
    return min(known) if name in SMALLER else max(known)


def _cell(value: float | None, best: bool) -> str:
    if value is None or value != value:
        return "-"
    words = f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}"
    return f"**{words}**" if best else words
