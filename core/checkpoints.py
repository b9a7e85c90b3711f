"""A run's folder: where its checkpoints lie, which one counts, and what a checkpoint's files are.

    RUN/checkpoints/
        step-00001000/
            config.json          step, metrics, and how to build the networks
            SHA256SUMS           of all other files: `sha256sum --check SHA256SUMS` reads it too
            model.safetensors    one file for each prepared network, under its name
            ema.safetensors      its moving average (other networks: NAME.ema.safetensors)
            training_state/      optimizers, loss scale: what only resuming needs
        last -> step-…           best -> step-…

A folder that lacks something, or whose bytes have changed, is passed over and named: the newest
whole one counts. This only reads, and imports nothing of the library but its errors: the models,
which open runs as weights, and the training, which writes them (`core.training.files`), both
stand on it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import DIVERGED, InputError

if TYPE_CHECKING:
    from torch import Tensor

STEP = re.compile(r"step-(\d{8,})")
SUMS = "SHA256SUMS"
WEIGHTS = ".safetensors"
GIVE = "give the folder of a run or a checkpoint"


def find_checkpoint(path: str | Path, which: str = "best") -> Path:
    """A checkpoint folder: of a run its `best`, or where it has none its last; or `path` itself.

    Raises InputError where there is none, and where `best` or `path` itself is gone or damaged.
    Damaged ones that are newer than the last are named on stderr.
    """
    path = Path(path)
    if (path / "config.json").is_file():
        return _require_whole(path)
    best = path / "checkpoints" / "best"
    if which == "best" and (best.is_symlink() or best.exists()):
        there = Path(os.path.realpath(best))  # which a link to itself does not stop
        if not (best / "config.json").is_file():
            raise InputError(
                f"{best} points at {there.name}, which is no checkpoint (any more): give one of "
                "the folders beside it"
            )
        return _require_whole(there)
    # in a copy, which has no links, `last` is a folder
    candidates = step_folders(path) or list(path.glob("checkpoints/last"))
    for candidate in reversed(candidates):
        if not (reason := damage(candidate, of_weights)):
            return candidate
        print(f"note: passed over, {candidate}: {reason}", file=sys.stderr, flush=True)
    if path.is_file():
        raise InputError(
            f"{path} is a file, and holds no checkpoint: {GIVE} first, then your files"
        )
    raise InputError(f"{path} holds no {'whole ' if candidates else ''}checkpoint: {GIVE}")


def unfit(saved: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """What is wrong with the numbers of saved weights, of those ``wanted``; empty: nothing.

    Whole numbers where there were fractions, and what is not finite: of a run that diverged.
    """
    for name, tensor in saved.items():
        if name not in wanted or not wanted[name].is_floating_point():
            continue
        if not tensor.is_floating_point():
            return f"{name} is {str(tensor.dtype).removeprefix('torch.')}, and holds no fractions"
        if not tensor.isfinite().all():
            return f"{name} is not finite, {DIVERGED}"
    return ""


def _require_whole(checkpoint: Path) -> Path:
    if reason := damage(checkpoint, of_weights):
        raise InputError(f"{checkpoint} is damaged, {reason}: give another checkpoint")
    return checkpoint


def step_folders(run: str | os.PathLike) -> list[Path]:
    """What is named as a checkpoint of a run, whole or not, oldest first."""
    folders = Path(run, "checkpoints").glob("step-*")
    return sorted((p for p in folders if STEP.fullmatch(p.name)), key=_named_step)


def list_checkpoints(run: str | os.PathLike) -> list[Path]:
    """Complete checkpoints of a run, oldest first; by their files, whose bytes are not read."""
    return [path for path in step_folders(run) if not damage(path, nothing)]


def latest_checkpoint(run: str | os.PathLike) -> Path | None:
    """The newest complete checkpoint of a run; None where there is none yet."""
    return next(reversed(list_checkpoints(run)), None)


def everything(_name: str) -> bool:
    """For `damage`: the bytes of all files are read."""
    return True


def of_weights(name: str) -> bool:
    """For `damage`: those that a network is opened from are read."""
    return name == "config.json" or name.endswith(WEIGHTS)


def nothing(_name: str) -> bool:
    """For `damage`: the files are there, no byte of them is read."""
    return False


def damage(checkpoint: Path, read: Callable[[str], bool] = everything) -> str:
    """What is wrong with a checkpoint, in words; empty where it is whole.

    read: whether a file's bytes, not its presence alone, are held against its checksum. Of a folder
    without checksums, as older ones are, the files themselves must be such that they can be opened.
    """
    try:
        info = read_info(checkpoint)
        sums = read_sums(checkpoint)
    except InputError as error:
        return str(error)
    if reason := _strange(info):
        return f"config.json is no checkpoint's{reason}"
    names = sums or [str(p.relative_to(checkpoint)) for p in checkpoint.rglob("*") if p.is_file()]
    if not any(name.endswith(WEIGHTS) for name in names):
        return "it holds no weights"
    if missing := next((name for name in names if not (checkpoint / name).is_file()), None):
        return f"{missing} is missing"
    wrong = _changed if sums else _cut
    found = (wrong(checkpoint / name, sums.get(name, "")) for name in names if read(name))
    return next((reason for reason in found if reason), "")


def _strange(info: Any) -> str:
    """What no training writes into config.json; a network that is kept has no step, no metrics."""
    if not isinstance(info, dict):
        return f": it holds a {type(info).__name__}"
    step, metrics = info.get("step", 0), info.get("metrics") or {}
    if type(step) is not int or step < 0:
        return f": its step is {step!r:.40}, and no number of steps"
    if not isinstance(metrics, dict):
        return f": its metrics are {metrics!r:.40}, and no figures by name"
    return ""


def _changed(file: Path, digest: str) -> str:
    if sha256(file) == digest:
        return ""
    return f"{file.name} is not what was written ({SUMS}; if it was meant, delete {SUMS})"


def _cut(file: Path, _digest: str) -> str:
    """Of a file without a checksum: whether it is empty, or not as long as its header says."""
    from safetensors import SafetensorError, safe_open  # here: reading names needs no library

    if not file.stat().st_size:
        return f"{file.name} is empty"
    try:
        if file.suffix == WEIGHTS:
            safe_open(str(file), "pt")
    except (OSError, SafetensorError) as error:
        return f"{file.name} cannot be read ({error})"
    return ""


def sha256(file: Path) -> str:
    """The checksum of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def write_sums(checkpoint: Path) -> None:
    """The checksums of all files of a folder into it."""
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != SUMS)
    lines = (f"{sha256(file)}  {file.relative_to(checkpoint).as_posix()}\n" for file in files)
    (checkpoint / SUMS).write_text("".join(lines), encoding="utf-8")


def read_sums(checkpoint: Path) -> dict[str, str]:
    """Checksums by file; empty where there are none. Raises InputError for another content."""
    path = checkpoint / SUMS
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    found = [re.fullmatch(r"([0-9a-f]{64})  (.+)", line) for line in lines if line]
    if not found or None in found:
        raise InputError(f"{SUMS} is damaged")
    return {match[2]: match[1] for match in found}


def step_of(checkpoint: Path) -> int:
    """The optimizer step that a checkpoint's folder is named after; links are followed."""
    return _named_step(checkpoint.resolve())


def _named_step(checkpoint: Path) -> int:
    return int(STEP.fullmatch(checkpoint.name)[1])


def read_info(checkpoint: str | os.PathLike) -> dict:
    """The checkpoint's config.json. Raises InputError where it cannot be read."""
    path = Path(checkpoint, "config.json")
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
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
