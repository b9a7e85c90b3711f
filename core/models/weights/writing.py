"""How a folder of kept weights is written: a backbone's (`keep.py`) and an app's network alike."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from core.checkpoints import read_info
from core.errors import InputError
from core.files import whole_folder, write_json, write_text
from core.models.weights.card import record_of
from core.models.weights.evaluations import numbers, read_evaluations
from core.models.weights.names import About

LIMIT = 10_000_000  # bytes of a file: a clone carries every version of it for ever
DTYPES = ("float16", "bfloat16")


def write_kept(
    folder: Path,
    state: Mapping[str, Tensor],
    about: About,
    info: Mapping[str, Any],
    rounding: Callable[[Path], float],
    card: Callable[[About], str],
    source: str | Path,
) -> Path:
    """config.json, model.safetensors and README.md in a new folder, all or nothing; returns it.

    state: in `about.precision` afterwards. info: of config.json, beside "about". rounding: what
    `About.rounding` is, measured on the folder as it will be. card: README.md of what is said then.
    Raises InputError where there is a folder, for numbers beyond the range of the precision, and
    for a file of more than LIMIT bytes, naming ``source``.
    """
    with whole_folder(folder) as draft:
        _write_state(draft / "model.safetensors", state, about.precision, source)
        write_json(draft / "config.json", {**info, "about": about})
        about = replace(about, rounding=rounding(draft))
        write_json(draft / "config.json", {**info, "about": about})
        write_text(draft / "README.md", card(about))
    return folder


def check_name(name: str, taken: Sequence[str]) -> None:
    """InputError for a name that is no small word, or one of those that mean something else."""
    if name in taken or not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        raise InputError(
            f"name is {name!r}: choose small letters, digits, - and _"
            + (f", and none of {', '.join(taken)}" if taken else "")
        )


def figures_of(checkpoint: Path, files: Sequence[str | Path]) -> dict[str, Any]:
    """About's figures and evaluations: measured while it trained, and afterwards.

    RUN/eval.json and RUN/transfer/*.json are taken beside the ``files``.
    """
    run = record_of(checkpoint).parent
    found = [run / "eval.json", *sorted((run / "transfer").glob("*.json"))]
    files = [*(file for file in found if file.is_file()), *map(Path, files)]
    figures = dict(numbers(read_info(checkpoint).get("metrics") or {}))
    return {"figures": figures, "evaluations": read_evaluations(files)}


def keeping_parser(prog: str, description: str, place: str, **name: Any) -> argparse.ArgumentParser:
    """The words of every command that keeps a run; place: what --out is without being told."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    add = parser.add_argument
    add("run", metavar="RUN", help="folder of a run or of one of its checkpoints")
    add("--name", **name)
    add("--data", required=True, help="what it was trained on, in a sentence")
    add("--terms", required=True, help="the terms of that data, in a sentence")
    add("--limits", nargs="+", default=[], help="what the weights are not good for, in sentences")
    add("--license", default="apache-2.0", help="of the weights, as the Hub calls it")
    add("--evaluations", nargs="+", default=[], metavar="FILE", help="json files of evaluations")
    add("--dtype", choices=DTYPES, default=DTYPES[0])
    add("--out", metavar="FOLDER", help=f"in which the folder NAME is made; default: {place}")
    return parser


def keep_as_told(
    keep: Callable[..., Path], parser: argparse.ArgumentParser, argv: Sequence[str] | None
) -> None:
    """Call a `keep(run, name, trained_on, ...)` by the words of `keeping_parser`; say what came."""
    words = vars(parser.parse_args(argv))
    folder = keep(words.pop("run"), words.pop("name"), words.pop("data"), **words)
    print(f"{folder}: {(folder / 'model.safetensors').stat().st_size / 1e6:.2f} MB")


def _write_state(file: Path, state: Mapping[str, Tensor], dtype: str, source: str | Path) -> None:
    save_file({key: _rounded(key, value, dtype) for key, value in state.items()}, file)
    if (size := file.stat().st_size) > LIMIT:
        raise InputError(
            f"{source}: {size / 1e6:.1f} MB in {dtype}, and at most {LIMIT / 1e6:g} are "
            "kept: share larger ones with push_to_hub"
        )


def _rounded(key: str, value: Tensor, dtype: str) -> Tensor:
    """In that precision; whole numbers, as BatchNorm counts its batches, stay what they are."""
    if not value.is_floating_point():
        return value.contiguous()
    rounded = value.to(getattr(torch, dtype)).contiguous()
    if not rounded.isfinite().all():
        raise InputError(
            f"{key} has values up to {value.abs().max():.3g}, which {dtype} cannot hold: "
            f"choose another of {', '.join(DTYPES)}, or see whether the training diverged"
        )
    return rounded
