"""Rows of the throughput table: a model in a setting, its works, and the arithmetic on them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch

from core.errors import first_line
from core.files import whole_file
from core.profiling.cost import macs, parameters, training_macs
from core.profiling.subjects import Setting, Subject, best_batch, open_subject
from core.profiling.timing import Clock, Work, percentile, ratios
from core.tables import Table


@dataclass
class Row:
    """One model in one setting. None: not measured, for the reason in `error` if there is one."""

    model: str
    mode: str
    compile: str
    precision: str
    batch_size: int = 0
    images_per_second: float | None = None  # median of the rounds, with the least and greatest
    images_per_second_low: float | None = None
    images_per_second_high: float | None = None
    ratio: float | None = None  # to the reference's images/s, median over rounds
    ratio_low: float | None = None
    ratio_high: float | None = None
    latency_ms: float | None = None  # of one image; inference
    latency_p95_ms: float | None = None
    peak_memory_mib: float | None = None  # tensors of one step, with parameters and optimizer
    parameters: int | None = None  # with the head
    macs: int | None = None  # per image; in training with the backward pass
    macs_per_second: float | None = None
    share_of_peak: float | None = None
    first_call_seconds: float | None = None  # with compilation
    error: str = ""


@dataclass
class Entry:
    """A model in a setting while it is measured."""

    row: Row
    subject: Subject | None = None
    work: Work | None = None  # steps of batch_size images
    single: Work | None = None  # inference of one image


def open_entry(
    name: str,
    setting: Setting,
    image_size: tuple[int, int],
    device: torch.device,
    clock: Clock,
    batch_size: int = 0,
    channels_last: bool = False,
) -> Entry:
    """A model ready to be timed; a failure is its row's `error`. batch_size 0: the fastest."""
    row = Row(name, setting.mode, setting.compile, setting.precision)
    try:
        subject = open_subject(name, setting, image_size, device, channels_last)
        row.parameters = parameters(subject.network)
        count = training_macs if setting.mode == "train" else macs
        row.macs = count(subject.network, image_size)
        row.batch_size = batch_size or best_batch(subject, clock)
        if setting.compile == "compiled":
            subject.compile()
        work = Work(name, subject.step(row.batch_size), row.batch_size)
        infers = setting.mode == "inference"
        single = Work(name, subject.step(1), 1, single=True) if infers else None
    except Exception as error:  # one model's failure must not lose the others
        row.error = first_line(error)
        return Entry(row)
    return Entry(row, subject, work, single)


def add_memory(entry: Entry) -> None:
    """Peak memory into the row, after the turns: by then optimizers have their state."""
    if entry.work is None or entry.work.error:
        return
    try:
        entry.row.peak_memory_mib = entry.subject.memory(entry.row.batch_size) / 2**20
    except Exception as error:
        entry.row.error = f"memory: {first_line(error)}"


def summary(
    setting: Setting, rivals: Sequence[Work], entries: Sequence[Entry], reference: str
) -> dict:
    """The figures of works that have had their turns; they go into the rows of the entries too."""
    rates = {work.name: work.rate.median for work in rivals if work.rates}
    peak = max(rates.values(), default=None)
    base = next(entry.work for entry in entries if entry.row.model == reference)
    for entry in entries:
        fill(entry, base, peak)
    rows = [entry.row for entry in entries]
    return {"setting": setting, "peak": peak, "products": rates, "rows": rows}


def fill(entry: Entry, base: Work | None = None, peak: float | None = None) -> None:
    """The row's figures from the rates of its works; ratios against `base`, peak in MAC/s."""
    row, work, single = entry.row, entry.work, entry.single
    if work is None or work.error:
        row.error = row.error or work.error
        return
    row.first_call_seconds, rate = work.first_seconds, work.rate
    row.images_per_second = rate.median
    row.images_per_second_low, row.images_per_second_high = rate.low, rate.high
    if base is not None and (ratio := ratios(work, base)):
        row.ratio, row.ratio_low, row.ratio_high = ratio.median, ratio.low, ratio.high
    row.macs_per_second = rate.median * row.macs
    row.share_of_peak = row.macs_per_second / peak if peak else None
    if single is not None and single.error:
        row.error = f"one image: {single.error}"
    elif single is not None:
        times = [1e3 / rate for rate in single.rates]
        row.latency_ms, row.latency_p95_ms = percentile(times, 0.5), percentile(times, 0.95)


def rows_table(setting: dict) -> Table:
    """The rows of one setting, as `summary` gives it."""
    peak = setting["peak"]
    title = f"\n{setting['setting']}"
    title += f"; peak of matrix products {peak / 1e9:.1f} GMAC/s" if peak else "; no peak"
    head = ["model", "batch", "images/s (range)", "ratio (range)", "1 image ms (p95)", "peak MiB"]
    head += ["M params", "GMACs", "GMAC/s", "of peak", "first call s", ""]
    forms = {"peak MiB": "{:.0f}", "M params": "{:.2f}", "GMAC/s": "{:.1f}", "of peak": "{:.1%}"}
    forms |= {"first call s": "{:.2f}"}
    return Table(title, head, [_cells(row) for row in setting["rows"]], forms=forms)


def _cells(row: Row) -> list:
    """A cell for each column, the last for what failed; two where nothing could be measured."""
    if row.images_per_second is None:
        return [row.model, f"failed: {row.error}"]
    ratio = row.ratio and f"{row.ratio:.3f} ({row.ratio_low:.3f} to {row.ratio_high:.3f})"
    latency = row.latency_ms and f"{row.latency_ms:.2f} ({row.latency_p95_ms:.2f})"
    low, high = row.images_per_second_low, row.images_per_second_high
    rate = f"{row.images_per_second:.1f} ({low:.1f} to {high:.1f})"
    return [
        *(row.model, row.batch_size, rate, ratio, latency, row.peak_memory_mib),
        *(row.parameters / 1e6, row.macs / 1e9, row.macs_per_second / 1e9, row.share_of_peak),
        *(row.first_call_seconds, row.error),
    ]


def save_csv(rows: Sequence[Row], path: Path) -> Path:
    """Write one line for each row, whole or not at all."""
    with whole_file(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(map(asdict, rows))
    return path
