"""FSDP2 on one device, as accelerate sets it up: the steps of plain training."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import torch

from benchmarks.gpu_phases.apart import apart
from benchmarks.gpu_phases.correct import not_holding
from benchmarks.gpu_phases.noise import CLASSES, train_on_noise
from benchmarks.gpu_phases.task import Record, Task
from core.errors import InputError
from core.models.classifier import create_classifier
from core.profiling.timing import machine
from core.training.files.folder import read_metrics
from core.training.optim import OptimConfig
from core.training.run import Run, RunConfig

STEPS = 3
# as docs/accelerate/fsdp2.yaml
FSDP2 = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_TRANSFORMER_CLS_TO_WRAP": "MixerBlock",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
}
# of losses and weights, absolute; bfloat16: FSDP2 rounds weights where autocast rounds products
ALLOWED = {"no": 1e-5, "bf16": 2e-2}
COLUMNS = ("precision", "losses", "weights", "peak MiB", "plain peak MiB", "allowed", "holds")


def run(task: Task, record: Record) -> None:
    """Table `FSDP2 against plain`: largest differences after STEPS steps."""
    for precision, allowed in list(ALLOWED.items())[: 1 if task.smallest else None]:
        if task.left < 10 and not task.smallest:
            record.skip(f"precision {precision}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder, name) for name in ("plain", "fsdp2")]
            for path in paths:
                given = (task, str(path), precision, path.name == "fsdp2")
                if reason := apart(train, *given, seconds=task.left, group=False):
                    raise InputError(f"{path.name}, precision {precision}: {reason}")
            (a, weights_a, peak_a), (b, weights_b, peak_b) = map(outcome, paths)
        losses = max(abs(x - y) for x, y in zip(a, b, strict=True))
        weights = max(float((weights_a[k] - weights_b[k]).abs().max()) for k in weights_a)
        record = Record.of(task.out, task.phase)  # with the machine, which the trainings note
        cells = (precision, losses, weights, peak_b, peak_a, allowed)
        record.row("FSDP2 against plain", COLUMNS, (*cells, max(losses, weights) <= allowed))
    if wrong := not_holding(record):
        raise InputError("; ".join(wrong))


def train(task: Task, folder: str, precision: str, sharded: bool) -> None:
    """Some steps of SGD, since Adam would scale up what is only rounding."""
    if sharded:
        as_one_of_several(task.kind)
    length = {"steps": STEPS, "batch_size": 8, "log_every": 1}
    run = Run(RunConfig(folder, precision=precision, trackers=(), **length))
    name, size = ("mixer_c16_l2_p8", 16) if task.smallest else ("mixer_s16", 224)
    if sharded and run.session.sharding != "FSDP2":
        raise InputError("accelerate did not shard the network")
    network = create_classifier(name, size, CLASSES)
    torch.nn.init.normal_(network.head.weight, std=0.02)  # a zero head would pass no gradient on
    train_on_noise(run, network, OptimConfig("sgd", lr=0.1))
    peak = torch.cuda.max_memory_allocated() / 2**20 if task.kind == "cuda" else float("nan")
    Path(folder, "peak.txt").write_text(str(peak))
    record = Record.of(task.out, task.phase)
    record.machine = machine(run.session.device)
    record.write()


def as_one_of_several(kind: str) -> None:
    """A group of one process, sharded as accelerate's environment says.

    accelerate shards on accelerators only; on a CPU its state is told that this is one.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ |= {**FSDP2, "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if kind == "cpu":
        from accelerate.state import PartialState
        from accelerate.utils import DistributedType

        PartialState(cpu=True)
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU


def outcome(folder: Path) -> tuple[list[float], dict[str, torch.Tensor], float]:
    """Losses by step, weights, and peak memory in MiB."""
    from safetensors.torch import load_file

    losses = [row["loss"] for row in read_metrics(folder) if "loss" in row]
    weights = load_file(folder / "checkpoints/last/model.safetensors")
    return losses, weights, float((folder / "peak.txt").read_text())
