"""Weights of a backbone: the official .npz, timm's mixer_*, and the folders that we write.

This only reads. Each file is read once, into a StoredModel: `core.models.building` builds the
network that it describes and loads the state strictly.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from core.checkpoints import averaged_weights, find_checkpoint
from core.errors import InputError, first_line
from core.models.weights.download import OFFICIAL, official_weights
from core.models.weights.formats import FORMATS, from_timm, read_npz, read_state_dict
from core.models.weights.hub import PREFIX, hub_folder
from core.models.weights.stored import StoredModel, linear_head


def read_stored(path: str | Path, image_size=None) -> StoredModel:
    """What a file, a folder (see FORMATS) or "hub:<user>/<name>" holds.

    A run gives its `best` checkpoint, else its last; a checkpoint's EMA weights are preferred.
    A file that does not say its grid is taken to have a square one; where its tokens make none,
    `image_size` (height, width) says it. Nothing is unpickled. Raises InputError where the path
    holds no backbone.
    """
    place = _local(path)
    if place.is_dir():
        folder = find_checkpoint(place) if (place / "checkpoints").is_dir() else place
        return _read_folder(folder.resolve(), path)
    if place.suffix == ".npz":
        return read_npz(place, image_size)
    return from_timm(read_state_dict(place), image_size, source=place)


def find_weights(name: str, weights: str | Path) -> str | Path:
    """Where a named set lies, e.g. "imagenet1k" for "mixer_b16" (it is fetched), or "hub:...".

    A path, and what timm knows by "timm" or "timm:<tag>", is given back as it is.
    """
    if isinstance(weights, str) and weights in OFFICIAL:
        return official_weights(name, weights)
    return _local(weights) if str(weights).startswith(PREFIX) else weights


def _local(path: str | Path) -> Path:
    if str(path).startswith(PREFIX):
        return hub_folder(str(path).removeprefix(PREFIX))
    if not Path(path).exists():
        names = ", ".join(OFFICIAL)
        raise InputError(
            f"{path} does not exist; weights are {FORMATS}; by name create_backbone takes {names}, "
            "timm, timm:<tag> and hub:<user>/<name>"
        )
    return Path(path)


def _read_folder(folder: Path, named: str | Path) -> StoredModel:
    """A folder of ours. Backbone keys begin with "backbone." where it holds a whole model."""
    if not (folder / "config.json").exists():
        raise InputError(f"{folder} has no config.json; weights are {FORMATS}")
    file = averaged_weights(folder)
    if not file.exists():
        raise InputError(f"{folder} has no {file.name}; weights are {FORMATS}")
    info = _read_info(folder / "config.json")
    state = _read_tensors(file)
    inside = {k.removeprefix("backbone."): v for k, v in state.items() if k.startswith("backbone.")}
    hub = str(named).startswith(PREFIX)
    return StoredModel(
        description=info["backbone"],
        state=inside or state,
        head=linear_head(state) if inside else None,
        classes=info["head"].get("classes") if isinstance(info.get("head"), dict) else None,
        origin=str(named if hub else folder),
        owner=str(info.get("class", "")),
    )


def _read_info(file: Path) -> dict[str, Any]:
    """config.json, in which "backbone" is known to be a dictionary."""
    try:
        info = json.loads(file.read_text())
        return {**info, "backbone": dict(info["backbone"])}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f'{file} has no "backbone" entry ({error!r})') from error


def _read_tensors(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except Exception as error:
        raise InputError(f"{file} cannot be read: {first_line(error)}") from error
