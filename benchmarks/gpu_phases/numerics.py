"""Logits and gradients of this device against float32 on the CPU, and the official golden ones."""

from __future__ import annotations

from contextlib import ExitStack
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.gpu_phases.task import Record, Task
from core.evaluation.exporting.graph import noise
from core.models.classifier import Classifier, create_classifier, load_classifier
from core.profiling.subjects import fp32_products
from core.profiling.timing import machine

# Largest error allowed, relative to the length of the vector of all logits. Mantissas have 23 bits
# in float32, 10 in TF32 and 7 in bfloat16. bfloat16 on a CPU was at 0.006 and below.
GRADIENTS = 3e-5  # of gradients in float32, which go through all blocks twice
ALLOWED = {"fp32": 1e-5, "tf32": 4e-3, "bf16-autocast": 2e-2, "bf16-pure": 2e-2}
GOLDEN_ERROR = 1e-5  # of the official logits, absolute, as tests/core/models/test_weights.py has it
CLASSES = 1000
COLUMNS = ("network", "pixels", "what", "precision", "relative error", "allowed", "holds")


def run(task: Task) -> None:
    """Tables `Against float32 on the CPU` and `Golden logits`."""
    record = Record.of(task.out, task.phase)
    record.machine = machine(task.device)
    golden(task, record)
    name, size, batch = ("mixer_c32_l1_p8", 32, 2) if task.smallest else ("mixer_b16", 224, 4)
    network = with_head(name, size)
    for precision in ALLOWED:
        compare(task, record, name, network, noise(network.backbone, batch), precision)
    gradients(task, record, name, network, noise(network.backbone, batch))
    name = "mixer_c32_l1_p8" if task.smallest else "mixer_s16"
    network = with_head(name, size, any_size=True)
    for side in (size * 3 // 4, size, size * 5 // 4):
        images = noise(network.backbone, batch, (side, size))
        for precision in ("fp32", "bf16-autocast"):
            compare(task, record, f"{name}, any size", network, images, precision)


def with_head(name: str, size: int, **options) -> Classifier:
    """A classifier whose head is not zero, the same one in every process."""
    torch.manual_seed(0)
    network = create_classifier(name, size, CLASSES, **options).eval()
    nn.init.normal_(network.head.weight, std=0.02)
    return network


def compare(
    task: Task, record: Record, name: str, network: Classifier, images: Tensor, precision: str
) -> None:
    """One row: the logits of a network on this device, and what they are on the CPU."""
    with torch.inference_mode():
        expected = network(images)
        found = logits(deepcopy(network).to(task.device), images.to(task.device), precision)
    _row(record, name, images, "logits", precision, relative_error([found], [expected]))


def logits(network: nn.Module, images: Tensor, precision: str) -> Tensor:
    """(B, K) of a network in one of ALLOWED's precisions."""
    if precision == "bf16-pure":
        network, images = network.bfloat16(), images.bfloat16()
    with ExitStack() as settings:
        settings.enter_context(fp32_products(precision == "tf32"))
        wanted = precision == "bf16-autocast"
        settings.enter_context(torch.autocast(images.device.type, torch.bfloat16, enabled=wanted))
        return network(images)


def gradients(task: Task, record: Record, name: str, network: Classifier, images: Tensor) -> None:
    """One row: the gradients of all parameters in float32."""
    with fp32_products(False):
        expected = gradients_of(network, images)
        found = gradients_of(deepcopy(network).to(task.device), images.to(task.device))
    _row(record, name, images, "gradients", "fp32", relative_error(found, expected))


def gradients_of(network: nn.Module, images: Tensor) -> list[Tensor]:
    """Of the cross entropy with the labels 0, 1, ..., for all parameters."""
    network.zero_grad(set_to_none=True)
    labels = torch.arange(len(images), device=images.device)
    F.cross_entropy(network(images).float(), labels).backward()
    return [parameter.grad.clone() for parameter in network.parameters()]


def relative_error(found: list[Tensor], expected: list[Tensor]) -> float:
    """Length of the difference over the length of what is expected, all tensors as one vector."""
    pairs = [(f.cpu().double(), e.cpu().double()) for f, e in zip(found, expected, strict=True)]
    difference = sum(float((f - e).square().sum()) for f, e in pairs)
    return (difference / sum(float(e.square().sum()) for _, e in pairs)) ** 0.5


def _row(
    record: Record, name: str, images: Tensor, what: str, precision: str, error: float
) -> None:
    pixels = "x".join(map(str, images.shape[-2:]))
    allowed = GRADIENTS if what == "gradients" else ALLOWED[precision]
    cells = (name, pixels, what, precision, error, allowed, error <= allowed)
    record.row("Against float32 on the CPU", COLUMNS, cells)


def golden(task: Task, record: Record) -> None:
    """The logits that the official implementation gave, in the layouts of its checkpoints."""
    folder = Path(task.fixtures)
    if not (folder / "mixer_tiny_io.npz").is_file():
        record.skip(f"golden logits: {folder} has no mixer_tiny_io.npz")
        return
    stored = np.load(folder / "mixer_tiny_io.npz")
    images = torch.from_numpy(stored["images_nhwc"]).permute(0, 3, 1, 2).to(task.device)
    for layout in ("linen", "old"):
        network = load_classifier(folder / f"mixer_tiny_{layout}.npz").eval().to(task.device)
        with torch.inference_mode():
            found = logits(network, images, "fp32").cpu().numpy()
        error = float(np.abs(found - stored["logits"]).max())
        cells = (layout, error, GOLDEN_ERROR, error <= GOLDEN_ERROR)
        record.row("Golden logits", ("layout", "largest error", "allowed", "holds"), cells)
