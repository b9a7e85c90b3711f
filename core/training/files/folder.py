"""A run's folder describes itself: what was asked, what it ran on, what came out."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from core.config import flatten, load_config, read_yaml, save_config, to_plain
from core.errors import InputError
from core.files import json_lines, write_text
from core.training.files import lock

SKIPPED = "skipped.txt"  # the samples that could not be read, and why


def claim(folder: Path, resume: bool) -> None:
    """Let no other process have a run's folder, where it is there. Nothing is made.

    Raises InputError if the folder is in use and ``resume`` is False (nothing is overwritten), if
    another process holds it, and if it is somebody's own.
    """
    of_run = _is_run(folder)
    if of_run:
        lock.hold(folder)
    if reason := _unfit(folder, resume, of_run):
        lock.release(folder)
        raise InputError(f"{folder} {reason}")


def _is_run(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("config.yaml", "checkpoints", lock.NAME))


def _unfit(folder: Path, resume: bool, of_run: bool) -> str:
    """Why a run may not go into a folder; empty where it may."""
    if not (folder.exists() and any(path.name != lock.NAME for path in folder.iterdir())):
        return ""
    if not (resume or _never_began(folder)):
        return "exists already: choose another --run.folder, or go on with --run.resume"
    return "" if of_run else "is not the folder of a run: choose another --run.folder"


def open_folder(folder: Path, resume: bool, config: Any, step: int) -> None:
    """Create the folder of a run, or take up the one of a run that goes on from ``step``.

    Raises InputError as `claim` does, where another run has come since. What an app has written
    there meanwhile is the run's own.
    """
    if _is_run(folder):
        claim(folder, resume)
    for name in ("checkpoints", "pictures"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    lock.hold(folder)
    _report_changes(folder / "config.yaml", config)
    save_config(config, folder / "config.yaml")
    cut_metrics(folder, step)
    with open(folder / "about.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({"from_step": step, **about()}) + "\n")


def _never_began(folder: Path) -> bool:
    """Whether a run failed here before its first step, on a wrong path for example."""
    metrics = folder / "metrics.jsonl"
    begun = any((folder / "checkpoints").glob("step-*")) or not metrics.is_file()
    return not begun and metrics.stat().st_size == 0


def _report_changes(path: Path, config: Any) -> None:
    for name, (old, new) in changed_settings(path, config).items():
        print(f"note: {name} was {old}, is now {new}", flush=True)


def changed_settings(path: Path, config: Any) -> dict[str, tuple[Any, Any]]:
    """Dotted names of what the yaml of a run says otherwise than ``config``: (old, new).

    Empty where there is no such file; run.resume does not count.
    """
    if not path.is_file():
        return {}
    old, new = flatten(_settings(path, type(config))), flatten(config)
    names = sorted((old.keys() | new.keys()) - {"run.resume"})
    return {n: (old.get(n), new.get(n)) for n in names if old.get(n) != new.get(n)}


def _settings(path: Path, kind: type) -> Any:
    """Those of a run's yaml by today's names, or as they stand there where that cannot be."""
    try:
        return load_config(kind, path)
    except InputError as error:
        try:
            return read_yaml(path)
        except InputError:
            print(f"note: {error}; it is written anew", flush=True)
            return {}


def about() -> dict[str, Any]:
    """Command, commit, versions and hardware of this process."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "command": shlex.join(sys.argv),
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "hardware": ", ".join(gpus) or f"{os.cpu_count()} CPU cores, {platform.machine()}",
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _commit() -> str:
    """The commit of this checkout, with + if files differ from it; empty outside of git."""
    root = Path(__file__).resolve().parents[3]
    try:
        call = ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--exclude=*"]
        return subprocess.run(call, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def append_metrics(folder: Path, row: dict[str, Any]) -> None:
    """One line of metrics.jsonl."""
    with open(folder / "metrics.jsonl", "a") as file:
        file.write(json.dumps(to_plain(row)) + "\n")


def read_metrics(folder: str | os.PathLike) -> list[dict[str, Any]]:
    """All whole lines of metrics.jsonl (`json_lines`) that have a step."""
    rows = json_lines(Path(folder, "metrics.jsonl"))
    return [row for row in rows if isinstance(row.get("step"), int)]


def training_seconds(folder: Path) -> float:
    """What a run's recorded steps took, without evaluations and saving, over all its starts."""
    batch, seconds, before = read_yaml(folder / "config.yaml")["run"]["batch_size"], 0.0, 0
    for row in read_metrics(folder):
        if "images_per_second" in row:
            seconds += (row["step"] - before) * batch / row["images_per_second"]
            before = row["step"]
    return seconds


def cut_metrics(folder: Path, step: int) -> None:
    """Drop what was recorded after ``step``: the run is about to record it again."""
    rows = [row for row in read_metrics(folder) if row["step"] <= step]
    write_text(folder / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def note_bad(folder: Path, path: str, reason: str) -> None:
    """Name a sample that could not be read."""
    with open(folder / SKIPPED, "a") as file:
        file.write(f"{path}\t{reason}\n")


def count_bad(folder: Path) -> int:
    """How many different samples have been named so."""
    if not (folder / SKIPPED).is_file():
        return 0
    return len({line.partition("\t")[0] for line in (folder / SKIPPED).read_text().splitlines()})
