"""Keep a run's network in the package, to be opened by a name:

python apps/pointcloud/keep.py RUN [--name scans] --data WORDS --terms WORDS [--limits WORDS ...]

What is written is apps/pointcloud/weights/NAME: the network of RUN's best checkpoint in half
precision, config.json and a model card, all of it or nothing. predict.py and eval.py take the name
as they take a run; predict.py without a run takes `scans`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from apps.pointcloud.models.base import Network
from apps.pointcloud.models.kept_card import cloud_card
from apps.pointcloud.models.network import ReconNet
from core.app.runs import open_network, place_of
from core.checkpoints import find_checkpoint
from core.config import entry_point, to_plain
from core.models.weights.names import About
from core.models.weights.writing import (
    check_name,
    figures_of,
    keep_as_told,
    keeping_parser,
    write_kept,
)

SAMPLE = 512  # points of the cloud on which the rounding is measured


def keep(
    run: str | Path,
    name: str,
    trained_on: str,
    terms: str,
    limits: Sequence[str] = (),
    license: str = "apache-2.0",
    evaluations: Sequence[str | Path] = (),
    dtype: str = "float16",
    out: str | Path | None = None,
) -> Path:
    """Write the folder out/`name` of a run, or of one of its checkpoints; returns it.

    As apps/pose/keep.py has them. Raises InputError where the name or the folder is taken, for
    another app's run, for weights beyond the range of `dtype`, and for a file of more than 10 MB.
    """
    check_name(name, ())
    checkpoint = find_checkpoint(place_of(run, ReconNet))
    network = open_network(checkpoint, ReconNet)
    about = About(
        trained_on, terms, license, (), tuple(limits), dtype, **figures_of(checkpoint, evaluations)
    )
    return write_kept(
        Path(out or ReconNet.KEPT.folder, name),
        network.state_dict(),
        about,
        to_plain(network.describe()),
        lambda draft: _rounding(network, draft),
        lambda about: cloud_card(name, network, about, checkpoint),
        checkpoint,
    )


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


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    parser = keeping_parser(
        "python apps/pointcloud/keep.py",
        __doc__.split("\n\n")[2],
        "the package's",
        default=ReconNet.KEPT.usual,
        help="what predict.py and others will take in place of a run (%(default)s)",
    )
    keep_as_told(keep, parser, argv)


if __name__ == "__main__":
    main()
