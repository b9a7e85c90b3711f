"""Weights of a backbone: the official .npz, timm's mixer_*, and the folders that we write.

Every reader gives a description (what `Backbone.describe` returns) and a state dict in our names,
and `load_backbone` builds the one and loads the other strictly.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.errors import InputError
from core.models.mixer import MixerConfig, as_pair

FORMATS = (
    "an official Mixer .npz, a state dict of timm (.safetensors, .pth), "
    "a folder that save_backbone wrote, a checkpoint folder or a training run"
)
TORCH_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")

# The older names of the official parameters, brought to those of flax linen ...
OLD_TO_LINEN = [
    (r"^embedding/", "stem/"),
    (r"^Mixer/encoder_norm/", "pre_head_layer_norm/"),
    (r"^Mixer/encoderblock_", "MixerBlock_"),
    (r"_mixing_phase_0/(kernel|bias)1$", r"_mixing/Dense_0/\1"),
    (r"_mixing_phase_0/(kernel|bias)2$", r"_mixing/Dense_1/\1"),
]
# ... and those to ours.
LINEN_TO_OURS = [
    (r"^pre_head_layer_norm/", "norm/"),
    (r"^MixerBlock_(\d+)/", r"blocks/\1/"),
    (r"/(token|channel)_mixing/", r"/mlp_\1s/"),
    (r"/LayerNorm_0/", "/norm1/"),
    (r"/LayerNorm_1/", "/norm2/"),
    (r"/Dense_0/", "/fc1/"),
    (r"/Dense_1/", "/fc2/"),
    (r"/(kernel|scale)$", "/weight"),
    (r"/", "."),
]


def load_backbone(path: str | Path, image_size=None) -> nn.Module:
    """The backbone that a file or folder holds (see FORMATS), with its weights.

    A run gives its `best` checkpoint, else its `last`; a checkpoint's EMA weights are preferred.
    Raises InputError where the path holds no backbone, or one of another grid than `image_size`.
    """
    description, state = read_weights(path, image_size)
    return build_backbone(description, state, path, image_size)


def save_backbone(backbone: nn.Module, folder: str | Path) -> Path:
    """Write config.json and model.safetensors into a new folder, whole or not at all."""
    folder = Path(folder)
    if folder.exists():
        raise InputError(f"{folder} exists already; nothing is overwritten: choose another folder")
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    draft.mkdir(parents=True)
    try:
        (draft / "config.json").write_text(json.dumps({"backbone": backbone.describe()}, indent=2))
        state = {name: value.contiguous() for name, value in backbone.state_dict().items()}
        save_file(state, draft / "model.safetensors")
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return folder


def read_weights(path: str | Path, image_size=None) -> tuple[dict, dict[str, Tensor]]:
    """(description, state dict) of anything that `load_backbone` opens; heads are left out."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; weights are {FORMATS}")
    if path.is_dir():
        return _read_folder(path)
    if path.suffix == ".npz":
        state, description, _ = read_npz(path, image_size)
    else:
        state, description, _ = from_timm(read_state_dict(path), image_size, source=path)
    return description, state


def build_backbone(
    description: dict, state: dict[str, Tensor], source: str | Path, image_size=None
) -> nn.Module:
    """Build what is described and load the state strictly, at `image_size` where it is given."""
    from core.models.backbone import backbone_from_description  # it imports this module

    if description.get("name") == "mixer":  # spend no time on initial values: all are loaded
        with torch.device("meta"):
            backbone = backbone_from_description(description)
        backbone.to_empty(device=torch.get_default_device())
    else:
        backbone = backbone_from_description(description)
    load_strictly(backbone, state, source)
    if image_size is not None and as_pair("image_size", image_size) != backbone.image_size:
        backbone = _at_image_size(backbone, as_pair("image_size", image_size), source)
    return backbone


def _at_image_size(backbone: nn.Module, image_size: tuple[int, int], source) -> nn.Module:
    """The one place where a backbone with weights changes its grid."""
    if hasattr(backbone, "set_image_size"):
        backbone.set_image_size(image_size)
        return backbone
    patch = backbone.stride
    raise InputError(
        f"{source} was trained on a grid of {_times(backbone.grid)} tokens "
        f"({_times(backbone.image_size)} pixels), but image_size {_times(image_size)} asks for "
        f"{image_size[0] / patch[0]:g}x{image_size[1] / patch[1]:g}; "
        "resizing token mixing is not supported yet"
    )


