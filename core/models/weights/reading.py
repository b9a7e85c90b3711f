"""Weights of a backbone: the official .npz, timm's mixer_*, and the folders that we write.

Some of these folders are kept in the package and open by their names (`names.py`). This only
reads. Each file is read once, into a StoredModel: `core.models.building` builds the network that it
describes and loads the state strictly.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from core.checkpoints import averaged_weights, find_checkpoint
from core.errors import InputError, did_you_mean
from core.files import unreadable
from core.models.timm_weights import is_timm
from core.models.weights.download import NAMES, OFFICIAL, official_weights
from core.models.weights.formats import FORMATS, from_timm, read_npz, read_state_dict
from core.models.weights.hub import PREFIX, hub_folder
from core.models.weights.names import is_kept, kept_folder, kept_names
from core.models.weights.permuted import permuted_name, without_permutation
from core.models.weights.stored import StoredModel, linear_head, read_description

HALF = (torch.float16, torch.bfloat16)


def read_stored(path: str | Path, image_size=None) -> StoredModel:
    """What a file, a folder (see FORMATS), a kept name or "hub:<user>/<name>" holds.

    "permuted:" before one of these is for `build_backbone` to do (`permuted.py`).

    A run gives its `best` checkpoint, else its last; a checkpoint's EMA weights are preferred.
    A file that does not say its grid is taken to have a square one; where its tokens make none,
    `image_size` (height, width) says it. Half precision in a folder of ours becomes float32, with
    the same values. Nothing is unpickled. Raises InputError where the path holds no backbone.
    """
    named, seed = without_permutation(path)
    if seed is not None:
        return to_be_permuted(read_stored(named, image_size), seed)
    place = _local(path)
    if place.is_dir():
        folder = find_checkpoint(place) if (place / "checkpoints").is_dir() else place
        if (file := _of_timm(folder)) is not None:
            _check_normalization(folder / "config.json", file)
            return from_timm(read_state_dict(file), image_size, source=folder)
        return _read_folder(folder.resolve(), path)
    if place.suffix == ".npz":
        return read_npz(place, image_size)
    _check_normalization(place.parent / "config.json", place)
    return from_timm(read_state_dict(place), image_size, source=place)


def to_be_permuted(stored: StoredModel, seed: int) -> StoredModel:
    """The same, whose entries change places when a network is built of it; without its head."""
    origin = permuted_name(stored.origin, seed)
    return replace(stored, permuted=seed, origin=origin, head=None, classes=None)


def _of_timm(folder: Path) -> Path | None:
    """The weights of a folder as timm puts it on the Hub, where it is one."""
    if "architecture" not in _timm_info(folder / "config.json"):
        return None
    names = ("model.safetensors", "pytorch_model.bin")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _timm_info(file: Path) -> dict[str, Any]:
    """A config.json of timm's; empty where there is none, or another's."""
    try:
        info = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}
    ours = not isinstance(info, dict) or "backbone" in info
    return {} if ours or not isinstance(info.get("pretrained_cfg"), dict) else info


def _check_normalization(config: Path, file: Path) -> None:
    """Raise InputError where timm's config.json says another normalization than a Mixer's."""
    info = _timm_info(config)
    values = [v for key in ("mean", "std") for v in info.get("pretrained_cfg", {}).get(key, ())]
    if any(value != 0.5 for value in values):
        tag = info["pretrained_cfg"].get("tag")
        name = "timm:" + ".".join(filter(None, [str(info.get("architecture")), tag]))
        raise InputError(
            f"{file} expects images normalised by {values[:3]} and {values[3:]}, a Mixer by 0.5: "
            f"open it as create_backbone({name!r}, ..., weights={str(file)!r})"
        )


def find_weights(name: str, weights: str | Path) -> str | Path:
    """Where a named set lies, e.g. "imagenet1k" for "mixer_b16" (it is fetched), or "hub:...".

    A path, and what timm knows by "timm" or "timm:<tag>", is given back as it is, and so is a name
    that is kept (`names.py`), which `read_stored` opens.
    """
    if isinstance(weights, str) and weights in OFFICIAL:
        return official_weights(name, weights)
    return _local(weights) if str(weights).startswith(PREFIX) else weights


def check_weights(weights: str | Path) -> None:
    """Raise InputError for a path where nothing is, and for what is no name; nothing is read."""
    weights, _ = without_permutation(weights)
    named = is_kept(weights) or weights in OFFICIAL or is_timm(weights)
    if not (named or str(weights).startswith(PREFIX) or Path(weights).exists()):
        raise InputError(_missing(weights))


def _local(path: str | Path) -> Path:
    if is_kept(path):
        return kept_folder(path)
    if str(path).startswith(PREFIX):
        return hub_folder(str(path).removeprefix(PREFIX))
    if not Path(path).exists():
        raise InputError(_missing(path))
    return Path(path)


def _missing(path: str | Path) -> str:
    """Why there is nothing, and what there is: of a mere word the names come first."""
    names = [*kept_names(), *OFFICIAL]
    if path in OFFICIAL:
        some = next(name for name, key in NAMES.items() if key in OFFICIAL[path])
        return (
            f"{path} is of several networks: say which, create_backbone({some!r}, weights={path!r})"
        )
    others = "timm, timm:<tag> and hub:<user>/<name>"
    if re.fullmatch(r"[\w-]+", str(path)):
        nearest = did_you_mean(str(path), names)
        return f"{path} does not exist, by name or as a file.{nearest}, {others}; files: {FORMATS}"
    return (
        f"{path} does not exist; weights are {FORMATS}; by name create_backbone takes "
        f"{', '.join(names)}, {others}"
    )


def _read_folder(folder: Path, named: str | Path) -> StoredModel:
    """A folder of ours. Backbone keys begin with "backbone." where it holds a whole model."""
    if not (folder / "config.json").exists():
        raise InputError(f"{folder} has no config.json; weights are {FORMATS}")
    file = averaged_weights(folder)
    if not file.exists():
        raise InputError(f"{folder} has no {file.name}; weights are {FORMATS}")
    info = read_description(folder)
    state = _read_tensors(file)
    inside = {k.removeprefix("backbone."): v for k, v in state.items() if k.startswith("backbone.")}
    by_name = is_kept(named) or str(named).startswith(PREFIX)
    return StoredModel(
        description=info["backbone"],
        state=inside or state,
        head=linear_head(state) if inside else None,
        classes=info["head"].get("classes") if isinstance(info.get("head"), dict) else None,
        origin=str(named if by_name else folder),
        owner=str(info.get("class", "")),
    )


def _read_tensors(file: Path) -> dict[str, Tensor]:
    try:
        state = load_file(file)
    except Exception as error:
        raise InputError(f"{file} cannot be read: {unreadable(file, error)}") from error
    return {name: value.float() if value.dtype in HALF else value for name, value in state.items()}
