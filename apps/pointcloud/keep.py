"""Keep a run's network in the package, to be opened by a name:

python apps/pointcloud/keep.py RUN [--name scans] --data WORDS --terms WORDS [--limits WORDS ...]

What is written is apps/pointcloud/weights/NAME: the network of RUN's best checkpoint in half
precision, config.json and a model card, all of it or nothing. predict.py and eval.py take the name
as they take a run; predict.py without a run takes `scans`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from apps.pointcloud.models.base import Network
from apps.pointcloud.models.kept_card import cloud_card
from apps.pointcloud.models.network import ReconNet
from core.app.keeping import Keeper, keep_network, keeping_command
from core.app.runs import open_network
from core.config import entry_point

SAMPLE = 512  # points of the cloud on which the rounding is measured


def _rounding(network: Network, draft: Path) -> float:
    """How far a point lies, at most, from the nearest one of what was written, and the other way;
    as a share of the radius of a noisy sphere."""
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(SAMPLE, 3, generator=generator)
    points = points / points.norm(dim=1, keepdim=True) * (1 + 0.02 * points[:, :1])
    one, other = (_made(each, points) for each in (network, open_network(draft, ReconNet)))
    return float(max(cKDTree(a).query(b)[0].max() for a, b in ((one, other), (other, one))))


@torch.no_grad()
def _made(network: Network, points: Tensor) -> Tensor:
    return network(points, torch.zeros(len(points), dtype=torch.int64))["points"].double()


keep = partial(keep_network, Keeper(ReconNet, _rounding, cloud_card))


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    keeping_command(keep, ReconNet.KEPT, "apps/pointcloud/keep.py", __doc__, argv)


if __name__ == "__main__":
    main()
