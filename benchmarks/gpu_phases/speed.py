"""Images/s of our Mixers and timm's, eager and compiled, in turns (`core.profiling.timing`).

"of peak" takes a MAC for two operations and the peak from --peak; "of products" takes the best
rate of plain bfloat16 matrix products on this device for it.
"""

from __future__ import annotations

import gc
import statistics
import time

import torch

from benchmarks.gpu_phases.task import Record, Task
from core.profiling.rows import Entry, add_memory, fill, open_entry
from core.profiling.subjects import Setting, compiled_for_every_shape, split_options
from core.profiling.timing import device_clock, interleave, machine, products

# ours with timm's GELU, and timm's; what matters most first
B16, S16 = (
    ("mixer_b16,gelu=exact", "timm:mixer_b16_224"),
    ("mixer_s16,gelu=exact", "timm:mixer_s16_224"),
)
PLAN = [
    (B16, "train", "bf16-autocast", 256),
    (B16, "inference", "bf16-pure", 256),
    (S16, "train", "bf16-autocast", 256),
    (B16, "inference", "bf16-autocast", 256),
    (S16, "inference", "bf16-pure", 256),
    (B16, "train", "bf16-autocast", 64),
    (B16, "inference", "bf16-pure", 64),
    (S16, "inference", "bf16-autocast", 256),
    (S16, "train", "bf16-autocast", 64),
    (S16, "inference", "bf16-pure", 64),
    (B16, "inference", "bf16-autocast", 64),
    (S16, "inference", "bf16-autocast", 64),
]
TINY = ("mixer_c16_l1_p8", "vit_c16_l1_p8")
SMALLEST = [(TINY, "train", "bf16-autocast", 2), (TINY, "inference", "bf16-pure", 2)]
COLUMNS = ("model", "mode", "precision", "batch", "how", "images/s", "quartiles")
COLUMNS += ("to timm's", "peak MiB", "GMACs", "TFLOP/s", "of peak", "of products", "first call s")
REPEATS, SECONDS = 7, 0.3  # rounds, and of one turn


def run(task: Task, record: Record) -> None:
    """Table `Images a second`; what there is no time for is left out."""
    record.machine = machine(task.device)
    best = best_product(task)
    record.add(peak_tflops=task.peak, best_product_tflops=best)
    slowest = 0.0
    for names, mode, precision, batch in SMALLEST if task.smallest else PLAN:
        if task.left < 1.2 * slowest:
            record.skip(f"{names[0]}, {mode}, {precision}, batch {batch}")
            continue
        begun = time.monotonic()
        for entry, how in side_by_side(task, names, mode, precision, batch):
            record.row("Images a second", COLUMNS, cells(entry, how, task.peak, best))
        gc.collect()
        if task.kind == "cuda":
            torch.cuda.empty_cache()
        slowest = max(slowest, time.monotonic() - begun)


def best_product(task: Task) -> float:
    """TFLOP/s of the best of some bfloat16 matrix products."""
    works = products(task.device, torch.bfloat16)
    works = works[2:] if task.smallest else works
    interleave(works, 3, *_turns(task)[1:])
    return 2e-12 * max(work.rate.median for work in works if work.rates)


def _turns(task: Task) -> tuple:
    """Rounds, seconds of a turn, and the clock."""
    clock = device_clock(task.device)
    return (2, 0.01, clock) if task.smallest else (REPEATS, SECONDS, clock)


def side_by_side(
    task: Task, names: tuple[str, str], mode: str, precision: str, batch: int
) -> list[tuple[Entry, str]]:
    """Both networks, eager and compiled, in the same rounds; with what each is called."""
    size, turns = (16, 16) if task.smallest else (224, 224), _turns(task)
    hows = ("eager",) if task.smallest else ("eager", "compiled")
    with compiled_for_every_shape():
        entries = [
            open_entry(
                name, Setting(mode, how, precision), size, task.device, turns[-1], batch_size=batch
            )
            for how in hows
            for name in names
        ]
        for entry in entries:
            entry.single = None  # no latencies: each would be compiled as well
        interleave([entry.work for entry in entries if entry.work], *turns)
        for entry in entries:
            add_memory(entry)
    for ours, timms in zip(entries[::2], entries[1::2], strict=True):
        base = timms.work if timms.work and not timms.work.error else None
        fill(ours, base)
        fill(timms, base)
    return [(entry, entry.row.compile) for entry in entries]


def cells(entry: Entry, how: str, peak: float, best: float) -> tuple:
    """One row of the table; what failed has the reason for images/s."""
    row, work = entry.row, entry.work
    head = (split_options(row.model)[0], row.mode, row.precision, row.batch_size, how)
    if row.images_per_second is None:
        return (*head, f"failed: {row.error}", *[None] * (len(COLUMNS) - len(head) - 1))
    low, _, high = statistics.quantiles(work.rates, n=4, method="inclusive")
    flops = 2e-12 * row.macs_per_second
    shares = (flops, flops / peak, flops / best, row.first_call_seconds)
    spread, cost = f"{low:.0f} to {high:.0f}", row.macs / 1e9
    return (*head, row.images_per_second, spread, row.ratio, row.peak_memory_mib, cost, *shares)
