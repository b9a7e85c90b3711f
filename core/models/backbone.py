"""Backbones by name: `create_backbone(name, image_size, weights)`.

    mixer_s32 mixer_s16 mixer_b32 mixer_b16 mixer_l32 mixer_l16 mixer_h14    Table 1 of the paper
    mixer_c<width>_l<blocks>_p<patch>    any other one, e.g. mixer_c128_l6_p8, mixer_c96_l4_p8x4
    s2mlp_wide s2mlp_deep                spatial shifts in place of token mixing
    convmlp_s convmlp_m convmlp_l        a pyramid of channel MLPs and convolutions, at any size
    timm:<any timm model>                ViT, ResNet, HRNet, ResMLP, ... as baselines
    vit_c<width>_l<blocks>_p<patch>      timm's ViT at any size, heads of 64 channels

Each is what `core.models.contract.Backbone` says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from core.errors import InputError
from core.models.building import NETWORKS, build_backbone, naming
from core.models.networks.convmlp import CONVMLPS, convmlp_config
from core.models.networks.mixer_config import (
    MIXERS,
    SPECS,
    MixerConfig,
    free_config,
)
from core.models.networks.resize import resize_patch
from core.models.networks.s2mlp import S2MLPS, s2mlp_config
from core.models.networks.timm_backbone import TimmBackbone
from core.models.room import check_room
from core.models.shapes import as_pair, backbone_options, check_depth, config_from, times
from core.models.timm_weights import (
    is_timm,
    read_timm,
    read_timm_file,
    read_timm_mixer,
    timm_name,
)
from core.models.weights.formats import from_convmlp, read_state_dict
from core.models.weights.names import is_kept, kept_network
from core.models.weights.permuted import without_permutation
from core.models.weights.reading import find_weights, read_stored, to_be_permuted
from core.models.weights.stored import StoredModel

FREE_MIXER = re.compile(r"mixer_c(\d+)_l(\d+)_p(\d+)(?:x(\d+))?")
FREE_VIT = re.compile(r"vit_c(\d+)_l(\d+)_p(\d+)")
WEIGHTS_DECIDE = ("gelu", "tokens_mlp_dim", "any_size")
FREE_TO_DIFFER = ("any_size", "image_size", "dropout", "stochastic_depth", "grad_checkpointing")
DEFAULT_SIZE = 224
STEM = "stem.weight"


def create_backbone(
    name: str,
    image_size: int | Sequence[int] | None = None,
    weights: str | Path | StoredModel | None = None,
    resize: str = "auto",
    **options,
) -> nn.Module:
    """Build a backbone by name for images of `image_size`, (height, width).

    image_size: None is the size of the weights; for random ones 224, of `timm:` names timm's own.
    weights: None (random), a path that `load_backbone` opens (for `timm:` names a state dict of
    that model too, for `convmlp_` names a .pth of its authors), or one of these names:
        "imagenet1k" "imagenet21k" "sam" "gsam"    an official set (`core.models.weights.download`)
        "photos"              kept in this package, for mixer_c256_l8_p8: `core.list_weights`
        "timm"                the weights that timm prefers for the model; for a Mixer its `_224`
        "timm:<tag>"          others, e.g. "timm:goog_in21k"; name.tag does it for `timm:` names
        "hub:<user>/<name>"   a repository that `push_to_hub` wrote
        "permuted:<weights>"  any of all these, each tensor's entries in an order of chance; with
                              seed 3 "permuted-3:<weights>" (`core.models.weights.permuted`)
    A name comes before a file or folder that is called so: "./imagenet1k" is the folder.
    Beware: timm's tag goog_in21k_ft_in1k, its preferred one for mixer_b16 and mixer_l16, holds the
    weights trained on ImageNet-1k from scratch (a Mixer author says so in
    github.com/huggingface/pytorch-image-models/pull/651), the same that "imagenet1k" names.
    options: fields of the network's config (MixerConfig, S2MLPConfig, ConvMLPConfig), or what
    timm's model takes (drop_path_rate, ...). `in_channels` and timm's `in_chans` are one.
    resize: how a Mixer's token mixing comes to another grid than its weights', "auto", "exact",
    "pi", "area" or "bilinear" (`networks/resize.py`); the other networks move by themselves. A name
    of another patch than a Mixer's weights resizes their stem (`resize_patch`); its image size is
    that of their grid, where none is given.
    The weights decide on the GELU of a Mixer, on its D_S and on `any_size`, unless options do.
    Raises InputError where name and weights disagree, and for an option that means nothing here.
    """
    size = None if image_size is None else as_pair("image_size", image_size)
    if resize != "auto" and not name.startswith("mixer_"):
        raise InputError(f"resize={resize!r} is for mixer_ names: {name} moves by itself")
    # first: a message names the network as it was asked for
    if is_kept(without_permutation(weights)[0]):
        weights = open_weights(name, weights)
    name, options = _known(name, options)
    if name.startswith("timm:") and (not weights or is_timm(weights)):
        of_timm = timm_name(name, weights) if weights else name
        return TimmBackbone(of_timm, size, pretrained=bool(weights), **options)
    if not weights:
        config = _config(name, size or DEFAULT_SIZE, options)
        network = NETWORKS[kind_of(name)][0]
        check_room(partial(network, config), f"{name} at {times(config.image_size)}")
        return network(config)
    stored = open_weights(name, weights, size, **options)
    stored = _of_name(name, stored, size, options)
    return build_backbone(stored, size, **({"resize": resize} if kind_of(name) == "mixer" else {}))


def open_weights(
    name: str, weights: str | Path | StoredModel, image_size=None, resize="auto", **options
) -> StoredModel:
    """What `weights` holds for a network of this name, a classifier's head too, read once.

    All as of `create_backbone`, which takes the result as its `weights`; `resize` is for later.
    """
    if isinstance(weights, StoredModel):
        return weights
    named, seed = without_permutation(weights)
    if seed is not None:
        return to_be_permuted(open_weights(name, named, image_size, **options), seed)
    if is_kept(weights):
        _refuse_other_network(name, weights)
        return read_stored(weights)
    name, options = _known(name, options)
    weights = find_weights(name, weights)
    size = None if image_size is None else as_pair("image_size", image_size)
    if name.startswith("timm:") and is_timm(weights):
        return read_timm(timm_name(name, weights), size, options)
    if name.startswith("timm:") and not Path(weights).is_dir():
        return read_timm_file(name, weights, options)
    if kind_of(name) == "mixer" and is_timm(weights):
        return read_timm_mixer(timm_name(name, weights))
    if kind_of(name) == "convmlp" and Path(weights).suffix in (".pth", ".pt"):
        return from_convmlp(read_state_dict(weights), size, source=weights)
    if kind_of(name) in ("s2mlp", "convmlp") and (is_timm(weights) or Path(weights).is_file()):
        also = " or a .pth of ConvMLP's authors" if name in CONVMLPS else ""
        raise InputError(
            f"weights={str(weights)!r} cannot be those of {name}, which timm and the official "
            f"Mixers do not have; give a folder of ours (save_backbone, a checkpoint, a run){also}"
        )
    return read_stored(weights, size)


def _known(name: str, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name and options in the words of the network; InputError for what means nothing here."""
    words = ("in_chans", "in_channels") if kind_of(name) == "timm" else ("in_channels", "in_chans")
    options = backbone_options(options, *words)
    if options.pop("pretrained", False):
        raise InputError("pretrained=True: say which weights, e.g. weights='timm'")
    if "img_size" in options:
        raise InputError("img_size: it is image_size here, (height, width)")
    if match := FREE_VIT.fullmatch(name):
        return "timm:vit_tiny_patch16_224", _free_vit(*map(int, match.groups())) | options
    return name, options


