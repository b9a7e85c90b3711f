"""Keep a run's weights in the package, to be opened by a name:

python -m core.models.weights.keep RUN --name photos --data WORDS --terms WORDS [--limits WORDS ...]

What is written is core/models/weights/kept/NAME: the backbone of RUN's best checkpoint (its moving
average where there is one) in half precision, its head, config.json and a model card, all of it or
nothing. See `names.py` for what opens it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.checkpoints import find_checkpoint
from core.config import entry_point, read_yaml
from core.models.backbone import create_backbone
from core.models.shapes import as_pair
from core.models.weights import names
from core.models.weights.card import record_of
from core.models.weights.download import OFFICIAL
from core.models.weights.kept_card import kept_card
from core.models.weights.names import About, network_of
from core.models.weights.reading import read_stored
from core.models.weights.stored import StoredModel
from core.models.weights.writing import (
    check_name,
    figures_of,
    keep_as_told,
    keeping_parser,
    write_kept,
)

SAMPLE = 8  # images of noise on which the rounding is measured


def keep(
    run: str | Path,
    name: str,
    trained_on: str,
    terms: str,
    limits: Sequence[str] = (),
    license: str = "apache-2.0",
    evaluations: Sequence[str | Path] = (),
    dtype: str = "float16",
    head: bool = True,
    out: str | Path | None = None,
) -> Path:
    """Write the folder out/`name` of a run, or of one of its checkpoints; returns it.

    trained_on, terms, limits: sentences for the card, see About. evaluations: json files that
    core/eval.py wrote; RUN/eval.json and RUN/transfer/*.json are taken too. head: keep the
    classifier's. out: the package's folder unless given. Raises InputError where the name or the
    folder is taken, for another network than a Mixer, for weights beyond the range of `dtype`, and
    for a file of more than 10 MB.
    """
    check_name(name, (*OFFICIAL, "timm"))
    checkpoint = find_checkpoint(run)
    stored = read_stored(checkpoint)
    stored = stored if head else replace(stored, head=None, classes=None)
    # by its name, as people will: without what only its training had, such as stochastic depth
    network = create_backbone(network_of(stored.description), weights=stored).eval()
    sizes, measured = _image_sizes(checkpoint, network), figures_of(checkpoint, evaluations)
    return write_kept(
        Path(out or names.FOLDER, name),
        _state(network, stored),
        About(trained_on, terms, license, sizes, tuple(limits), dtype, **measured),
        _info(network, stored),
        lambda draft: _rounding(network, draft),
        lambda about: kept_card(name, network, about, stored.head, checkpoint),
        stored.origin,
    )


def _state(network: nn.Module, stored: StoredModel) -> dict[str, Tensor]:
    state = {f"backbone.{key}": value for key, value in network.state_dict().items()}
    return state | {f"head.{key}": value for key, value in (stored.head or {}).items()}


def _info(network: nn.Module, stored: StoredModel) -> dict[str, Any]:
    """config.json, as that of every folder of ours."""
    info = {"backbone": network.describe()}
    if stored.head:
        classes = len(stored.head["bias"])
        info["head"] = {"num_classes": classes, "classes": stored.classes}
    return info


def _image_sizes(checkpoint: Path, network: nn.Module) -> tuple[tuple[int, int], ...]:
    """Those that the run's settings name; else the one of the network."""
    record = record_of(checkpoint)
    settings = read_yaml(record) if record.is_file() else {}
    sizes = (settings.get("model") or {}).get("sizes") or ()
    return tuple(as_pair("model.sizes", size) for size in sizes) or (network.image_size,)


@torch.no_grad()
def _rounding(network: nn.Module, draft: Path) -> float:
    """The largest difference of a feature between the network and what was written of it.

    As a share of the largest feature, on images of seeded noise.
    """
    again = create_backbone(network_of(network.describe()), weights=draft).eval()
    noise = torch.rand(SAMPLE, 3, *network.image_size, generator=torch.Generator().manual_seed(0))
    expected = network(2 * noise - 1)
    return float((again(2 * noise - 1) - expected).abs().max() / expected.abs().max())


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    parser = keeping_parser(
        "python -m core.models.weights.keep",
        __doc__.split("\n\n")[2],
        "the package's",
        required=True,
        help="what create_backbone's weights=NAME will say",
    )
    parser.add_argument(
        "--no-head", dest="head", action="store_false", help="leave the classifier's head out"
    )
    keep_as_told(keep, parser, argv)


if __name__ == "__main__":
    main()