def load_strictly(model: nn.Module, state: dict[str, Tensor], source: str | Path) -> None:
    """load_state_dict, where every missing, unexpected and misshapen key is named."""
    own = model.state_dict()
    wrong = [f"missing {name}" for name in own if name not in state]
    wrong += [f"unexpected {name}" for name in state if name not in own]
    wrong += [
        f"{name} is {_times(state[name].shape)}, expected {_times(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if wrong:
        more = f" and {len(wrong) - 6} more" if len(wrong) > 6 else ""
        raise InputError(f"{source} does not fit the network: {'; '.join(wrong[:6])}{more}")
    model.load_state_dict(state)


def read_npz(path: str | Path, image_size=None) -> tuple[dict[str, Tensor], dict, dict | None]:
    """(state dict, description, head or None) of an official checkpoint, in either layout.

    The layouts are those of vit_jax's `models_mixer.py` and, older, of what big_vision's
    `mlp_mixer.py` reads; the configuration comes from the shapes. A grid is taken to be square
    unless `image_size` is given; where S is no square it must be.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:
        raise InputError(
            f"{path} cannot be read as .npz ({first_line(error)}); give {FORMATS}"
        ) from error
    state = {}
    for name, array in arrays.items():
        linen = _rename(name, OLD_TO_LINEN)
        array = array.squeeze() if "_mixing_phase_" in name else array
        # kernels: (in, out) -> (out, in), and height, width, in, out -> out, in, height, width
        array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
        state[_rename(linen, LINEN_TO_OURS)] = torch.from_numpy(np.ascontiguousarray(array))
    return _described(state, image_size, "tanh", path)


def from_timm(
    state_dict: dict[str, Tensor], image_size=None, source: str | Path = "the state dict"
) -> tuple[dict[str, Tensor], dict, dict | None]:
    """(state dict, description, head or None) of timm's mixer_*; its GELU is the exact one."""
    if "stem.proj.weight" not in state_dict:
        raise InputError(
            f"{source} holds no Mixer of timm (no stem.proj.weight); open other models of timm by "
            "name, create_backbone('timm:<model>', weights=FILE), and our own by their folder"
        )
    state = {name.replace("stem.proj.", "stem."): value for name, value in state_dict.items()}
    return _described(state, image_size, "exact", source)


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The state dict in a .safetensors or .pth file, as timm or a plain torch.save wrote it."""
    if not Path(path).is_file() or Path(path).suffix not in TORCH_SUFFIXES:
        raise InputError(f"{path} is no {', '.join(TORCH_SUFFIXES)} file; weights are {FORMATS}")
    from timm.models import load_state_dict  # slow to import; unwraps state_dict, EMA, `module.`

    try:
        state = load_state_dict(str(path), weights_only=True)
    except Exception as error:
        raise InputError(f"{path} cannot be read ({first_line(error)}); give {FORMATS}") from error
    if not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path} holds no state dict (names and tensors); give {FORMATS}")
    return state


def _read_folder(path: Path) -> tuple[dict, dict[str, Tensor]]:
    """A folder of ours. Backbone keys begin with "backbone." where it holds a whole model."""
    if (path / "checkpoints").is_dir():
        found = [path / "checkpoints" / name for name in ("best", "last")]
        found = [folder for folder in found if folder.exists()]
        if not found:
            raise InputError(f"{path}/checkpoints has neither `best` nor `last`: nothing saved yet")
        path = found[0]
    ema = path / "ema.safetensors"
    file = ema if ema.exists() else path / "model.safetensors"
    for needed in (path / "config.json", file):
        if not needed.exists():
            raise InputError(f"{path} has no {needed.name}; weights are {FORMATS}")
    try:
        description = dict(json.loads((path / "config.json").read_text())["backbone"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f'{path}/config.json has no "backbone" entry ({error!r})') from error
    try:
        state = load_file(file)
    except Exception as error:
        raise InputError(f"{file} cannot be read: {first_line(error)}") from error
    inside = {k.removeprefix("backbone."): v for k, v in state.items() if k.startswith("backbone.")}
    return description, inside or state


def _described(state: dict[str, Tensor], image_size, gelu: str, source):
    """Split the head off, and read the Mixer's sizes from the shapes of its parameters."""
    head = {k.removeprefix("head."): state.pop(k) for k in list(state) if k.startswith("head.")}
    try:
        width, channels, *patch = state["stem.weight"].shape
        tokens_mlp, tokens = state["blocks.0.mlp_tokens.fc1.weight"].shape
        channels_mlp, _ = state["blocks.0.mlp_channels.fc1.weight"].shape
    except (KeyError, ValueError) as error:
        raise InputError(f"{source} holds no Mixer ({error}); weights are {FORMATS}") from error
    grid = _grid(tokens, patch, image_size, source)
    config = MixerConfig(
        image_size=(grid[0] * patch[0], grid[1] * patch[1]),
        patch_size=tuple(patch),
        hidden_dim=width,
        num_blocks=len({name.split(".")[1] for name in state if name.startswith("blocks.")}),
        tokens_mlp_dim=tokens_mlp,
        channels_mlp_dim=channels_mlp,
        in_channels=channels,
        gelu=gelu,
    )
    return state, {"name": "mixer", **asdict(config)}, head or None


def _grid(tokens: int, patch: list[int], image_size, source) -> tuple[int, int]:
    side = math.isqrt(tokens)
    if side * side == tokens:
        return side, side
    if image_size is None:
        raise InputError(f"{source} has {tokens} tokens, which is no square grid: give image_size")
    height, width = as_pair("image_size", image_size)
    grid = height // patch[0], width // patch[1]
    if grid[0] * grid[1] != tokens:
        raise InputError(
            f"{source} has {tokens} tokens, but image_size {_times((height, width))} with its "
            f"patch {_times(patch)} makes a grid of {_times(grid)} = {grid[0] * grid[1]}"
        )
    return grid


def _rename(name: str, rules: list[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def first_line(error: Exception) -> str:
    """What an error says, on one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _times(shape) -> str:
    return "x".join(str(side) for side in shape)
