"""Optimizers by name; the learning rate and the weights' moving average, by optimizer step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from core.errors import InputError

# torch's own definitions: timm's `sgd` is Nesterov, its `rmsprop` has momentum 0.9
OPTIMIZERS = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
}


@dataclass(frozen=True)
class OptimConfig:
    """One optimizer."""

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = 1e-3  # peak learning rate
    weight_decay: float = 0.05  # not applied to biases and norms
    betas: tuple[float, float] = (0.9, 0.999)  # adam, adamw
    momentum: float = 0.9  # sgd


@dataclass(frozen=True)
class ScheduleConfig:
    """How the learning rate moves from its peak, for all optimizers of a run."""

    name: Literal["cosine", "linear", "constant", "step"] = "cosine"
    warmup: float = 0.05  # steps if >= 1, else a fraction of the run; linear from 0
    final: float = 0.0  # cosine, linear: last factor of the peak
    milestones: tuple[float, ...] = (0.8, 0.95)  # step: fractions of the run where it drops
    gamma: float = 0.1  # step: factor of each drop


def create_optimizer(config: OptimConfig, module: nn.Module) -> torch.optim.Optimizer:
    """The optimizer over the parameters that are to be trained; frozen ones are left out."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    if not parameters:
        raise InputError(f"{type(module).__name__} has no parameter to train: all are frozen")
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    options = {"momentum": config.momentum} if config.name == "sgd" else {"betas": config.betas}
    groups = [group for group in groups if group["params"]]
    return OPTIMIZERS[config.name](groups, lr=config.lr, **options)


def lr_factor(config: ScheduleConfig, step: int, steps: int) -> float:
    """Factor of the peak learning rate for optimizer step ``step`` of ``steps`` (0-based)."""
    warmup = config.warmup if config.warmup >= 1 else config.warmup * steps
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = min(1.0, (step - warmup) / max(1.0, steps - warmup))
    if config.name == "cosine":
        return config.final + (1 - config.final) * 0.5 * (1 + math.cos(math.pi * progress))
    if config.name == "linear":
        return config.final + (1 - config.final) * (1 - progress)
    if config.name == "step":
        return config.gamma ** sum(step >= m * steps for m in config.milestones)
    return 1.0


def set_lr(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set each group to its peak (``initial_lr``, kept at the first call) times ``factor``."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor


@torch.no_grad()
def move_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the exponential moving average of the parameters; buffers are copied.

    The decay is warmed up as min(decay, (1 + step) / (10 + step)), TensorFlow's rule: a short run
    would otherwise average its initial weights.
    """
    now = min(decay, (1 + step) / (10 + step))
    get_ema_multi_avg_fn(now)(list(average.parameters()), list(network.parameters()), None)
    for kept, buffer in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(buffer)
