"""Keep a run's network in the package, to be opened by a name:

python apps/pose/keep.py RUN [--name people] --data WORDS --terms WORDS [--limits WORDS ...]

What is written is apps/pose/weights/NAME: the network of RUN's best checkpoint (its moving average
where there is one) in half precision, config.json with its keypoints, and a model card, all of it
or nothing. predict.py, eval.py, export.py and --model.weights take the name as they take a run;
predict.py without a run takes `people`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from apps.pose.models.kept_card import pose_card
from apps.pose.models.network import PoseNet
from core.app.keeping import Keeper, keep_network, keeping_command
from core.app.runs import open_network
from core.config import entry_point
from core.models.weights.download import OFFICIAL
from core.models.weights.names import kept_names

SAMPLE = 8  # crops of noise on which the rounding is measured


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


keep = partial(
    keep_network,
    Keeper(
        PoseNet,
        _rounding,
        pose_card,
        sizes=lambda network: (network.config.image_size,),
        # --model.weights takes these, too
        taken=lambda: (*OFFICIAL, "timm", *kept_names()),
    ),
)


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    keeping_command(keep, PoseNet.KEPT, "apps/pose/keep.py", __doc__, argv)


if __name__ == "__main__":
    main()
