"""The files that others write: the official Mixer's .npz, and the state dicts of timm and ConvMLP.

Each reader takes what lies in the file to our names and shapes and gives a StoredModel; the sizes
of the network are read from the shapes of its parameters.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.errors import InputError
from core.files import check_archive, unreadable
from core.models.networks.convmlp import ConvMLPConfig
from core.models.networks.mixer_config import MixerConfig
from core.models.shapes import as_pair, times
from core.models.weights.stored import StoredModel, linear_head

FORMATS = (
    "an official Mixer .npz, a state dict of timm (.safetensors, .pth, .pth.tar, .ckpt) or its Hub "
    "folder, "
    "a folder that save_backbone wrote, a checkpoint folder or a training run"
)
TORCH_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".pth.tar", ".ckpt")
# what trainers put before the names of a network that they hold: DDP, torch.compile, Lightning, ...
PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "encoder.")
# as timm says it of the classes in a file, and as torch does of the first one
GLOBALS = re.compile(r"Unsupported globals?: (?:GLOBAL )?(.+?)(?: was not|\.\s)")
HEADS = ("head.", "fc.", "classifier.")  # what may stand beside it
LOSSES = ("criterion.", "loss.")  # what may too, and is no part of a network

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
# The names in SHI-Labs' ConvMLP, where they are not ours.
CONVMLP_TO_OURS = [
    (r"^tokenizer\.block\.", "tokenizer."),
    (r"^conv_stages\.conv_blocks\.", "conv_blocks."),
    (r"^conv_stages\.downsample\.", "conv_downsample."),
    (r"\.downsample_mlp\.downsample\.", ".downsample."),
]


def read_npz(path: str | Path, image_size=None) -> StoredModel:
    """An official Mixer's checkpoint, in either layout.

    The layouts are those of vit_jax's `models_mixer.py` and, older, of what big_vision's
    `mlp_mixer.py` reads; the configuration comes from the shapes. The grid is that of `image_size`
    where it has as many tokens, else a square; where S is no square it must be given. Raises
    InputError where the file cannot be read, and where it holds another network.
    """
    return _stored_mixer(_npz_state(path), image_size, "tanh", path)


def _npz_state(path: str | Path) -> dict[str, Tensor]:
    """The arrays of an official checkpoint, in either layout, under our names and in our shapes."""
    try:
        check_archive(path)
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{path} cannot be read as .npz ({unreadable(path, error)}); give {FORMATS}"
        ) from error
    state = {}
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            raise InputError(f"{path} holds {array.dtype} in {name}, and no floating-point numbers")
        linen = _rename(name, OLD_TO_LINEN)
        array = array.squeeze() if "_mixing_phase_" in name else array
        # kernels: (in, out) -> (out, in), and height, width, in, out -> out, in, height, width
        array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
        state[_rename(linen, LINEN_TO_OURS)] = torch.from_numpy(np.ascontiguousarray(array))
    return state


def from_timm(
    state_dict: dict[str, Tensor], image_size=None, source: str | Path = "the state dict"
) -> StoredModel:
    """timm's mixer_*, of which the GELU is the exact one. Raises InputError for other networks."""
    if "stem.proj.weight" not in state_dict:
        raise InputError(
            f"{source} holds no Mixer of timm (no stem.proj.weight); open other models of timm by "
            "name, create_backbone('timm:<model>', weights=FILE), and our own by their folder"
        )
    state = {name.replace("stem.proj.", "stem."): value for name, value in state_dict.items()}
    return _stored_mixer(state, image_size, "exact", source)


def from_convmlp(
    state_dict: dict[str, Tensor], image_size=None, source: str | Path = "the state dict"
) -> StoredModel:
    """The classification checkpoints (.pth) of ConvMLP's authors (SHI-Labs/Convolutional-MLPs).

    Raises InputError where the shapes are no ConvMLP's. Their detection checkpoints have no last
    norm, and do not fit. Any size suits the weights: without `image_size` it is the authors' 224.
    """
    state = {_rename(name, CONVMLP_TO_OURS): value for name, value in state_dict.items()}
    body, head = _without_head(state)
    try:
        config = _convmlp_sizes(body, image_size or 224)
    except (KeyError, IndexError) as error:
        raise InputError(f"{source} holds no ConvMLP of SHI-Labs (no {error.args[0]})") from error
    description = {"name": "convmlp", **asdict(config)}
    return StoredModel(description, body, head, origin=str(source))


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The state dict in a .safetensors or .pth file, as timm or a plain torch.save wrote it.

    Also in what timm's train.py, Lightning and DeepSpeed keep: PREFIXES are taken off its names.
    """
    if not Path(path).is_file() or not str(path).endswith(TORCH_SUFFIXES):
        raise InputError(f"{path} is no {', '.join(TORCH_SUFFIXES)} file; weights are {FORMATS}")
    from timm.models import load_state_dict  # slow to import; unwraps state_dict, EMA, `module.`

    try:
        state = load_state_dict(str(path), weights_only=True)
    except Exception as error:
        raise InputError(f"{path} cannot be read ({_why(path, error)}); give {FORMATS}") from error
    if isinstance(state.get("module"), Mapping):  # DeepSpeed's *_model_states.pt
        state = state["module"]
    if not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path} holds no state dict (names and tensors); give {FORMATS}")
    return _without_prefixes(state)


def _why(path: str | Path, error: Exception) -> str:
    """Why torch or timm did not open a file of weights, without torch's advice to run its code."""
    said = f"{error} {error.__cause__}"
    if isinstance(error, AttributeError):  # timm asks what was stored for its items
        return "what was saved is no state dict: names and tensors"
    if found := GLOBALS.search(said):
        return (
            f"it holds Python objects beside tensors, {found[1]}, which are never run: "
            "where it was made, save model.state_dict()"
        )
    strange = isinstance(error, LookupError)  # of a pickle's words, where none are
    if strange or "weights_only" in said or "central directory" in said:
        return unreadable(path, "nothing that torch saved, or damaged: copy it again")
    return unreadable(path, error)


