"""What a network costs: multiply-accumulates, parameters and peak memory.

A MAC is one multiplication with its addition, half of what torch's FlopCounterMode counts. Counted
are matrix products, convolutions and attention; biases, norms, GELU, means and sums are not. So
counted, Mixer-B/16 at 224 pixels has 12.60 GMACs; a head of 1,000 classes adds 0.0008.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def macs(model: nn.Module, image_size: tuple[int, int], batch: int = 1, channels: int = 3) -> int:
    """MACs of one forward pass of `batch` images. On the meta device it costs neither time nor
    memory: `with torch.device("meta"): macs(create_backbone("mixer_h14", 224), (224, 224))`.
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(_empty_images(model, image_size, batch, channels))
    return counter.get_total_flops() // 2


def training_macs(model: nn.Module, image_size: tuple[int, int], batch: int = 1) -> int:
    """MACs of a forward and a backward pass; `model` returns logits (B, classes).

    About three times `macs`: the images need no gradient, and recomputed blocks count again. The
    model's gradients are cleared.
    """
    with FlopCounterMode(display=False) as counter, torch.enable_grad():
        logits = model(_empty_images(model, image_size, batch, 3))
        F.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long)).backward()
    model.zero_grad(set_to_none=True)
    return counter.get_total_flops() // 2


def parameters(model: nn.Module) -> int:
    """How many numbers are trained; tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def resident_bytes(model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> int:
    """Bytes of parameters, buffers and optimizer state, which stay between two steps."""
    kept: list[Tensor] = [*model.parameters(), *model.buffers()]
    if optimizer is not None:
        kept += _tensors(value for state in optimizer.state.values() for value in state.values())
    return sum(tensor.numel() * tensor.element_size() for tensor in kept)


def peak_memory(work: Callable[[], object], device: torch.device) -> int:
    """Bytes that `work` held at its peak beyond what was alive when it began.

    CUDA: torch's max_memory_allocated. CPU: the same of torch's CPU allocator, from the profiler's
    memory events. Both count tensors, not the libraries' own workspaces or the allocator's cache;
    a process's resident set would add the interpreter and whatever ran before, and never falls.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    return _cpu_peak(work)


def _cpu_peak(work: Callable[[], object]) -> int:
    from torch.profiler import ProfilerActivity, profile

    with (
        _quiet_profiler(),
        profile(activities=[ProfilerActivity.CPU], profile_memory=True) as events,
    ):
        work()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        events.export_chrome_trace(str(trace))
        steps = [e for e in json.loads(trace.read_text())["traceEvents"] if e["name"] == "[memory]"]
    alive = peak = 0
    for step in sorted(steps, key=lambda event: event["args"]["Ev Idx"]):
        alive += step["args"]["Bytes"]
        peak = max(peak, alive)
    return peak


@contextmanager
def _quiet_profiler():
    """torch's profiler announces itself on the process's stderr, below Python's. Errors that Python
    raises are not lost: they travel as exceptions."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _empty_images(model: nn.Module, image_size, batch: int, channels: int) -> Tensor:
    like = next(model.parameters())
    return torch.zeros(batch, channels, *image_size, device=like.device, dtype=like.dtype)


def _tensors(values: Iterable) -> list[Tensor]:
    return [value for value in values if isinstance(value, Tensor)]
