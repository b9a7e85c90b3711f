"""What training and evaluation share: processes, device, precision, exact sums over samples."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, Literal

import torch
from accelerate import Accelerator, PartialState
from accelerate.tracking import get_available_trackers
from accelerate.utils import (
    DistributedType,
    GradientAccumulationPlugin,
    LoggerType,
    ProjectConfiguration,
    broadcast_object_list,
    convert_to_fp32,
    send_to_device,
)
from torch import nn
from torch.utils.data import Dataset, default_collate

from core.data.batched.held import HeldImages, HeldLoader
from core.data.loading import EvalLoader, TrainLoader
from core.data.streams.labelled import LabelledStream
from core.data.streams.loading import StreamLoader
from core.errors import InputError, did_you_mean
from core.training.together import together

Precision = Literal["launch", "no", "bf16", "fp16"]


def build_accelerator(
    precision: Precision = "launch", accumulate: int = 1, trackers=(), folder: str | None = None
) -> Accelerator:
    """The only place where an Accelerator is built.

    ``launch`` leaves the precision to `accelerate launch` or its config file: passing "no" would
    override them. ``sync_with_dataloader=False``: a loader's end must not force an optimizer step.
    """
    _import_before_group()
    launched = os.environ.get("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "auto")
    if launched not in ("auto", "1", str(accumulate)):
        raise InputError(
            f"accelerate is configured for {launched} gradient accumulation steps, this run for "
            f"{accumulate}: leave it out of accelerate's configuration, --run.accumulate decides"
        )
    _check_trackers(trackers)
    accelerator = Accelerator(
        mixed_precision=None if precision == "launch" else precision,
        gradient_accumulation_plugin=GradientAccumulationPlugin(
            num_steps=accumulate, sync_with_dataloader=False
        ),
        log_with=list(trackers) or None,
        project_config=ProjectConfiguration(project_dir=folder, logging_dir=folder),
        step_scheduler_with_optimizer=False,
    )
    if accelerator.mixed_precision == "fp16" and accelerator.device.type == "cpu":
        # accelerate would scale losses, and compute in float32 without a word
        raise InputError("fp16 needs a GPU: choose --run.precision bf16 or no on a CPU")
    return accelerator


def _check_trackers(trackers: Iterable[str]) -> None:
    known = [str(kind) for kind in LoggerType]
    for name in trackers:
        if name not in known:
            raise InputError(f"run.trackers: there is no {name!r}.{did_you_mean(name, known)}")
        # accelerate leaves out what is not installed, without a word; the default may be
        if name not in ("all", "tensorboard", *map(str, get_available_trackers())):
            raise InputError(f"run.trackers: {name} is not installed; pip install {name}")


def _import_before_group() -> None:
    """torch imports this module when it wraps a network, and its functions' defaults are the group
    that is there then: they would keep it, and its threads, until after Python's end
    (`core.config.entry_point`)."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        importlib.import_module("torch.distributed.nn.functional")


def end_processes() -> None:
    """Leave the group of processes: the last thing that a script does."""
    if PartialState._shared_state:
        PartialState().destroy_process_group()


def _sharding(accelerator: Accelerator) -> str:
    kind = accelerator.distributed_type
    if kind == DistributedType.FSDP and not accelerator.is_fsdp2:
        raise InputError("FSDP version 1 is not supported: set fsdp_version: 2 for accelerate")
    return {DistributedType.FSDP: "FSDP2", DistributedType.DEEPSPEED: "DeepSpeed"}.get(kind, "")


