"""What one GPU holds while a Mixer classifier is trained, by arithmetic: nothing is run.

python core/eval.py memory --models mixer_h14 --gpus 64 --strategies fsdp2 --checkpointing

P parameters, N GPUs, s bytes of optimizer state for each parameter. Bytes for each parameter:

              weights       gradients     optimizer      besides, in bfloat16 (float32)
    ddp       4             4             s              2 (0) of autocast, 4 of buckets if N > 1
    fsdp2     4 / N         4 / N         s / N          gathered: stem and head, and two blocks
    zero1     2 (4)         2 (4)         (4 + s) / N    the reduce bucket
    zero2     2 (4)         2 (4) / N     (4 + s) / N    the reduce bucket
    zero3     2 (4) / N     2 (4) / N     (4 + s) / N    the reduce bucket, gathered as fsdp2

ddp and fsdp2 keep float32 weights and gradients, as accelerate's bf16 does; DDP copies gradients
into buckets of their whole size (torch's DistributedDataParallel, gradient_as_bucket_view). ZeRO:
Rajbhandari et al. 2020 (arXiv 1910.02054), section 3.1 and figure 1, with DeepSpeed's float32
master weights in both precisions and its bucket of reduce_bucket_size = 5e8 numbers. Gathered are
weights and gradients of what is in use and of the next block, in the precision of the products.

Activations: `core.profiling.activations`. The total is their peak with all gradients there, which
in truth come as activations go: an upper bound of tensors, to which CUDA's context, the libraries'
workspaces and fragmentation add. Under DeepSpeed the network itself is in bfloat16, norms as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from core.errors import InputError
from core.files import write_json
from core.models.classifier import Classifier, create_classifier
from core.models.networks.mixer import Mixer
from core.models.room import without_memory
from core.profiling.activations import peak_bytes
from core.profiling.cost import parameters
from core.ranges import Count, Counts, Size, check_ranges
from core.sizes import times
from core.tables import Table
from core.training.session import Session

Strategy = Literal["ddp", "fsdp2", "zero1", "zero2", "zero3"]
GIB = 2**30
STATE = {"adamw": 8, "optimistic_adam": 8, "sgd": 4}  # bytes a parameter; core.training.optim
DEEPSPEED_BUCKET = 500_000_000  # numbers; reduce_bucket_size of its configuration


@dataclass(frozen=True)
class Config:
    """Memory of training on one GPU, by strategy, and the largest micro-batch that fits."""

    # mixer_ names of create_backbone
    models: tuple[str, ...] = ("mixer_s16", "mixer_b16", "mixer_l16", "mixer_h14")
    # height and width in pixels
    image_size: Size = (224, 224)
    # classes of the head
    classes: Count = 1000
    # how state is shared out; a row each
    strategies: tuple[Strategy, ...] = ("ddp", "fsdp2", "zero1", "zero2", "zero3")
    # GPUs that share the state
    gpus: Count = 8
    # images of one forward pass on one GPU
    micro_batch: Count = 64
    # bf16: as accelerate's --mixed_precision bf16
    precision: Literal["bf16", "fp32"] = "bf16"
    # sgd: with momentum
    optimizer: Literal["adamw", "optimistic_adam", "sgd"] = "adamw"
    # a moving average of the weights; ddp alone has one
    ema: bool = False
    # with and without gradient checkpointing
    checkpointing: tuple[bool, ...] = (False, True)
    # GiB of the GPUs that the last columns are for
    memory: Counts = (24, 40, 80)
    # folder for memory.json
    out: str = "results"


@dataclass(frozen=True)
class Row:
    """Bytes on one GPU; `largest`: the largest micro-batch by GiB, 0 where none fits."""

    model: str
    strategy: str
    checkpointing: bool
    weights: int
    gradients: int
    optimizer: int
    ema: int
    copies: int  # autocast's weights, buckets, gathered layers
    activations: int
    total: int
    largest: dict[int, int]


def run(config: Config, session: Session) -> dict:
    """Print the table, write memory.json, return the record."""
    _check(config)
    rows = [
        row(config, name, strategy, checkpointing)
        for name in config.models
        for strategy in config.strategies
        for checkpointing in config.checkpointing
    ]
    record = {"config": config, "rows": rows}
    if session.is_main:
        print(memory_table(config, rows))
        print(f"wrote {write_json(Path(config.out) / 'memory.json', record)}")
    return record


def row(config: Config, name: str, strategy: Strategy, checkpointing: bool) -> Row:
    """One line of the table."""
    network = _network(name, config, checkpointing)
    state = state_bytes(network, strategy, config)
    activations = _activations(network, strategy, config)
    fixed, first = sum(state.values()), activations(1)
    each = activations(2) - first  # the formula is affine in the batch: a + batch * each

    def largest(gib: int) -> int:
        return max(0, (gib * GIB - fixed - (first - each)) // each)  # first - each is a

    used = activations(config.micro_batch)
    fits = {gib: largest(gib) for gib in config.memory}
    return Row(
        name, strategy, checkpointing, **state, activations=used, total=fixed + used, largest=fits
    )


def state_bytes(network: Classifier, strategy: Strategy, config: Config) -> dict[str, int]:
    """Bytes that stay on one GPU whatever the micro-batch, by column of the table."""
    count, gpus, moments = parameters(network), config.gpus, STATE[config.optimizer]
    half = 2 if config.precision == "bf16" else 4
    if strategy == "ddp":
        copies = (2 if half == 2 else 0) + (4 if gpus > 1 else 0)
        ema = 4 * count if config.ema else 0
        return _state(4 * count, 4 * count, moments * count, copies * count, ema)
    share = -(-count // gpus)  # rounded up: the fullest GPU's
    if strategy == "fsdp2":
        return _state(4 * share, 4 * share, moments * share, gathered_bytes(network, half))
    # ZeRO: 16-bit weights and gradients, float32 master weights beside the optimizer's state.
    weights = share if strategy == "zero3" else count
    gradients = count if strategy == "zero1" else share
    copies = half * DEEPSPEED_BUCKET
    copies += gathered_bytes(network, half) if strategy == "zero3" else 0
    return _state(half * weights, half * gradients, (4 + moments) * share, copies)


def _state(
    weights: int, gradients: int, optimizer: int, copies: int, ema: int = 0
) -> dict[str, int]:
    return {
        "weights": weights,
        "gradients": gradients,
        "optimizer": optimizer,
        "copies": copies,
        "ema": ema,
    }


def gathered_bytes(network: Classifier, half: int) -> int:
    """Whole weights and gradients of stem, norm and head, and of two blocks: one runs, one comes.

    An estimate: when each of them is there is up to the library.
    """
    block = parameters(network.backbone.blocks[0])
    rest = parameters(network) - len(network.backbone.blocks) * block
    return 2 * half * (rest + min(2, len(network.backbone.blocks)) * block)


def _activations(network: Classifier, strategy: str, config: Config) -> Callable[[int], int]:
    half = 2 if config.precision == "bf16" else 4
    norm = half if strategy.startswith("zero") else 4  # CUDA's autocast normalises in float32
    mixer = network.backbone.config
    return lambda batch: peak_bytes(mixer, config.classes, batch, half, norm)


def _network(name: str, config: Config, checkpointing: bool) -> Classifier:
    """Without memory of its own."""
    network = without_memory(
        lambda: create_classifier(name, config.image_size, config.classes), name
    )
    if not isinstance(network.backbone, Mixer):
        raise InputError(f"memory is known of mixer_ names alone: {name} is none")
    mixer = network.backbone
    mixer.config = replace(mixer.config, grad_checkpointing=checkpointing)
    return network


def memory_table(config: Config, rows: list[Row]) -> Table:
    """The rows in GiB, to three digits."""
    parts = ["weights", "gradients", "optimizer", "ema", "copies", "activations", "total"]
    fits = [f"in {gib} GiB" for gib in config.memory]
    head = ["model", "strategy", "checkpointing", *parts, *fits]
    lines = [
        [
            *(row.model, row.strategy, row.checkpointing),
            *(getattr(row, part) for part in parts),
            *(row.largest[gib] for gib in config.memory),
        ]
        for row in rows
    ]
    return Table(_title(config), head, lines, forms=dict.fromkeys(parts, _gib))


def _gib(count: int) -> str:
    return f"{count / GIB:#.3g}" if count else "0"


def _title(config: Config) -> str:
    size = times(config.image_size)
    words = [f"GiB on each of {config.gpus} GPUs", f"{size} pixels", f"{config.classes} classes"]
    words += [f"micro-batch {config.micro_batch}", config.precision, config.optimizer]
    return ", ".join(words) + "; last: the largest micro-batch"


def _check(config: Config) -> None:
    check_ranges(config, "--")
    if config.ema and set(config.strategies) != {"ddp"}:
        raise InputError("only ddp has a moving average: give --strategies ddp with --ema")
