"""Keep a run's network in its app's package, to be opened by a name: the skeleton of keep.py.

    keep = partial(keep_network, Keeper(ReconNet, rounding, cloud_card))

What is written is apps/APP/weights/NAME: the network of RUN's best checkpoint (its moving average
where there is one) in half precision, config.json and a model card, all of it or nothing. Wherever
the folder of a run is taken, the name is then taken, too (`kept.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from core.app.runs import open_network, place_of
from core.checkpoints import find_checkpoint
from core.config import to_plain
from core.models.weights.names import About
from core.models.weights.writing import (
    check_name,
    figures_of,
    keep_as_told,
    keeping_parser,
    write_kept,
)


@dataclass(frozen=True)
class Keeper:
    """What only the app knows of its networks."""

    network: Any  # the class, with KEPT
    # of (the network, the folder as it will be): the largest difference that rounding made, as a
    # share of what its card names
    rounding: Callable[[nn.Module, Path], float]
    card: Callable[[str, nn.Module, About, Path], str]  # of (name, network, about, checkpoint)
    sizes: Callable[[nn.Module], tuple] = lambda network: ()  # of images that it is for
    taken: Callable[[], Sequence[str]] = tuple  # names that mean something else


def keep_network(
    keeper: Keeper,
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
    check_name(name, keeper.taken())
    checkpoint = find_checkpoint(place_of(run, keeper.network))
    network = open_network(checkpoint, keeper.network)
    measured = figures_of(checkpoint, evaluations)
    about = About(
        trained_on, terms, license, keeper.sizes(network), tuple(limits), dtype, **measured
    )
    return write_kept(
        Path(out or keeper.network.KEPT.folder, name),
        network.state_dict(),
        about,
        to_plain(network.describe()),
        lambda draft: keeper.rounding(network, draft),
        lambda about: keeper.card(name, network, about, checkpoint),
        checkpoint,
    )


def keeping_command(
    keep: Callable[..., Path], kept: Any, script: str, doc: str, argv: Sequence[str] | None = None
) -> None:
    """The command line of an app's keep.py; kept: its `KeptNetworks`."""
    words = "what predict.py and others will take in place of a run (%(default)s)"
    parser = keeping_parser(
        f"python {script}", doc.split("\n\n")[2], "the package's", default=kept.usual, help=words
    )
    keep_as_told(keep, parser, argv)
