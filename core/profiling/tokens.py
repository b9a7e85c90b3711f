"""Cost as the number of tokens grows: the same models at several image sizes, taking turns.

A Mixer keeps its D_S whatever S is, as the paper's table of sizes has it (a resolution change of
trained weights would grow it with S), so that its cost is linear in S; a ViT's attention is not.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from core.profiling.rows import Entry, add_memory, fill, open_entry
from core.profiling.subjects import Setting, compiled_for_every_shape
from core.profiling.timing import device_clock, interleave
from core.tables import Table


def time_tokens(
    models: Sequence[str],
    sides: Sequence[int],
    setting: Setting,
    device: torch.device,
    batch_size: int = 0,
    channels_last: bool = False,
    repeats: int = 7,
    seconds: float = 1.0,
) -> list[dict]:
    """One dict for each model and side of a square image, in pixels.

    {"model", "setting", "side", "tokens", "batch_size", "ms_per_image", "us_per_token",
    "macs_per_image", "peak_memory_mib", "error"}; figures are None where a model failed.
    """
    clock = device_clock(device)
    with compiled_for_every_shape():
        entries = [
            (
                side,
                open_entry(name, setting, (side, side), device, clock, batch_size, channels_last),
            )
            for name in models
            for side in sides
        ]
        for _, entry in entries:
            entry.single = None  # no latencies here
        works = [entry.work for _, entry in entries if entry.work]
        interleave(works, repeats, seconds, clock)
        for _, entry in entries:
            add_memory(entry)
            fill(entry)
    return [_point(side, entry, setting) for side, entry in entries]


def _point(side: int, entry: Entry, setting: Setting) -> dict:
    row, rate = entry.row, entry.row.images_per_second
    grid = entry.subject.network.backbone.grid if entry.subject else None
    tokens = grid[0] * grid[1] if grid else None
    return {
        "model": row.model,
        "setting": str(setting),
        "side": side,
        "tokens": tokens,
        "batch_size": row.batch_size,
        "ms_per_image": 1e3 / rate if rate else None,
        "us_per_token": 1e6 / rate / tokens if rate else None,
        "macs_per_image": row.macs,
        "peak_memory_mib": row.peak_memory_mib,
        "error": row.error,
    }


def tokens_table(points: Sequence[dict]) -> Table:
    """The points as text."""
    head = ["model", "pixels", "tokens", "batch", "ms/image", "us/token", "GMACs", "peak MiB"]
    forms = {"ms/image": "{:.2f}", "us/token": "{:.2f}", "peak MiB": "{:.0f}"}
    title = f"\nby tokens; {points[0]['setting']}"
    return Table(title, head, [_cells(point) for point in points], forms=forms)


def _cells(point: dict) -> list:
    if point["ms_per_image"] is None:
        return [f"{point['model']} at {point['side']}", f"failed: {point['error']}"]
    return [
        *(point[name] for name in ("model", "side", "tokens", "batch_size")),
        *(point["ms_per_image"], point["us_per_token"], point["macs_per_image"] / 1e9),
        point["peak_memory_mib"],
    ]
