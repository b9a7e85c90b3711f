"""What a Mixer's further ways of giving features cost over its plain forward pass.

S/16 in float32, batches of 16. `any_size` stands at its own size beside the plain network, and at
256 pixels beside one that was built for 256.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from benchmarks.rows.pairs import Row, Settings, costs, in_turn
from core import create_backbone
from core.profiling.timing import Work


def rows(settings: Settings) -> Iterator[Row]:
    """forward_intermediates, pyramid, any_size."""
    name, batch = ("mixer_c16_l4_p8", 2) if settings.smallest else ("mixer_s16", 16)
    sides = (16, 24) if settings.smallest else (224, 256)
    plain, larger = (create_backbone(name, side).eval() for side in sides)
    free = create_backbone(name, sides[0], any_size=True).eval()
    small, large = (torch.randn(batch, 3, side, side) for side in sides)
    ways = {
        "forward_intermediates": (lambda: plain.forward_intermediates(small), plain, small, 1.02),
        "pyramid": (lambda: plain.pyramid(small), plain, small, 1.02),
        "any_size, its own size": (lambda: free(small), plain, small, 1.1),
        "any_size, another size": (lambda: free(large), larger, large, 1.1),
    }
    for what, (call, network, images, aim) in ways.items():
        ours = _work(what, call, batch)
        theirs = _work("plain forward", lambda n=network, i=images: n(i), batch)
        in_turn(settings, [ours, theirs])
        yield costs(Row(what, "plain forward", aim), ours, theirs, "images/s")


def _work(name: str, call: Callable, batch: int) -> Work:
    return Work(name, torch.inference_mode()(call), batch)
