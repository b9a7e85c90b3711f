"""Keep a run's network in the package, to be opened by a name:

python apps/pose/keep.py RUN [--name people] --data WORDS --terms WORDS [--limits WORDS ...]

What is written is apps/pose/weights/NAME: the network of RUN's best checkpoint (its moving average
where there is one) in half precision, config.json with its keypoints, and a model card, all of it
or nothing. predict.py, eval.py, export.py and --model.weights take the name as they take a run;
predict.py without a run takes `people`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from apps.pose.models.kept_card import pose_card
from apps.pose.models.network import PoseNet
from core.app.runs import open_network, place_of
from core.checkpoints import find_checkpoint
from core.config import entry_point, to_plain
from core.models.weights.download import OFFICIAL
from core.models.weights.names import About, kept_names
from core.models.weights.writing import (
    check_name,
    figures_of,
    keep_as_told,
    keeping_parser,
    write_kept,
)

SAMPLE = 8  # crops of noise on which the rounding is measured


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

    trained_on, terms, limits: sentences for the card. evaluations: json files of eval.py;
    RUN/eval.json is taken too. out: the package's folder unless given. Raises InputError where the
    name or the folder is taken, for another app's run, for weights beyond the range of `dtype`,
    and for a file of more than 10 MB.
    """
    check_name(name, (*OFFICIAL, "timm", *kept_names()))  # --model.weights takes these, too
    checkpoint = find_checkpoint(place_of(run, PoseNet))
    network = open_network(checkpoint, PoseNet)
    sizes, measured = (network.config.image_size,), figures_of(checkpoint, evaluations)
    return write_kept(
        Path(out or PoseNet.KEPT.folder, name),
        network.state_dict(),
        About(trained_on, terms, license, sizes, tuple(limits), dtype, **measured),
        to_plain(network.describe()),
        lambda draft: _rounding(network, draft),
        lambda about: pose_card(name, network, about, checkpoint),
        checkpoint,
    )


@torch.no_grad()
def _rounding(network: PoseNet, draft: Path) -> float:
    """The largest difference of an output between the network and what was written of it.

    As a share of the largest output, on crops of seeded noise.
    """
    size = (SAMPLE, 3, *network.config.image_size)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, size, dtype=torch.uint8, generator=generator)
    expected, again = network(noise), open_network(draft, PoseNet)(noise)
    largest = max(float(values.abs().max()) for values in expected.values())
    return max(float((again[k] - v).abs().max()) for k, v in expected.items()) / largest


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    parser = keeping_parser(
        "python apps/pose/keep.py",
        __doc__.split("\n\n")[2],
        "the package's",
        default=PoseNet.KEPT.usual,
        help="what predict.py and others will take in place of a run (%(default)s)",
    )
    keep_as_told(keep, parser, argv)


if __name__ == "__main__":
    main()