def kind_of(name: str) -> str:
    """ "mixer", "s2mlp", "convmlp" or "timm". Raises InputError for a name of no backbone."""
    if name in MIXERS or FREE_MIXER.fullmatch(name):
        return "mixer"
    if name in S2MLPS or name in CONVMLPS:
        return "s2mlp" if name in S2MLPS else "convmlp"
    if name.startswith("timm:") or FREE_VIT.fullmatch(name):
        return "timm"
    raise InputError(
        f"unknown backbone {name!r}; choose {', '.join([*MIXERS, *S2MLPS, *CONVMLPS])}, "
        "mixer_c<width>_l<blocks>_p<patch>, vit_c<width>_l<blocks>_p<patch> or timm:<model>"
    )


def _of_name(
    name: str, stored: StoredModel, size: tuple[int, int] | None, options: dict[str, Any]
) -> StoredModel:
    """The stored model as the network of this name, with the options; InputError if it is none."""
    kind, theirs = kind_of(name), stored.description
    if kind == "timm":
        if str(theirs.get("name")).split(".")[0] != name.split(".")[0]:
            holds = theirs.get("name")
            raise InputError(f"{stored.origin} holds {holds}, but the name given is {name}")
        return replace(stored, description={**theirs, **options})
    if theirs.get("name") != kind:
        raise InputError(f"{stored.origin} holds {theirs.get('name')}, but {name} is {_a(kind)}")
    if kind == "mixer":
        patch = options.get("patch_size", _mixer_sizes(name)[2])
        stored = _with_patch(stored, as_pair("patch_size", patch))
        theirs = stored.description
    config = _config(name, size or theirs.get("image_size", DEFAULT_SIZE), options)
    values = asdict(_stored_config(stored, type(config)))
    ours = asdict(config)
    if kind == "mixer":
        ours |= {key: values[key] for key in WEIGHTS_DECIDE if key not in options}
    _refuse_differences(f"{stored.origin} holds {_a(kind)}", name, values, ours)
    # Built at the size of its weights; `build_backbone` moves it afterwards.
    description = {"name": kind, **ours, "image_size": values["image_size"]}
    return replace(stored, description=description)


