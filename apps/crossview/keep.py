"""Keep a run's network in the package, to be opened by a name:

python apps/crossview/keep.py RUN [--name towns] --data WORDS --terms WORDS [--limits WORDS ...]

What is written is apps/crossview/weights/NAME: the generator of RUN's best checkpoint in half
precision, config.json and a model card, all of it or nothing. predict.py and eval.py take the name
as they take a run; predict.py without a run takes `towns`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from apps.crossview.models.kept_card import view_card
from apps.crossview.models.network import Generator
from core.app.keeping import Keeper, keep_network, keeping_command
from core.app.runs import open_network
from core.config import entry_point

SAMPLE = 2  # images of noise on which the rounding is measured


@torch.no_grad()
def _rounding(network: Generator, draft: Path) -> float:
    """The largest difference of a value between what the network draws and what was written of it
    draws, of seeded noise, as a share of the largest value."""
    generator = torch.Generator().manual_seed(0)
    noise = 2 * torch.rand(SAMPLE, 3, *network.size, generator=generator) - 1
    maps = -torch.ones(SAMPLE, network.map_channels, *network.size)  # no class anywhere
    one, other = (each(noise, maps)["image"] for each in (network, open_network(draft, Generator)))
    return float((one - other).abs().max() / one.abs().max())


keep = partial(
    keep_network, Keeper(Generator, _rounding, view_card, sizes=lambda network: (network.size,))
)


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    keeping_command(keep, Generator.KEPT, "apps/crossview/keep.py", __doc__, argv)


if __name__ == "__main__":
    main()
