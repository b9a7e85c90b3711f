"""Optimizers by name, layer decay; the learning rate and the moving average, by optimizer step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from core.config import did_you_mean
from core.errors import InputError, first_line
from core.ranges import Decay, Fractions, NonNegative, PositiveShare, Range, Share
from core.training.optimistic import OptimisticAdam

# torch's own definitions: timm's `sgd` is Nesterov, its `rmsprop` has momentum 0.9
OPTIMIZERS = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "adamax": torch.optim.Adamax,
    "nadam": torch.optim.NAdam,
    "optimistic_adam": OptimisticAdam,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
}

MUONS = ("muon", "nmuon", "adamuon", "nadamuon")  # of timm: matrices step orthogonally


@dataclass(frozen=True)
class OptimConfig:
    """One optimizer: a name in OPTIMIZERS, or timm:<name> for any of timm.optim (lamb, lion, ...).

    Weight decay is decoupled, times the learning rate, in adamw and optimistic_adam; in adam,
    adamax, nadam, sgd and rmsprop it is coupled: added to the gradient (L2). With timm:<name> it is
    what timm makes of it.
    """

    name: str = "adamw"
    lr: NonNegative = 1e-3  # peak learning rate
    weight_decay: NonNegative = 0.05  # not applied to biases and norms
    # the adams; timm:<name> has its own unless changed
    betas: Annotated[tuple[float, float], Range(0, 1, below=True)] = (0.9, 0.999)
    momentum: Decay = 0.9  # sgd (0: plain SGD) and those of timm that have one; not rmsprop
    # the learning rate's factor for each layer of the backbone downwards
    layer_decay: PositiveShare = 1.0


@dataclass(frozen=True)
class ScheduleConfig:
    """How the learning rate moves from its peak, for all optimizers of a run."""

    name: Literal["cosine", "linear", "constant", "step"] = "cosine"
    warmup: NonNegative = 0.05  # steps if >= 1, else a fraction of the run; linear from 0
    hold: Share = 0.0  # cosine, linear: fraction of the run after which it leaves the peak
    final: Share = 0.0  # cosine, linear: last factor of the peak
    # step: fractions of the run where it drops
    milestones: Fractions = (0.8, 0.95)
    gamma: PositiveShare = 0.1  # step: factor of each drop


def create_optimizer(config: OptimConfig, module: nn.Module) -> torch.optim.Optimizer:
    """The optimizer over the parameters that are to be trained; frozen ones are left out.

    Raises InputError for an unknown name and where there is nothing to train.
    """
    groups = parameter_groups(config, module)
    if config.name.startswith("timm:"):
        return _timm_optimizer(config, groups)
    if config.name not in OPTIMIZERS:
        known = did_you_mean(config.name, [*OPTIMIZERS, "timm:<a name of timm.optim>"])
        raise InputError(f"there is no optimizer {config.name!r}.{known}")
    options = {"sgd": {"momentum": config.momentum}, "rmsprop": {}}
    options = options.get(config.name, {"betas": config.betas})
    return OPTIMIZERS[config.name](groups, lr=config.lr, **options)


def _timm_optimizer(config: OptimConfig, groups: list[dict]) -> torch.optim.Optimizer:
    from timm.optim import create_optimizer_v2, get_optimizer_info, list_optimizers  # slow

    name, plain = config.name.removeprefix("timm:"), _plain_name(config.name)
    if plain not in list_optimizers():
        known = did_you_mean(plain, list_optimizers())
        raise InputError(f"timm has no optimizer {name!r}.{known}")
    info = get_optimizer_info(plain)
    if info.second_order:
        raise InputError(f"{config.name} needs second derivatives, which the loop does not take")
    changed = {"betas": config.betas} if config.betas != OptimConfig.betas else {}
    if changed and not (info.has_betas and info.num_betas == 2):
        raise InputError(f"optim.betas is {config.betas}, but {config.name} takes no two betas")
    options = {"lr": config.lr, "momentum": config.momentum, **changed}
    try:
        return create_optimizer_v2(groups, opt=name, **options)
    except Exception as error:
        raise InputError(f"timm cannot make the optimizer {name}: {first_line(error)}") from error


def _plain_name(name: str) -> str:
    return name.removeprefix("timm:").removeprefix("lookahead_")


def parameter_groups(config: OptimConfig, module: nn.Module) -> list[dict]:
    """Parameters to train by learning rate and weight decay, the highest rate first.

    Biases and norms (one axis or none) have no weight decay. Of MUONS, a backbone's stem and what
    is not the backbone are marked to stay with AdamW, as norms and biases do; of a module without
    a backbone that has blocks, timm orthogonalises every matrix.
    """
    scales, groups = layer_scales(module, config.layer_decay), {}
    backbone = getattr(module, "backbone", None)
    marked = _plain_name(config.name) in MUONS and hasattr(backbone, "layer_depths")
    hidden = hidden_matrices(backbone) if marked else set()
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            key = (scales.get(name, 1.0), parameter.ndim > 1, name in hidden)
            groups.setdefault(key, []).append(parameter)
    if not groups:
        raise InputError(f"{type(module).__name__} has no parameter to train: all are frozen")
    return [
        {
            "params": groups[scale, decays, inner],
            "lr": config.lr * scale,
            "weight_decay": config.weight_decay if decays else 0.0,
            **({"use_fallback": not inner} if marked else {}),
        }
        for scale, decays, inner in sorted(groups, reverse=True)
    ]


def hidden_matrices(backbone: nn.Module) -> set[str]:
    """Names of the weights inside the blocks of a `backbone`: what Muon is for.

    Its author leaves the first layer and the last to AdamW (kellerjordan.github.io/posts/muon).
    """
    depths, last = backbone.layer_depths()
    shapes = dict(backbone.named_parameters())
    inner = (name for name, depth in depths.items() if 0 < depth < last)
    return {f"backbone.{name}" for name in inner if shapes[name].ndim > 1}


def layer_scales(module: nn.Module, decay: float) -> dict[str, float]:
    """Factors of the learning rate by the parameter names of `module.backbone`: decay^(N - depth).

    The stem has depth 0, the blocks 1, 2, ..., the last norm and all that is not the backbone
    N = blocks + 1, so the full rate (BEiT's rule, arXiv 2106.08254). In a model of timm depths are
    those of its `group_matcher`, where the last norm mostly goes with the last block. Raises
    InputError where there is no backbone with blocks, and for a decay outside (0, 1].
    """
    if not 0 < decay <= 1:
        raise InputError(f"optim.layer_decay is {decay}; choose a number in (0, 1]; 1: none")
    if decay == 1:
        return {}
    backbone = getattr(module, "backbone", None)
    if backbone is None:
        raise InputError(f"optim.layer_decay: {type(module).__name__} has no backbone; leave it 1")
    if not hasattr(backbone, "layer_depths"):
        raise InputError(f"optim.layer_decay: {type(backbone).__name__} has no blocks; leave it 1")
    depths, last = backbone.layer_depths()
    return {f"backbone.{name}": decay ** (last - depth) for name, depth in depths.items()}


def is_trained(module: nn.Module) -> bool:
    """Whether a module has parameters that are to be trained."""
    return any(p.requires_grad for p in module.parameters())


def steps_module(optimizer: torch.optim.Optimizer, module: nn.Module) -> bool:
    """Whether an optimizer steps parameters of a module."""
    own = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return any(id(p) in own for p in module.parameters())


def lr_factor(config: ScheduleConfig, step: int, steps: int) -> float:
    """Factor of the peak learning rate for optimizer step ``step`` of ``steps`` (0-based)."""
    warmup = config.warmup if config.warmup >= 1 else config.warmup * steps
    if step < warmup:
        return (step + 1) / (warmup + 1)
    start = max(warmup, config.hold * steps)
    progress = min(1.0, max(0.0, step - start) / max(1.0, steps - start))
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
    for old, new in zip(average.buffers(), network.buffers(), strict=True):
        old.copy_(new)
