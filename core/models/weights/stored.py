"""What every reader of weights gives: one model, as it lay in a file or a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from core.checkpoints import read_info
from core.errors import InputError

Head = dict[str, Tensor]  # {"weight": (n, C), "bias": (n,)}


@dataclass(frozen=True)
class StoredModel:
    """A backbone's description and state, and a classifier's head beside it, read once.

    A network is built from it as often as wanted (`core.models.building`), and no file is opened
    again: it goes wherever `weights` are asked for.
    """

    description: dict[str, Any]  # what `describe()` of the backbone returns
    state: dict[str, Tensor]  # the backbone's, under our names
    head: Head | None = None  # of a classifier; None where there is no linear one
    classes: list[str] | None = None  # the names of the head's classes, where they are known
    origin: str = "the state dict"  # the file, for messages; of a run the checkpoint's folder
    # Whose state this is, where it may hold more than the network that is described: a subclass
    # with parts of its own, a classifier of timm. A plain backbone is built without the rest.
    owner: str = ""
    permuted: int | None = None  # the seed, where entries are to change places (permuted.py)


def linear_head(state: dict[str, Tensor], prefix: str = "head.") -> Head | None:
    """The linear layer under `prefix`, None unless both its weight and its bias are there."""
    head = {name: state.get(f"{prefix}{name}") for name in ("weight", "bias")}
    return None if None in head.values() else head


def read_description(folder: Path) -> dict[str, Any]:
    """The config.json of a folder of ours, in which "backbone" is known to be a dictionary."""
    info = read_info(folder)
    try:
        return {**info, "backbone": dict(info["backbone"])}
    except (ValueError, KeyError, TypeError) as error:
        file = folder / "config.json"
        raise InputError(f'{file} has no "backbone" entry ({error!r})') from error
