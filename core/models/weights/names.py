"""Weights that are kept in this package and open by name, without a network: kept/NAME.

    config.json          the network, the head's classes, and "about" (About)
    model.safetensors    in half precision
    README.md            the model card

What is kept is what lies in that folder, and what is said of it stands in its own files; `keep.py`
writes them. A name is a string: the Path of a folder that is called so is that folder, as is
"./NAME".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from core.errors import InputError
from core.files import unreadable
from core.models.networks.mixer_config import mixer_name
from core.models.weights.stored import read_description

FOLDER = Path(__file__).parent / "kept"


@dataclass(frozen=True)
class About:
    """What config.json says of kept weights beside their architecture."""

    trained_on: str  # the data, in words
    terms: str  # of the data
    license: str  # of the weights, as a model card of the Hub names it
    image_sizes: tuple[tuple[int, int], ...]  # (height, width) that training saw
    limits: tuple[str, ...] = ()  # what the weights are not good for
    precision: str = "float16"  # of what is stored
    rounding: float = 0.0  # largest difference of a feature by it, a share of the largest feature
    figures: Mapping[str, float] = field(default_factory=dict)  # of the checkpoint, by metric
    evaluations: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # by file


def kept_names(folder: Path | None = None) -> list[str]:
    """The names of what is kept (in another folder: an app's), in the order of the alphabet."""
    folder = folder or FOLDER
    folders = folder.iterdir() if folder.is_dir() else ()
    return sorted(f.name for f in folders if f.name[0] != "." and (f / "config.json").is_file())


def is_kept(weights: Any) -> bool:
    """Whether this is the name of kept weights; a Path never is."""
    return isinstance(weights, str) and weights in kept_names()


def kept_folder(name: str) -> Path:
    """Where the weights of a name lie; `is_kept` is true of it."""
    return FOLDER / name


def kept_network(name: str) -> str:
    """The network that a name is for, e.g. "mixer_c256_l8_p8"."""
    return network_of(_info(name)["backbone"])


def network_of(description: Mapping[str, Any]) -> str:
    """The name of a Mixer by its description. Raises InputError for other networks."""
    if description.get("name") != "mixer":
        raise InputError(f"this is no Mixer, but {description.get('name')}: only they are kept")
    return mixer_name(*(description[key] for key in ("num_blocks", "hidden_dim", "patch_size")))


def about(name: str) -> About:
    """What is said of the weights of a name. Raises InputError where their file says it wrongly."""
    file, values = kept_folder(name) / "config.json", _info(name).get("about")
    try:
        sizes = tuple(tuple(size) for size in values["image_sizes"])
        return About(**{**values, "image_sizes": sizes, "limits": tuple(values["limits"])})
    except (TypeError, KeyError) as error:
        known = ", ".join(field.name for field in fields(About))
        raise InputError(f'{file}: "about" does not have the fields {known}: {error!r}') from error


def kept_parameters(name: str) -> tuple[int, int]:
    """Numbers in the backbone, and classes of the head (0: none), from the file's header alone."""
    path = kept_folder(name) / "model.safetensors"
    try:
        with safe_open(path, "pt") as file:
            shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read: {unreadable(path, error)}") from error
    head = shapes.get("head.bias", [0])
    backbone = (shape for key, shape in shapes.items() if not key.startswith("head."))
    return sum(map(math.prod, backbone)), head[0]


def _info(name: str) -> dict[str, Any]:
    return read_description(kept_folder(name))