def _stored_config(stored: StoredModel, kind: type) -> Any:
    """What is described of one of our networks. Raises InputError, which names the file."""
    with naming(stored.origin):
        return config_from(kind, {k: v for k, v in stored.description.items() if k != "name"})


def _with_patch(stored: StoredModel, patch: tuple[int, int]) -> StoredModel:
    """A Mixer's weights with another patch, for images of as many of those as they had."""
    config = _stored_config(stored, MixerConfig)
    if config.patch_size == patch:
        return stored
    stem = {name: resize_patch(w, patch) for name, w in stored.state.items() if name == STEM}
    sides = tuple(side * length for side, length in zip(config.grid, patch, strict=True))
    description = {**stored.description, "patch_size": patch, "image_size": sides}
    return replace(stored, description=description, state={**stored.state, **stem})


def _refuse_other_network(name: str, weights: str) -> None:
    """InputError where kept weights are of another network than this name's, patches aside."""
    network = kept_network(weights)
    if kind_of(name) != "mixer" or _mixer_sizes(name)[:2] != _mixer_sizes(network)[:2]:
        raise InputError(
            f"weights {weights!r} are those of {network}, and not of {name}: take {network}, "
            f"or ./{weights} for a folder of that name"
        )


def _a(kind: str) -> str:
    return "a Mixer" if kind == "mixer" else kind


def _refuse_differences(holds: str, name: str, stored: dict, wanted: dict) -> None:
    if differ := [k for k in wanted if k not in FREE_TO_DIFFER and stored[k] != wanted[k]]:
        theirs, ours = (", ".join(f"{k} {d[k]}" for k in differ) for d in (stored, wanted))
        raise InputError(f"{holds} of {theirs}, but {name} has {ours}")


def _free_vit(width: int, blocks: int, patch: int) -> dict:
    """Options of timm's ViT-Ti, of which nothing but the form is left."""
    check_depth("blocks", blocks)
    return {
        "embed_dim": width,
        "depth": blocks,
        "num_heads": max(1, width // 64),
        "patch_size": patch,
    }


def _config(name: str, image_size, options: dict[str, Any]):
    """The configuration of one of our networks by its name."""
    if name in S2MLPS or name in CONVMLPS:
        make = s2mlp_config if name in S2MLPS else convmlp_config
        return make(name, image_size=image_size, **options)
    config = _mixer_config(name, image_size, options)
    if min(config.grid) < 2:
        raise InputError(
            f"{name} at image_size {times(config.image_size)} has a grid of {times(config.grid)} "
            f"tokens, too few to mix: choose {times([2 * side for side in config.patch_size])} or "
            "more"
        )
    return config


def _mixer_config(name: str, image_size, options: dict[str, Any]) -> MixerConfig:
    return free_config(*_mixer_sizes(name), image_size=image_size, **options)


def _mixer_sizes(name: str) -> tuple[int, int, int | tuple[int, int]]:
    """Blocks, width and patch of a mixer_ name."""
    if name in MIXERS:
        return SPECS[MIXERS[name]]
    width, blocks, ph, pw = (int(v) if v else None for v in FREE_MIXER.fullmatch(name).groups())
    return blocks, width, (ph, pw or ph)
