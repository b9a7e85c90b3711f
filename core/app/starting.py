"""What is refused before any data is made, read or fetched: names and sizes that do not go."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

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
    with torch.device("meta"):
        network = build()
    for config in optimizers:
        create_optimizer(config, network)
