"""torch.compile without graph breaks, and torch.export, against the same network run eagerly."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim

from benchmarks.gpu_phases.numerics import gradients_of, relative_error, with_head
from benchmarks.gpu_phases.task import Record, Task
from core.errors import first_line
from core.evaluation.exporting.graph import noise
from core.models.classifier import Classifier
from core.profiling.subjects import fp32_products

ALLOWED = 1e-4  # relative error: float32 in another order, through all blocks
COLUMNS = ("network", "mode", "graph breaks", "first call s", "relative error", "note", "holds")


def run(task: Task) -> None:
    """Table `torch.compile(fullgraph=True)`: networks at their own and at another size."""
    record = Record.of(task.out, task.phase)
    for name, network, images in networks(task):
        for mode in ("training",) if task.smallest else ("inference", "training"):
            if task.left < 5:
                record.skip(f"compiling {name}, {mode}")
                continue
            network.train(mode == "training")
            with fp32_products(False):
                row = compiled(task, deepcopy(network), images, mode)
            record.row(
                f"torch.compile(fullgraph=True), {task.backend}", COLUMNS, (name, mode, *row)
            )


def networks(task: Task) -> list[tuple[str, Classifier, Tensor]]:
    """(name, network on the device, images)."""
    size, batch = (32, 2) if task.smallest else (224, 8)
    first, second = ["mixer_c32_l1_p8"] * 2 if task.smallest else ["mixer_b16", "mixer_s16"]
    one, any_size = with_head(first, size), with_head(second, size, any_size=True)
    other = (size * 5 // 4, size)
    found = [
        (first, one, noise(one.backbone, batch)),
        (f"{second}, any size", any_size, noise(any_size.backbone, batch, other)),
    ]
    found = found[1:] if task.smallest else found
    return [(n, network.to(task.device), images.to(task.device)) for n, network, images in found]


def compiled(task: Task, network: Classifier, images: Tensor, mode: str) -> tuple:
    """Graph breaks, seconds of the first call, relative error, why not, and whether it holds."""
    expected = outcome(network, images, mode)
    torch._dynamo.reset()
    breaks = torch._dynamo.explain(step(network, mode))(images).graph_break_count
    torch._dynamo.reset()
    begun = time.perf_counter()
    try:
        network.compile(backend=task.backend, fullgraph=True, dynamic=False)
        found = outcome(network, images, mode)
    except Exception as error:  # a graph break, the compiler's refusal
        return breaks, None, None, first_line(error), False
    seconds = time.perf_counter() - begun
    error = relative_error(found, expected)
    return breaks, seconds, error, "", breaks == 0 and error <= ALLOWED


def step(network: nn.Module, mode: str) -> Callable[[Tensor], Tensor]:
    """Logits, or in training the loss."""
    if mode == "inference":
        return network
    return lambda x: F.cross_entropy(network(x), torch.arange(len(x), device=x.device))


def outcome(network: nn.Module, images: Tensor, mode: str) -> list[Tensor]:
    """The logits, or in training the gradients."""
    if mode == "training":
        return gradients_of(network, images)
    with torch.no_grad():
        return [network(images)]


def export(task: Task) -> None:
    """Table `torch.export`: one program for every batch, and with any size for every grid."""
    record = Record.of(task.out, task.phase)
    for name, network, images in networks(task):
        backbone = network.backbone.eval()
        (ph, pw), free = backbone.stride, {0: Dim("batch", min=1, max=4096)}
        if backbone.any_size:
            free |= {2: ph * Dim("rows", min=2, max=512), 3: pw * Dim("columns", min=2, max=512)}
        with fp32_products(False), torch.no_grad():
            program = torch.export.export(backbone, (images,), dynamic_shapes=(free,)).module()
            others = [images[:1], torch.cat([images, images])]
            if backbone.any_size:
                others.append(images[:, :, : -2 * ph, :-pw])
            error = max(relative_error([program(x)], [backbone(x)]) for x in others)
        shapes = ", ".join("x".join(map(str, x.shape)) for x in others)
        cells = (name, shapes, error, ALLOWED, error <= ALLOWED)
        record.row(
            "torch.export", ("network", "run at", "relative error", "allowed", "holds"), cells
        )
