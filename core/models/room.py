"""Whether a network fits into memory, asked of one that has shapes and no numbers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from core.memory import check_memory

SMALLER = "choose a smaller network, or smaller images"


def check_room(build: Callable[[], nn.Module], what: str) -> None:
    """Raise InputError where the weights of a network are more than the memory they are made in.

    build: makes it; ``what`` it is begins the message. Nothing is asked where torch's "meta" device
    is in force, which needs no memory.
    """
    device = torch.get_default_device()
    if device.type != "meta":
        room = torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else None
        network = without_memory(build, what)
        check_memory(4 * sum(p.numel() for p in network.parameters()), what, SMALLER, room)


class _NotDrawn(TorchFunctionMode):
    """Initial values are left out: of shapes alone they are nothing, and torch imports a thousand
    modules to say so."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if getattr(function, "__name__", "") in ("normal_", "uniform_"):
            return args[0] if args else kwargs["tensor"]  # of torch.nn.init, of the tensor itself
        return function(*args, **(kwargs or {}))


def without_memory(build: Callable[[], nn.Module], what: str) -> nn.Module:
    """The network with shapes and no numbers, in a moment.

    Raises InputError where it has more of them than 64 bits count.
    """
    with torch.device("meta"), _NotDrawn():
        try:
            return build()
        except RuntimeError as error:
            if "overflow" in str(error):
                check_memory(float("inf"), what, SMALLER)
            raise
