"""Checkpoints written, linked and pruned. A kill at any moment leaves the last good one readable.

The layout is that of `core.checkpoints`. A checkpoint is written into a hidden sibling folder and
renamed when it is complete.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from core.checkpoints import latest_checkpoint, list_checkpoints, read_info, step_of
from core.errors import InputError
from core.files import whole_file


def write_checkpoint(run: str | os.PathLike, step: int, write: Callable[[Path], None]) -> Path:
    """Let ``write(folder)`` fill a new checkpoint; it appears whole or not at all."""
    final = Path(run, "checkpoints", f"step-{step:08d}")
    partial = final.with_name(f".{final.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        (partial / "training_state").mkdir(parents=True)
        write(partial)
        os.replace(partial, final)
    except (OSError, SafetensorError, RuntimeError) as error:  # torch.save raises RuntimeError
        shutil.rmtree(partial, ignore_errors=True)
        raise InputError(_could_not_write(final, run, error)) from error
    return final


def _could_not_write(final: Path, run: str | os.PathLike, error: Exception) -> str:
    latest = latest_checkpoint(run)
    good = f"the last good checkpoint is {latest}" if latest else "no earlier checkpoint exists"
    reason = getattr(error, "strerror", None) or str(error).split("\n")[0]
    return f"{final} could not be written ({reason}): free some disk space; {good}"


def link(run: str | os.PathLike, name: str, target: Path) -> None:
    """Point checkpoints/``name`` at ``target``, atomically."""
    with whole_file(target.with_name(name)) as partial:
        partial.symlink_to(target.name)


def ranked(run: str | os.PathLike, metric: str, larger_is_better: bool) -> list[Path]:
    """Checkpoints that carry ``metric``, best first; of equals the earlier one."""
    scored = [(read_info(p)["metrics"].get(metric), p) for p in list_checkpoints(run)]
    scored = [(value, p) for value, p in scored if value is not None and value == value]
    sign = -1 if larger_is_better else 1
    return [p for _, p in sorted(scored, key=lambda pair: (sign * pair[0], step_of(pair[1])))]


def link_and_prune(run: str | os.PathLike, metric: str, larger: bool, keep_best: int) -> None:
    """Point ``last`` and ``best``; delete what is neither the last nor among the best."""
    every, best = list_checkpoints(run), ranked(run, metric, larger)
    link(run, "last", every[-1])
    if best:
        link(run, "best", best[0])
    for checkpoint in set(every) - set(best[:keep_best]) - {every[-1]}:
        shutil.rmtree(checkpoint)


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
    module.load_state_dict(state)


def _difference(saved: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> str:
    for name, tensor in wanted.items():
        if name not in saved:
            return f"{name} is missing"
        if saved[name].shape != tensor.shape:
            return f"{name} is {tuple(saved[name].shape)} there, {tuple(tensor.shape)} here"
    extra = next((name for name in saved if name not in wanted), None)
    return f"{extra} has no place" if extra else ""
