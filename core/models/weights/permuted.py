"""Weights with the entries of each tensor in an order of chance: their scale without their content.

    permuted:WEIGHTS      as the name or path WEIGHTS, the order drawn with seed 0
    permuted-3:WEIGHTS    the same of seed 3

What a network gains from such a start it owes to how large its weights are, tensor by tensor, and
not to what they say: every mean, variance and norm is that of WEIGHTS. Entries change places once
the network has the size that it is asked for, since resizing would average what chance has put side
by side. A head is not taken over: it would say of no class what it did.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import nn

from core.errors import InputError

NAME = re.compile(r"permuted(?:-([^:/]*))?:(.*)")
MOST = 2**32  # a seed is below


def without_permutation(weights: Any) -> tuple[Any, int | None]:
    """What is permuted, and the seed; of all other weights (these weights, None).

    Raises InputError for "permuted:" of nothing, of what is permuted already, and a seed too large.
    """
    match = NAME.fullmatch(weights) if isinstance(weights, str) else None
    if match is None:
        return weights, None
    word, named = match[1] or "0", match[2]
    seed = int(word) if re.fullmatch("[0-9]{1,10}", word) else MOST
    if not named or NAME.fullmatch(named) or seed >= MOST:
        raise InputError(
            f"weights {weights!r}: say which are permuted, and once: permuted:photos, "
            f"permuted:RUN, or permuted-3:RUN with seed 3 (below {MOST:,})"
        )
    return named, seed


def permuted_name(named: str | Path, seed: int) -> str:
    """The name of weights that are permuted with this seed."""
    return f"permuted{f'-{seed}' if seed else ''}:{named}"


@torch.no_grad()
def permute_entries(network: nn.Module, seed: int) -> None:
    """Put the entries of every floating tensor of the state into another order, in place.

    The order follows from the seed, the tensor's name and its size alone, on every machine: numpy
    promises PCG64's raw stream and SeedSequence (NEP 19), and the sort is stable.
    """
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            generator = np.random.Generator(np.random.PCG64((seed, crc32(name.encode()))))
            order = generator.random(tensor.numel()).argsort(kind="stable")
            order = torch.from_numpy(order).to(tensor.device)
            tensor.copy_(tensor.flatten()[order].view_as(tensor))
