"""Weights of a backbone: the official .npz, timm's mixer_*, and the folders that we write.

Every reader gives a description (what `Backbone.describe` returns) and a state dict in our names,
and `load_backbone` builds the one and loads the other strictly.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.checkpoints import find_checkpoint
from core.errors import InputError, first_line
from core.models.shapes import as_pair, times
from core.models.weights.download import OFFICIAL, official_weights
from core.models.weights.formats import (
    FORMATS,
    from_timm,
    read_npz,
    read_npz_state,
    read_state_dict,
)
from core.models.weights.hub import PREFIX, hub_folder


def load_backbone(path: str | Path, image_size=None) -> nn.Module:
    """The backbone that a file, a folder (see FORMATS) or "hub:<user>/<name>" holds.

    A run gives its `best` checkpoint, else its last; a checkpoint's EMA weights are preferred.
    `image_size` (height, width) is the size to move to (`set_image_size`). A file that does not say
    its grid is taken to have a square one; where its tokens make none, `image_size` says it.
    Nothing is unpickled. Raises InputError where the path holds no backbone.
    """
    description, state = read_weights(path, image_size)
    return build_backbone(description, state, path, image_size)


def save_backbone(backbone: nn.Module, folder: str | Path) -> Path:
    """Write config.json, model.safetensors and README.md (a model card) into a new folder.

    It appears whole or not at all. Raises InputError where the folder exists.
    """
    from core.models.weights.card import model_card  # it imports this module

    folder = Path(folder)
    if folder.exists():
        raise InputError(f"{folder} exists already; nothing is overwritten: choose another folder")
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    draft.mkdir(parents=True)
    try:
        (draft / "config.json").write_text(json.dumps({"backbone": backbone.describe()}, indent=2))
        state = {name: value.contiguous() for name, value in backbone.state_dict().items()}
        save_file(state, draft / "model.safetensors")
        (draft / "README.md").write_text(model_card(backbone))
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return folder


def read_weights(path: str | Path, image_size=None) -> tuple[dict, dict[str, Tensor]]:
    """(description, state dict) of anything that `load_backbone` opens; heads are left out."""
    path = _local(path)
    if path.is_dir():
        return _read_folder(_checkpoint_in(path))
    if path.suffix == ".npz":
        state, description, _ = read_npz(path, image_size)
    else:
        state, description, _ = from_timm(read_state_dict(path), image_size, source=path)
    return description, state


def read_head(path: str | Path) -> dict[str, Tensor] | None:
    """A classifier's {"weight": (classes, C), "bias": (classes,)}, or None where there is none.

    `path` is what `load_backbone` opens: an official .npz, a state dict of timm, or a folder of
    ours whose model has a linear `head` beside its `backbone`.
    """
    path = _local(path)
    if path.is_dir():
        state = _read_tensors(_weights_file(_checkpoint_in(path)))
    else:
        state = read_npz_state(path) if path.suffix == ".npz" else read_state_dict(path)
    head = {name: state.get(f"head.{name}") for name in ("weight", "bias")}
    return None if None in head.values() else head


def build_backbone(
    description: dict, state: dict[str, Tensor], source: str | Path, image_size=None, **resize
) -> nn.Module:
    """Build what is described, load the state strictly, and move to `image_size` if it is given.

    resize: the `resize` of Mixer.set_image_size, where it is a Mixer.
    """
    with naming(source):
        backbone = _build(description)
    load_strictly(backbone, state, source)
    if image_size is not None:
        backbone.set_image_size(as_pair("image_size", image_size), **resize)
    backbone.origin = str(_origin(source))
    return backbone


@contextmanager
def naming(source: str | Path):
    """Begin an InputError about what a file describes with the file's name."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def _build(description: dict) -> nn.Module:
    from core.models.backbone import backbone_from_description  # it imports this module

    if description.get("name") != "mixer":
        return backbone_from_description(description)
    with torch.device("meta"):  # spend no time on initial values: all are loaded
        backbone = backbone_from_description(description)
    return backbone.to_empty(device=torch.get_default_device())


def _origin(source: str | Path) -> str | Path:
    """What the weights came from; of a run the checkpoint, since `best` may move on."""
    return _checkpoint_in(Path(source)).resolve() if Path(source).is_dir() else source


def load_strictly(model: nn.Module, state: dict[str, Tensor], source: str | Path) -> None:
    """load_state_dict, where every missing, unexpected and misshapen key is named."""
    own = model.state_dict()
    wrong = [f"missing {name}" for name in own if name not in state]
    wrong += [f"unexpected {name}" for name in state if name not in own]
    wrong += [
        f"{name} is {times(state[name].shape)}, expected {times(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if wrong:
        more = f" and {len(wrong) - 6} more" if len(wrong) > 6 else ""
        raise InputError(f"{source} does not fit the network: {'; '.join(wrong[:6])}{more}")
    model.load_state_dict(state)


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


def _checkpoint_in(path: Path) -> Path:
    return find_checkpoint(path) if (path / "checkpoints").is_dir() else path


def _weights_file(folder: Path) -> Path:
    ema = folder / "ema.safetensors"
    file = ema if ema.exists() else folder / "model.safetensors"
    if not file.exists():
        raise InputError(f"{folder} has no {file.name}; weights are {FORMATS}")
    return file


def _read_tensors(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except Exception as error:
        raise InputError(f"{file} cannot be read: {first_line(error)}") from error


def _read_folder(path: Path) -> tuple[dict, dict[str, Tensor]]:
    """A folder of ours. Backbone keys begin with "backbone." where it holds a whole model."""
    if not (path / "config.json").exists():
        raise InputError(f"{path} has no config.json; weights are {FORMATS}")
    file = _weights_file(path)
    try:
        description = dict(json.loads((path / "config.json").read_text())["backbone"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f'{path}/config.json has no "backbone" entry ({error!r})') from error
    state = _read_tensors(file)
    inside = {k.removeprefix("backbone."): v for k, v in state.items() if k.startswith("backbone.")}
    return description, inside or state
