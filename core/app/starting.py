"""What is refused before any data is made, read or fetched: names and sizes that do not go."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch import nn

from core.memory import check_memory
from core.models.room import SMALLER, without_memory
from core.models.weights.reading import check_weights
from core.training.optim import OptimConfig, create_optimizer


def check_start(
    build: Callable[[], nn.Module], *optimizers: OptimConfig, weights: str = ""
) -> None:
    """Build a run's network without memory, and optimizers over it, to hear what they refuse.

    build: with random weights and, where the data says how many outputs there are, some number of
    them. weights: what the run starts from, a name or a path, which is only looked for. All as the
    run will have it, in a moment (torch's meta device).
    """
    if weights:
        check_weights(weights)
    network = without_memory(build, "the network of these settings")
    for config in optimizers:
        _check_training(network, create_optimizer(config, network))


def _check_training(network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """InputError where the weights are more than the machine's memory; on one processor also where
    they are so with their gradients and, of Adam, the two moments."""
    every = sum(parameter.numel() for parameter in network.parameters())
    needed, what = 4 * every, f"a network of {every:,} parameters"
    if not torch.cuda.is_available() and os.environ.get("WORLD_SIZE", "1") == "1":
        trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
        needed += (12 if isinstance(optimizer, torch.optim.Adam) else 4) * trained
        what = f"training {what}"
    check_memory(needed, what, SMALLER)
