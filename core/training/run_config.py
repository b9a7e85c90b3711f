"""How long, how, and where a run goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from core.ranges import Count, Decay, NonNegative, Seed, Whole
from core.training.optim import ScheduleConfig
from core.training.session import Precision


@dataclass(frozen=True)
class RunConfig:
    """How long, how, and where a run goes."""

    INSTEAD: ClassVar[dict[str, str]] = {"steps": "epochs", "epochs": "steps"}

    folder: str = "runs/unnamed"  # where everything is written
    resume: bool = False  # go on from the folder's last checkpoint, or begin if it has none
    seed: Seed = 0
    steps: Whole = 0  # optimizer steps; this or epochs
    epochs: NonNegative = 0.0  # passes over the data; this or steps
    batch_size: Count = 64  # samples per optimizer step, over all processes and accumulation
    accumulate: Count = 1  # micro-batches per optimizer step
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    clip: NonNegative = 1.0  # largest global gradient norm of an optimizer; 0: no limit
    ema: Decay = 0.0  # decay of the weights' moving average, warmed up; 0: none
    ema_of: tuple[str, ...] = ("model",)  # the networks that have one
    precision: Precision = "launch"  # launch: as `accelerate launch` says
    compile: bool = False  # torch.compile the networks
    log_every: Count = 20  # steps
    eval_every: Whole = 500  # steps; also after the last one; 0: only then
    save_every: Whole = 500  # steps; also after the last one; 0: only then
    best: str = ""  # the metric that picks the best checkpoint; empty: only the last is kept
    best_is: Literal["max", "min"] = "max"
    keep_best: Count = 1  # best checkpoints to keep beside the last one
    # by accelerate's names: tensorboard, wandb, trackio, ...
    trackers: tuple[str, ...] = ("tensorboard",)
