"""A run's folder: where its checkpoints lie, which one counts, and what a checkpoint's files are.

    RUN/checkpoints/
        step-00001000/
            config.json          step, metrics, and how to build the networks
            model.safetensors    one file for each prepared network, under its name
            ema.safetensors      its moving average (other networks: NAME.ema.safetensors)
            training_state/      optimizers, loss scale: what only resuming needs
        last -> step-…           best -> step-…

This only reads, and imports nothing of the library but its errors: the models, which open runs as
weights, and the training, which writes them (`core.training.checkpoint`), both stand on it.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from core.errors import InputError

STEP = re.compile(r"step-(\d{8,})")


def find_checkpoint(path: str | Path, which: str = "best") -> Path:
    """A checkpoint folder: of a run its `best`, or where it has none its last; or `path` itself.

    Raises InputError where there is none, and where `best` points at one that is gone.
    """
    path = Path(path)
    if (path / "config.json").is_file():
        return path
    best = path / "checkpoints" / "best"
    if which == "best" and (best.is_symlink() or best.exists()):
        if not (best / "config.json").is_file():
            raise InputError(
                f"{best} points at {best.resolve().name}, which is no checkpoint (any more): give "
                "one of the folders beside it"
            )
        return best.resolve()
    steps = list_checkpoints(path)
    steps = steps or list(path.glob("checkpoints/last"))  # in a copy, which has no links
    if not steps:
        raise InputError(f"{path} holds no checkpoint: give the folder of a run or a checkpoint")
    return steps[-1]


def list_checkpoints(run: str | os.PathLike) -> list[Path]:
    """Complete checkpoints of a run, oldest first."""
    folders = Path(run, "checkpoints").glob("step-*")
    return sorted((p for p in folders if STEP.fullmatch(p.name)), key=step_of)


def latest_checkpoint(run: str | os.PathLike) -> Path | None:
    """The newest complete checkpoint of a run; None where there is none yet."""
    return next(reversed(list_checkpoints(run)), None)


def step_of(checkpoint: Path) -> int:
    """The optimizer step that a checkpoint's folder is named after; links are followed."""
    return int(STEP.fullmatch(checkpoint.resolve().name)[1])


def read_info(checkpoint: str | os.PathLike) -> dict:
    """The checkpoint's config.json. Raises InputError where it cannot be read."""
    path = Path(checkpoint, "config.json")
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): is it a checkpoint folder?") from error


def weights_file(name: str, ema: bool = False) -> str:
    """model.safetensors and ema.safetensors, else NAME.safetensors and NAME.ema.safetensors."""
    if ema:
        return "ema.safetensors" if name == "model" else f"{name}.ema.safetensors"
    return f"{name}.safetensors"


def averaged_weights(checkpoint: Path, name: str = "model") -> Path:
    """The file with a network's moving average, or its weights where there is none."""
    average = checkpoint / weights_file(name, ema=True)
    return average if average.is_file() else checkpoint / weights_file(name)
