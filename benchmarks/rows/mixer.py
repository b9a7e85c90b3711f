"""Mixers beside timm's, eager and compiled: images/s, memory, share of the machine's own peak.

Ours has the official tanh GELU, timm's its exact one. Random weights; batches of 16 (S/16), 8
(B/16). The peak is the best of plain matrix products of the same precision and the same rounds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch

from benchmarks.rows.pairs import Row, Settings, faster, in_turn, quartiles
from core.profiling.rows import Entry, add_memory, open_entry
from core.profiling.subjects import Setting, compiled_for_every_shape
from core.profiling.timing import Work, products

NETWORKS = {
    "S/16": ("mixer_s16", "timm:mixer_s16_224", 16),
    "B/16": ("mixer_b16", "timm:mixer_b16_224", 8),
}
TINY = {"tiny": ("mixer_c16_l1_p8", "vit_c16_l1_p8", 2)}
CPU = torch.device("cpu")


def eager(settings: Settings) -> Iterator[Row]:
    """Inference and training as they are."""
    for name in TINY if settings.smallest else NETWORKS:
        for precision in ("fp32", "bf16-pure"):
            yield from compare(settings, name, Setting("inference", "eager", precision), 1.05)
        for precision in ("fp32", "bf16-pure", "bf16-autocast"):
            yield from compare(settings, name, Setting("train", "eager", precision), 1.05)


def compiled(settings: Settings) -> Iterator[Row]:
    """Inference, both compiled by inductor; in the smallest form nothing is compiled."""
    how = "eager" if settings.smallest else "compiled"
    for name in TINY if settings.smallest else NETWORKS:
        for precision in ("fp32", "bf16-pure"):
            share = 0.9 if precision == "bf16-pure" else None
            yield from compare(settings, name, Setting("inference", how, precision), 1.1, share)


def compare(
    settings: Settings, name: str, setting: Setting, aim: float, share: float | None = None
) -> Iterator[Row]:
    """Rows of one network in one setting; share: the aim of the part of the peak."""
    *models, batch = (TINY | NETWORKS)[name]
    size, what = (16, 16) if settings.smallest else (224, 224), f"Mixer-{name}, {setting}"
    peaks = products(CPU, setting.dtype)
    if settings.smallest:
        peaks = peaks[-1:]
    with compiled_for_every_shape():
        entries = [
            open_entry(m, setting, size, CPU, time.perf_counter, batch_size=batch) for m in models
        ]
        works = [e.work or Work(e.row.model, None, 1, error=e.row.error) for e in entries]
        in_turn(settings, [*peaks, *works])
    yield faster(Row(what, "timm", aim), *works, unit="images/s")
    yield of_peak(Row(f"{what}: share of the peak", "matrix products", share), entries[0], peaks)
    if setting.mode == "train":
        yield memory(Row(f"{what}: peak memory", "timm", 1.0, at_least=False), entries)


def of_peak(row: Row, entry: Entry, peaks: list[Work]) -> Row:
    """MACs a second over those of the best product, round by round."""
    row.error = entry.row.error or entry.work.error
    if not row.error:
        best = [max(rates) for rates in zip(*(peak.rates for peak in peaks), strict=True)]
        done = [rate * entry.row.macs for rate in entry.work.rates]
        row.unit = "GMAC/s"
        row.sides = {"best product": quartiles([rate / 1e9 for rate in best])}
        values = [a / b for a, b in zip(done, best, strict=True)]
        row.figure, row.low, row.high = quartiles(values)
    return row


def memory(row: Row, entries: list[Entry]) -> Row:
    """Bytes of a training step with parameters and optimizer, ours over timm's; counted once."""
    for entry in entries:
        add_memory(entry)
    row.error, row.unit = entries[0].row.error or entries[1].row.error, "MiB"
    if not row.error:
        ours, theirs = (entry.row.peak_memory_mib for entry in entries)
        row.sides = {e.row.model: (e.row.peak_memory_mib,) * 3 for e in entries}
        row.figure = row.low = row.high = ours / theirs
    return row
