"""Images/s, latency, memory and MACs of any models side by side, and what the machine could do.

python core/eval.py throughput --models mixer_b16,gelu=exact timm:mixer_b16_224

All models take turns (`core.profiling.timing`), and so do plain matrix products of the same
precision, whose best rate is the peak that "of peak" refers to. Each network has a linear head of
1,000 classes behind its own pooling. A training step is forward, backward and fused AdamW.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from core.config import did_you_mean
from core.errors import InputError
from core.files import write_json
from core.models.backbone import kind_of
from core.models.classifier import create_classifier
from core.models.room import check_room
from core.profiling.rows import Row, add_memory, open_entry, rows_table, save_csv, summary
from core.profiling.subjects import (
    CLASSES,
    Compile,
    Mode,
    Precision,
    Setting,
    compiled_for_every_shape,
    fp32_products,
    split_options,
)
from core.profiling.timing import device_clock, interleave, machine, products
from core.profiling.tokens import time_tokens, tokens_table
from core.ranges import Count, Counts, Positive, Size, Whole, check_ranges
from core.training.session import Session


@dataclass(frozen=True)
class Config:
    """Throughput, latency, memory and cost of backbones, side by side."""

    # names as `create_backbone` takes them, with its options after commas: a Mixer's GELU is the
    # official tanh, and "mixer_b16,gelu=exact" the equal of timm's
    models: tuple[str, ...] = ("mixer_b16", "timm:mixer_b16_224", "timm:vit_base_patch16_224")
    # the model that ratios are taken against; empty: the first
    reference: str = ""
    # height and width in pixels
    image_size: Size = (224, 224)
    # images in a step; 0: of the powers of two the fastest for each model
    batch_size: Whole = 0
    # every combination of the next three is measured
    modes: tuple[Mode, ...] = ("inference", "train")
    # compiled: by inductor; compilation is reported apart
    compile: tuple[Compile, ...] = ("eager",)
    # bf16-autocast: float32 parameters; bf16-pure: bfloat16 parameters and optimizer state
    precisions: tuple[Precision, ...] = ("fp32", "bf16-autocast")
    # rounds in which each model has its turn
    repeats: Count = 7
    # of one turn
    seconds: Positive = 1.0
    # images and convolutions with channels last
    channels_last: bool = False
    # float32 products in TF32, on GPUs that have it
    tf32: bool = False
    # sides of square images in pixels, e.g. 112 224 448: also measure the cost as tokens grow
    tokens: Counts = ()
    # folder for throughput.json, .csv and pictures; those of an earlier measurement are replaced
    out: str = "results/throughput"


def run(config: Config, session: Session) -> dict:
    """Measure, print tables, write throughput.json, .csv and pictures; return the record."""
    _check(config, session)
    record = {"config": config, "machine": machine(session.device), "settings": []}
    session.print(_about(record["machine"], config))
    with fp32_products(config.tf32):
        for setting in settings(config):
            record["settings"].append(figures := time_models(config, setting, session.device))
            session.print(rows_table(figures))
            _write(config.out, record)  # a later failure loses nothing
        if config.tokens:
            record["tokens"] = _by_tokens(config, session.device)
            session.print(tokens_table(record["tokens"]))
    paths = _write(config.out, record)
    session.print("wrote " + ", ".join(map(str, paths)))
    _check_some(record)
    return record


def settings(config: Config) -> list[Setting]:
    """Every combination of mode, compilation and precision."""
    return [
        Setting(mode, compiled, precision)
        for mode in config.modes
        for compiled in config.compile
        for precision in config.precisions
    ]


def time_models(config: Config, setting: Setting, device: torch.device) -> dict:
    """{"setting", "peak": MAC/s, "products": {shape: MAC/s}, "rows": [Row, ...]}, all models."""
    clock, reference = device_clock(device), config.reference or config.models[0]
    rivals = products(device, setting.dtype)
    with compiled_for_every_shape():
        entries = [
            open_entry(name, setting, config.image_size, device, clock, *_options(config))
            for name in config.models
        ]
        works = [work for e in entries for work in (e.work, e.single) if work]
        interleave([*rivals, *works], config.repeats, config.seconds, clock)
        for entry in entries:
            add_memory(entry)
    return summary(setting, rivals, entries, reference)


def _by_tokens(config: Config, device: torch.device) -> list[dict]:
    turns = {"repeats": config.repeats, "seconds": config.seconds}
    setting = settings(config)[0]
    return time_tokens(config.models, config.tokens, setting, device, *_options(config), **turns)


def _options(config: Config) -> tuple[int, bool]:
    return config.batch_size, config.channels_last


def _write(folder: str, record: dict) -> list[Path]:
    from core.profiling.plots import plot_accuracy, plot_rates, plot_tokens

    rows, device = _rows(record), record["machine"]["device"]
    paths = [write_json(Path(folder) / "throughput.json", record)]
    paths += [save_csv(rows, Path(folder) / "throughput.csv")]
    paths += [plot_rates(rows, device, Path(folder) / "rates.png")]
    published = rows if record["config"].image_size == (224, 224) else []  # accuracies are at 224
    paths += [plot_accuracy(published, device, Path(folder) / "accuracy.png")]
    if "tokens" in record:
        paths += [plot_tokens(record["tokens"], device, Path(folder) / "tokens.png")]
    return paths


def _rows(record: dict) -> list[Row]:
    return [row for setting in record["settings"] for row in setting["rows"]]


def _about(about: dict, config: Config) -> str:
    words = [about["device"], f"{about['threads']} threads of {about['cores']} cores"]
    words += [f"torch {about['torch']}", f"TF32 {'on' if config.tf32 else 'off'}"]
    words += ["channels last" if config.channels_last else "channels first"]
    return ", ".join([*words, f"load before {about['load_before']}"])


def _check(config: Config, session: Session) -> None:
    if not config.models:
        raise InputError("no models given: set --models to one or more names")
    if config.reference and config.reference not in config.models:
        hint = did_you_mean(config.reference, config.models)
        raise InputError(f"--reference {config.reference!r} is not one of the models.{hint}")
    check_ranges(config, "--")
    if all(unknown := [_unknown(name, config, session.device) for name in config.models]):
        # now: the machine's own speed takes a while to measure
        raise InputError(f"no model could be measured; the first: {config.models[0]}: {unknown[0]}")
    if session.world > 1:
        raise InputError("throughput is measured on one process: leave out --num_processes")


def _unknown(name: str, config: Config, device: torch.device) -> str:
    """Why a model's name cannot be built on the device; empty where it may be."""
    try:
        backbone, options = split_options(name)
        if kind_of(backbone) != "timm":  # timm's are not made without memory
            build = partial(create_classifier, backbone, config.image_size, CLASSES, **options)
            with device:
                check_room(build, name)
    except InputError as error:
        return str(error)
    return ""


def _check_some(record: dict) -> None:
    rows = _rows(record)
    if all(row.images_per_second is None for row in rows):
        raise InputError(f"no model could be measured; the first: {rows[0].model}: {rows[0].error}")