def _without_prefixes(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The network's own names: without what all of them begin with, but for those of a head."""
    for prefix in PREFIXES:
        inside = [name for name in state if name.startswith(prefix)]
        rest = (name for name in state if not name.startswith(prefix))
        if inside and all(name.startswith(HEADS + LOSSES) for name in rest):
            bare = {
                name.removeprefix(prefix): value
                for name, value in state.items()
                if not name.startswith(LOSSES)
            }
            return _without_prefixes(bare)
    return state


def _without_head(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict | None]:
    """The state of the backbone, and the classifier's linear head or None."""
    body = {name: value for name, value in state.items() if not name.startswith("head.")}
    return body, linear_head(state)


def _stored_mixer(state: dict[str, Tensor], image_size, gelu: str, source) -> StoredModel:
    """The sizes of the Mixer from the shapes of its parameters; the head goes apart."""
    body, head = _without_head(state)
    width, channels, *patch = _shape(body, "stem.weight", 4, source)
    tokens_mlp, tokens = _shape(body, "blocks.0.mlp_tokens.fc1.weight", 2, source)  # (D_S, S)
    channels_mlp, _ = _shape(body, "blocks.0.mlp_channels.fc1.weight", 2, source)  # (D_C, C)
    grid = _grid(tokens, patch, image_size, source)
    config = MixerConfig(
        image_size=(grid[0] * patch[0], grid[1] * patch[1]),
        patch_size=tuple(patch),
        hidden_dim=width,
        num_blocks=_count(body, r"blocks\.(\d+)\."),
        tokens_mlp_dim=tokens_mlp,
        channels_mlp_dim=channels_mlp,
        in_channels=channels,
        gelu=gelu,
    )
    return StoredModel({"name": "mixer", **asdict(config)}, body, head, origin=str(source))


def _convmlp_sizes(state: dict[str, Tensor], image_size) -> ConvMLPConfig:
    first = [f"stages.{stage}.blocks.0.channel_mlp1.fc1.weight" for stage in range(3)]
    hidden, dim = state[first[0]].shape
    return ConvMLPConfig(
        image_size=image_size,
        tokenizer_dim=state["tokenizer.6.weight"].shape[0],
        num_conv_blocks=_count(state, r"conv_blocks\.(\d+)\."),
        num_blocks=tuple(_count(state, rf"stages\.{i}\.blocks\.(\d+)\.") for i in range(3)),
        dims=tuple(state[name].shape[1] for name in first),
        mlp_ratio=hidden // dim,
        in_channels=state["tokenizer.0.weight"].shape[1],
    )


def _count(state: dict[str, Tensor], pattern: str) -> int:
    """How many different numbers stand in the names that begin with the pattern."""
    return len({match[1] for name in state if (match := re.match(pattern, name))})


def _shape(state: dict[str, Tensor], name: str, axes: int, source) -> tuple[int, ...]:
    if name not in state:
        strange = [key for key in state if not key.startswith(("stem", "blocks", "norm"))]
        some = ", ".join((strange or list(state))[:3]) or "nothing"
        raise InputError(
            f"{source} holds no Mixer: it has no {name}, but {some}; weights are {FORMATS}"
        )
    if state[name].ndim != axes:
        shape = times(state[name].shape)
        raise InputError(f"{source} holds no Mixer: {name} is {shape}, and should have {axes} axes")
    return tuple(state[name].shape)


def _grid(tokens: int, patch: list[int], image_size, source) -> tuple[int, int]:
    """The grid of `image_size` where it has that many tokens, else a square one."""
    side = math.isqrt(tokens)
    if image_size is None and side * side != tokens:
        raise InputError(f"{source} has {tokens} tokens, which is no square grid: give image_size")
    size = as_pair("image_size", image_size) if image_size else (side * patch[0], side * patch[1])
    grid = size[0] // patch[0], size[1] // patch[1]
    if grid[0] * grid[1] == tokens:
        return grid
    if side * side == tokens:
        return side, side
    raise InputError(
        f"{source} has {tokens} tokens, but image_size {times(size)} with its patch "
        f"{times(patch)} makes a grid of {times(grid)} = {grid[0] * grid[1]}"
    )


def _rename(name: str, rules: list[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
