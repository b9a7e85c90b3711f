"""Networks and optimizers of a run by name: plain, as accelerate prepared them, and averaged."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from core.checkpoints import weights_file
from core.errors import InputError
from core.training import state
from core.training.files import checkpoint
from core.training.optim import is_trained, move_average, set_lr, steps_module
from core.training.run_config import RunConfig
from core.training.session import Session


class Parts:
    """What `Run.prepare` was given; a checkpoint names its files after the names."""

    def __init__(self, session: Session, config: RunConfig):
        self.session, self.config = session, config
        self.plain: dict[str, nn.Module] = {}  # the networks without their wrappers
        self.prepared: dict[str, Any] = {}  # networks and optimizers as accelerate made them
        self.owned: dict[str, list[str]] = {}  # networks that each optimizer steps
        self.averages: dict[str, nn.Module] = {}  # moving ones

    def prepare(self, parts: dict[str, Any], micro_batch: int, resumed: Path | None) -> tuple:
        """All of them ready for the processes, in the order given; `Run.prepare` says what of it.

        micro_batch: the samples of one, in one process. resumed: the checkpoint that they go on
        from.
        """
        self.plain = {n: part for n, part in parts.items() if isinstance(part, nn.Module)}
        trained = {n: m for n, m in self.plain.items() if is_trained(m)}
        optimizers = {n: part for n, part in parts.items() if n not in self.plain}
        self._refuse_sharding(trained)
        for name, module in self.plain.items():
            self._begin_module(name, module, resumed)
        for name, optimizer in optimizers.items():
            self.owned[name] = [n for n, m in trained.items() if steps_module(optimizer, m)]
            set_lr(optimizer, 1.0)
        ready = {n: part for n, part in parts.items() if n in trained | optimizers}
        ready = self._prepare_trained(ready, micro_batch)
        for name in self.plain.keys() - trained.keys():
            ready[name] = parts[name].to(self.session.device)
        self.prepared = {name: ready[name] for name in parts}
        if resumed:
            state.restore_training(self.session, self.prepared, resumed / "training_state")
        return tuple(self.prepared.values())

    def _refuse_sharding(self, trained: dict[str, nn.Module]) -> None:
        if self.session.sharding and len(trained) > 1:
            raise InputError(
                f"{self.session.sharding} trains one network, this app has {len(trained)} "
                f"({', '.join(trained)}): use one device or data parallelism (MULTI_GPU)"
            )
        if self.session.sharding and self.config.ema:
            raise InputError(f"no moving average under {self.session.sharding}: set --run.ema 0")

    def _begin_module(self, name: str, module: nn.Module, resumed: Path | None) -> None:
        """Weights and moving average, while the module is still plain."""
        if resumed:
            state.check_classes(name, module, resumed)
            checkpoint.load_weights(module, resumed / weights_file(name))
        if self.config.ema and name in self.config.ema_of:
            average = copy.deepcopy(module).requires_grad_(False).to(self.session.device)
            if resumed:
                checkpoint.load_weights(average, resumed / weights_file(name, ema=True))
            self.averages[name] = average
        if self.config.compile:
            module.compile()  # torch.compile(module) would put _orig_mod. before every key

    def _prepare_trained(self, parts: dict[str, Any], micro_batch: int) -> dict[str, Any]:
        accelerator = self.session.accelerator
        if self.session.sharding == "DeepSpeed":  # it reads these from its own configuration
            settings = accelerator.deepspeed_plugin.deepspeed_config
            settings["train_micro_batch_size_per_gpu"] = micro_batch
            settings["gradient_clipping"] = self.config.clip
        ready = accelerator.prepare(*parts.values())
        return dict(zip(parts, ready if len(parts) > 1 else [ready], strict=True))

    def trained_networks(self) -> list[nn.Module]:
        """As accelerate prepared them."""
        return [p for p in self.prepared.values() if isinstance(p, nn.Module) and is_trained(p)]

    def to_evaluate(self, name: str) -> nn.Module:
        """A network's moving average, or itself where it has none."""
        network = (self.prepared if self.session.sharding else self.plain)[name]
        return self.averages.get(name, network)

    def name_of(self, optimizer: Any) -> str:
        """The name of a prepared optimizer."""
        return next(name for name, part in self.prepared.items() if part is optimizer)

    def set_lr(self, factor: float) -> None:
        """Of every optimizer: its peak times ``factor``."""
        for name in self.owned:
            set_lr(self.prepared[name], factor)

    @property
    def lr(self) -> float:
        """That of the first optimizer now."""
        return self.prepared[next(iter(self.owned))].param_groups[0]["lr"]

    def move_averages(self, optimizer: str, step: int) -> None:
        """Those of the networks that the optimizer of this name has stepped."""
        for name in self.averages.keys() & set(self.owned[optimizer]):
            move_average(self.averages[name], self.plain[name], self.config.ema, step)

    def not_finite(self) -> str:
        """The name of trained weights that are infinite or no number; empty: there are none.

        All processes call it, and say so together: of sharded weights each sees its own part.
        """
        trained = (
            (f"{name}.{inner}", getattr(weights, "to_local", lambda own=weights: own)())
            for name in sorted(set().union(*self.owned.values()))
            for inner, weights in self.plain[name].named_parameters()
        )
        mine = next((name for name, weights in trained if not weights.isfinite().all()), "")
        found = self.session.sum(torch.tensor(float(bool(mine))))
        return mine or "a weight of another process" * bool(found)

    def gather(self, run: Path) -> state.WholeState:
        """All that a checkpoint keeps of them. All processes call it."""
        return state.gather(self.session, self.prepared, self.averages, run)
