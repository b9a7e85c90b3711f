"""What has to be kept to go on, under every strategy of accelerate.

Network weights are read before `accelerator.prepare`, when every strategy still sees plain modules,
and written as one whole file. Optimizer states are whole files too (plain, DDP, FSDP2), so a run
may go on with another number of processes; DeepSpeed keeps its own format and number of them.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from core.checkpoints import read_info, weights_file
from core.config import to_plain
from core.errors import InputError, first_line
from core.training.feed import RECORD
from core.training.files.checkpoint import save_weights
from core.training.session import Session


@dataclass
class WholeState:
    """Everything of a checkpoint, in the main process's memory; ``run`` is the run's folder."""

    weights: dict[str, dict[str, torch.Tensor]]  # state dicts by file name
    training: dict[str, Any]  # by part; empty under DeepSpeed, which has written its own
    run: Path
    order: dict[str, Any] = field(default_factory=dict)  # `core.training.feed` of a stream

    def write(self, info: dict[str, Any], folder: Path) -> None:
        """Fill a checkpoint folder; ``info`` becomes its config.json."""
        for name, tensors in self.weights.items():
            save_weights(tensors, folder / name)
        for name, value in self.training.items():
            torch.save(value, folder / "training_state" / f"{name}.pt")
        if _engine_folder(self.run).exists():
            (folder / "training_state").rmdir()
            os.replace(_engine_folder(self.run), folder / "training_state")
        if self.order:
            (folder / RECORD).write_text(json.dumps(self.order) + "\n")
        (folder / "config.json").write_text(json.dumps(to_plain(info), indent=2) + "\n")


def gather(session: Session, parts: dict, averages: dict, run: Path) -> WholeState:
    """Collect the state of the prepared parts and the moving averages. All processes call it."""
    weights = {
        weights_file(name): session.accelerator.get_state_dict(part)
        for name, part in parts.items()
        if isinstance(part, nn.Module)
    }
    for name, average in averages.items():
        weights[weights_file(name, ema=True)] = average.state_dict()
    return WholeState(weights, _training(session, parts, run), run)


def describe(networks: dict[str, nn.Module]) -> dict[str, Any]:
    """What networks say of themselves (`describe()`): enough to build them again."""
    able = {name: net for name, net in networks.items() if hasattr(net, "describe")}
    descriptions = {name: net.describe() for name, net in able.items()}
    return descriptions.pop("model", {}) | descriptions  # the network called model on the top level


def check_classes(name: str, network: nn.Module, checkpoint: Path) -> None:
    """Raise InputError where a network's head is for other classes than the checkpoint's.

    A row of the head, and what the optimizer keeps of it, belongs to the class that it learnt.
    """
    saved = read_info(checkpoint)
    saved = saved if name == "model" else saved.get(name) or {}
    ours = describe({"model": network})
    old, new = ((d.get("head") or {}).get("classes") for d in (saved, ours))
    if old and new and old != new:
        gone, come = sorted(set(old) - set(new))[:5], sorted(set(new) - set(old))[:5]
        raise InputError(
            f"{checkpoint} was trained on other classes (gone: {', '.join(gone) or 'none'}; new: "
            f"{', '.join(come) or 'none, in another order'}): bring their names back, or begin a "
            "new run with --model.weights"
        )


def _training(session: Session, parts: dict[str, Any], run: Path) -> dict[str, Any]:
    if session.sharding == "DeepSpeed":
        # each process writes its own part, so it is done here and not by the main process
        session.accelerator.save_state(str(_engine_folder(run)))
        session.wait()
        return {}
    optimizers = {n: p for n, p in parts.items() if not isinstance(p, nn.Module)}
    state = {name: _optimizer_state(session, parts, o) for name, o in optimizers.items()}
    if session.accelerator.scaler is not None:
        state["loss_scale"] = session.accelerator.scaler.state_dict()
    return state


def _engine_folder(run: Path) -> Path:
    return run / "checkpoints" / ".deepspeed.partial"


def _optimizer_state(session: Session, parts: dict[str, Any], optimizer) -> dict[str, Any]:
    if session.sharding == "FSDP2":
        dcp, whole = _sharded_states()
        return dcp.get_optimizer_state_dict(_network(parts), _bare(optimizer), options=whole)
    return optimizer.state_dict()


def _sharded_states() -> tuple[Any, Any]:
    """torch's functions for sharded states, and the option that makes them whole."""
    from torch.distributed.checkpoint import state_dict as dcp  # here: the import takes seconds

    return dcp, dcp.StateDictOptions(full_state_dict=True, cpu_offload=True)


def _network(parts: dict[str, Any]) -> nn.Module:
    """The one network that a sharded run trains."""
    return next(p for p in parts.values() if isinstance(p, nn.Module))


def _bare(optimizer) -> torch.optim.Optimizer:
    return getattr(optimizer, "optimizer", optimizer)


def restore_training(session: Session, parts: dict[str, Any], folder: Path) -> None:
    """Give the prepared parts the state of a checkpoint's training_state/."""
    if session.sharding == "DeepSpeed":
        session.accelerator.load_state(str(folder))
        return
    for name, part in parts.items():
        if not isinstance(part, nn.Module):
            _restore_optimizer(session, parts, part, _read(folder / f"{name}.pt"))
    if session.accelerator.scaler is not None and (folder / "loss_scale.pt").is_file():
        session.accelerator.scaler.load_state_dict(_read(folder / "loss_scale.pt"))


def _restore_optimizer(session: Session, parts: dict[str, Any], optimizer, state: dict) -> None:
    # `Run.prepare` has set them by the configuration; the saved state holds those of then
    peaks = [group["initial_lr"] for group in optimizer.param_groups]
    if session.sharding == "FSDP2":
        dcp, whole = _sharded_states()
        dcp.set_optimizer_state_dict(_network(parts), _bare(optimizer), state, options=whole)
    else:
        optimizer.load_state_dict(state)
    for group, peak in zip(optimizer.param_groups, peaks, strict=True):
        group["initial_lr"] = peak  # the configuration decides, not the checkpoint


def _read(path: Path) -> dict:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(
            f"{path} is missing: this checkpoint cannot be resumed with these optimizers"
        ) from error
    except Exception as error:  # a damaged pickle raises many kinds
        raise InputError(f"{path} cannot be read: {first_line(error)}") from error