class Session:
    """The processes of one job, seen from one of them."""

    def __init__(self, accelerator: Accelerator | None = None):
        self.accelerator = accelerator or build_accelerator()
        self.device = self.accelerator.device
        self.rank, self.world = self.accelerator.process_index, self.accelerator.num_processes
        self.is_main = self.accelerator.is_main_process
        self.sharding = _sharding(self.accelerator)  # "", "FSDP2" or "DeepSpeed"

    def train_loader(
        self, dataset: Dataset | LabelledStream | HeldImages, micro_batch: int, **options
    ) -> TrainLoader | StreamLoader | HeldLoader:
        """Endless micro-batches of this process; options as in `core.data.loading`."""
        kinds = {LabelledStream: StreamLoader, HeldImages: HeldLoader}
        kind = next((k for of, k in kinds.items() if isinstance(dataset, of)), TrainLoader)
        return kind(dataset, micro_batch, rank=self.rank, world=self.world, **options)

    def eval_loader(
        self, dataset: Dataset, batch_size: int, collate: Callable = default_collate, **options
    ) -> Iterator[dict]:
        """This process's share of every sample once, with ``mask``; batch_size is per process.

        What one process cannot read ends the evaluation in all of them (`EndedEverywhere`).
        """
        loader = EvalLoader(
            dataset, batch_size, rank=self.rank, world=self.world, collate=collate, **options
        )
        return together(iter(loader), self.world)

    def in_precision(self, network: nn.Module) -> ExitStack:
        """From now on ``network(...)`` runs in the session's precision and gives float32.

        It alone: what is computed from its outputs, a metric for example, stays in full precision.
        Closing what is returned ends it.
        """
        until = ExitStack()
        if self.accelerator.mixed_precision == "no":
            return until
        calls: list[Any] = []  # the autocasts of the calls that are running

        def enter(*_: Any) -> None:
            calls.append(self.accelerator.autocast())
            calls[-1].__enter__()

        def leave(_module: nn.Module, _inputs: Any, outputs: Any) -> Any:
            calls.pop().__exit__(None, None, None)
            return convert_to_fp32(outputs)

        until.callback(network.register_forward_pre_hook(enter).remove)
        until.callback(network.register_forward_hook(leave, always_call=True).remove)
        return until

    def to_device(self, batch: Any) -> Any:
        """Tensors of a batch on the session's device."""
        return send_to_device(batch, self.device, non_blocking=True)

    def gather(self, mask: torch.Tensor, **values: torch.Tensor) -> dict[str, torch.Tensor]:
        """Rows of all processes where ``mask`` (B,) is True, on the CPU: name -> (N, ...)."""
        gathered = self.accelerator.gather({"mask": mask.to(self.device), **values})
        keep = gathered.pop("mask").cpu()
        return {name: value.cpu()[keep] for name, value in gathered.items()}

    def on_main(self, work: Callable[[], Any]) -> Any:
        """What ``work()`` gives on the main process, on all of them; its InputError ends them all.

        One message is enough: the other processes leave with its status.
        """
        outcome: list[Any] = [None, ""]
        if self.is_main:
            try:
                outcome[0] = work()
            except InputError as error:
                outcome[1] = str(error)
        if self.world > 1:
            broadcast_object_list(outcome)
        if outcome[1]:
            raise InputError(outcome[1]) if self.is_main else SystemExit(2)
        return outcome[0]

    def sum(self, value: torch.Tensor) -> torch.Tensor:
        """Elementwise sum over all processes."""
        return self.accelerator.reduce(value.to(self.device), reduction="sum")

    def describe(self) -> str:
        """What this session runs on, in words: device, processes, precision."""
        parts = [f"{self.device.type} with {torch.get_num_threads()} threads"]
        if self.device.type == "cuda":
            parts = [torch.cuda.get_device_name(self.device)]
        parts += [f"{self.world} processes"] if self.world > 1 else []
        precision = self.accelerator.mixed_precision
        parts += [word for word in (self.sharding, precision) if word not in ("", "no")]
        return ", ".join(parts)

    def print(self, *words: Any) -> None:
        """Print on the main process alone."""
        self.accelerator.print(*words, flush=True)

    def wait(self) -> None:
        """Until all processes are here."""
        self.accelerator.wait_for_everyone()
