"""Checkpoints written, linked and pruned. A kill at any moment leaves the last good one readable.

The layout is that of `core.checkpoints`. A checkpoint is written into a hidden sibling folder and
renamed when it is complete; one that is deleted is renamed first.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from core.checkpoints import (
    damage,
    latest_checkpoint,
    list_checkpoints,
    read_info,
    step_folders,
    step_of,
    unfit,
    write_sums,
)
from core.errors import InputError
from core.files import distinct_name, no_room, whole_file

LEFTOVERS = (".step-*.partial", ".step-*.pruned", ".last.*.partial", ".best.*.partial")


def write_checkpoint(run: str | os.PathLike, step: int, write: Callable[[Path], None]) -> Path:
    """Let ``write(folder)`` fill a new checkpoint; it appears whole or not at all."""
    final = Path(run, "checkpoints", f"step-{step:08d}")
    partial = final.with_name(f".{final.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        (partial / "training_state").mkdir(parents=True)
        write(partial)
        write_sums(partial)
        _share_mode(partial)
        remove_whole(final)  # what is there under its name is no checkpoint, or a damaged one
        os.replace(partial, final)
    except (OSError, SafetensorError, RuntimeError) as error:  # torch.save raises RuntimeError
        shutil.rmtree(partial, ignore_errors=True)
        raise InputError(_could_not_write(final, run, error)) from error
    return final


def _share_mode(folder: Path) -> None:
    """Who may read and write the folder that this one is to lie in may do so with all of it.

    safetensors writes files that nobody but their owner can read.
    """
    mode = stat.S_IMODE(folder.parent.stat().st_mode)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(mode if path.is_dir() else mode & 0o666)


def remove_whole(folder: Path) -> None:
    """Delete a folder, if there is one: under its name it is whole, or gone."""
    if os.path.lexists(folder):
        hidden = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.pruned")
        folder.rename(hidden)
        _delete(hidden)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def sweep(run: str | os.PathLike) -> None:
    """Delete what a save that was killed has left half written or half deleted."""
    for pattern in LEFTOVERS:
        for path in Path(run, "checkpoints").glob(pattern):
            _delete(path)


def _could_not_write(final: Path, run: str | os.PathLike, error: Exception) -> str:
    latest = latest_checkpoint(run)
    good = f"the last good checkpoint is {latest}" if latest else "no earlier checkpoint exists"
    reason = getattr(error, "strerror", None) or str(error).split("\n")[0]
    return f"{no_room(final, reason)}; {good}"


def link(run: str | os.PathLike, name: str, target: Path) -> None:
    """Point checkpoints/``name`` at ``target``, atomically."""
    with whole_file(target.with_name(name)) as partial:
        partial.symlink_to(target.name)


def ranked(run: str | os.PathLike, metric: str, larger_is_better: bool) -> list[Path]:
    """Checkpoints that carry ``metric``, best first; of equals the earlier one."""
    scored = [((read_info(p).get("metrics") or {}).get(metric), p) for p in list_checkpoints(run)]
    scored = [(v, p) for v, p in scored if isinstance(v, int | float) and v == v]
    sign = -1 if larger_is_better else 1
    return [p for _, p in sorted(scored, key=lambda pair: (sign * pair[0], step_of(pair[1])))]


def link_and_prune(run: str | os.PathLike, metric: str, larger: bool, keep_best: int) -> None:
    """Point ``last`` and ``best``; delete what is neither the last nor among the best."""
    every, best = list_checkpoints(run), ranked(run, metric, larger)
    link(run, "last", every[-1])
    if best:
        link(run, "best", best[0])
    for checkpoint in set(every) - set(best[:keep_best]) - {every[-1]}:
        remove_whole(checkpoint)
    sweep(run)


def newest_whole(run: str | os.PathLike, metric: str, larger: bool) -> Path | None:
    """The checkpoint to go on from: the newest whose every byte is as it was written.

    Newer ones that are damaged are named, and renamed, so that nothing takes them for one and the
    run can write theirs again. Raises InputError where all are damaged.
    """
    damaged: list[tuple[Path, str]] = []
    for checkpoint in reversed(step_folders(run)):
        reason = damage(checkpoint)
        if not reason:
            _set_aside(run, damaged, metric, larger)
            return checkpoint
        damaged.append((checkpoint, reason))
    if damaged:
        raise InputError(
            f"{run} has no whole checkpoint to go on from; {damaged[0][0].name}: {damaged[0][1]}: "
            "choose another --run.folder"
        )
    return None


def _set_aside(
    run: str | os.PathLike, damaged: list[tuple[Path, str]], metric: str, larger: bool
) -> None:
    """Rename damaged checkpoints, and point the links at whole ones."""
    for checkpoint, reason in damaged:
        taken = {path.name for path in checkpoint.parent.iterdir()}
        aside = checkpoint.with_name(distinct_name(f"{checkpoint.name}.damaged", taken))
        checkpoint.rename(aside)
        words = f"note: passed over, {checkpoint}: {reason}; it is {aside.name} now"
        print(words, file=sys.stderr, flush=True)
    if damaged:
        link(run, "last", list_checkpoints(run)[-1])
        best = Path(run, "checkpoints", "best")
        if best.is_symlink() and not best.exists():
            best.unlink()
            for checkpoint in ranked(run, metric, larger)[:1]:
                link(run, "best", checkpoint)


def save_weights(module_state: dict[str, torch.Tensor], path: Path) -> None:
    """A state dict as safetensors."""
    save_file({k: v.detach().contiguous() for k, v in module_state.items()}, str(path))


def load_weights(module: nn.Module, path: Path) -> None:
    """Load a safetensors file strictly; an InputError names the first tensor that differs."""
    try:
        state = load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if difference := _difference(state, module.state_dict()):
        raise InputError(
            f"{path} is a checkpoint of another network: {difference}. "
            "Use the options that it was trained with (config.yaml), or another folder"
        )
    if wrong := unfit(state, module.state_dict()):
        raise InputError(f"{path}: {wrong}")
    module.load_state_dict(state)


def _difference(saved: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> str:
    for name, tensor in wanted.items():
        if name not in saved:
            return f"{name} is missing"
        if saved[name].shape != tensor.shape:
            return f"{name} is {tuple(saved[name].shape)} there, {tuple(tensor.shape)} here"
    extra = next((name for name in saved if name not in wanted), None)
    return f"{extra} has no place" if extra else ""
