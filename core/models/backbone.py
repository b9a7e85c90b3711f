"""One contract over every backbone: `create_backbone(name, image_size, weights)`.

    mixer_s32 mixer_s16 mixer_b32 mixer_b16 mixer_l32 mixer_l16 mixer_h14    Table 1 of the paper
    mixer_c<width>_l<blocks>_p<patch>    any other one, e.g. mixer_c128_l6_p8, mixer_c96_l4_p8x4
    s2mlp_wide s2mlp_deep                spatial shifts in place of token mixing
    convmlp_s convmlp_m convmlp_l        a pyramid of channel MLPs and convolutions, at any size
    timm:<any timm model>                ViT, ResNet, HRNet, ResMLP, ... as baselines
    vit_c<width>_l<blocks>_p<patch>      timm's ViT at any size, heads of 64 channels

Each is an nn.Module with `forward(images)` -> tokens (B, S, C) after the last norm, `feature_map`
-> (B, C, h, w), `pyramid` -> list of maps, and `num_features` C, `stride` (pixels per token, high
and wide), `grid` (h, w), `image_size`, `normalization` (mean, std) and `describe()`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from torch import nn

from core.errors import InputError
from core.models.networks.convmlp import (
    CONVMLPS,
    ConvMLP,
    ConvMLPConfig,
    convmlp_config,
    from_official,
)
from core.models.networks.mixer import Mixer
from core.models.networks.mixer_config import SPECS, MixerConfig, free_config, spec_config
from core.models.networks.s2mlp import S2MLP, S2MLPS, S2MLPConfig, s2mlp_config
from core.models.networks.timm_backbone import (
    TimmBackbone,
    create_timm,
    is_timm,
    read_timm_mixer,
    timm_name,
)
from core.models.shapes import as_pair, config_from, times
from core.models.weights.reading import (
    build_backbone,
    find_weights,
    naming,
    read_state_dict,
    read_weights,
)

MIXERS = {"mixer_" + spec.replace("/", "").lower(): spec for spec in SPECS}
FREE_MIXER = re.compile(r"mixer_c(\d+)_l(\d+)_p(\d+)(?:x(\d+))?")
FREE_VIT = re.compile(r"vit_c(\d+)_l(\d+)_p(\d+)")
WEIGHTS_DECIDE = ("gelu", "tokens_mlp_dim", "any_size")
FREE_TO_DIFFER = ("any_size", "image_size", "dropout", "stochastic_depth", "grad_checkpointing")


def create_backbone(
    name: str,
    image_size: int | Sequence[int],
    weights: str | Path | None = None,
    resize: str = "auto",
    **options,
) -> nn.Module:
    """Build a backbone by name for images of `image_size`, (height, width).

    weights: None (random), a path that `load_backbone` opens (for `timm:` names a state dict of
    that model too, for `convmlp_` names a .pth of its authors), or one of these names:
        "imagenet1k" "imagenet21k" "sam" "gsam"    an official set (`core.models.weights.download`)
        "timm"                the weights that timm prefers for the model; for a Mixer its `_224`
        "timm:<tag>"          others, e.g. "timm:goog_in21k"; name.tag does it for `timm:` names
        "hub:<user>/<name>"   a repository that `push_to_hub` wrote
    Beware: timm's tag goog_in21k_ft_in1k, its preferred one for mixer_b16 and mixer_l16, holds the
    weights trained on ImageNet-1k from scratch (a Mixer author says so in
    github.com/huggingface/pytorch-image-models/pull/651), the same that "imagenet1k" names.
    options: fields of the network's config (MixerConfig, S2MLPConfig, ConvMLPConfig), or what
    timm's model takes (drop_path_rate, ...).
    resize: how a Mixer's token mixing comes to another grid than its weights', "auto", "exact",
    "pi", "area" or "bilinear" (`networks/resize.py`); the other networks move by themselves.
    The weights decide on the GELU of a Mixer, on its D_S and on `any_size`, unless options do.
    Raises InputError where name and weights disagree.
    """
    size = as_pair("image_size", image_size)
    if resize != "auto" and not name.startswith("mixer_"):
        raise InputError(f"resize={resize!r} is for mixer_ names: {name} moves by itself")
    weights = find_weights(name, weights) if weights else None
    if match := FREE_VIT.fullmatch(name):
        name, options = "timm:vit_tiny_patch16_224", _free_vit(*map(int, match.groups())) | options
    if name.startswith("timm:"):
        return create_timm(name, size, weights, options)
    if name in S2MLPS or name in CONVMLPS:
        return _create_relative(name, size, weights, options)
    config = _named_config(name, size, options)
    if min(config.grid) < 2:
        raise InputError(
            f"{name} at image_size {times(size)} has a grid of {times(config.grid)} tokens, too "
            f"few to mix: choose {times([2 * patch for patch in config.patch_size])} or more"
        )
    if not weights:
        return Mixer(config)
    return _load_mixer(name, config, weights, resize, explicit=options)


def backbone_from_description(description: dict) -> nn.Module:
    """Rebuild, with random weights, the backbone whose `describe()` this was."""
    values = dict(description) if isinstance(description, dict) else {}
    name = values.pop("name", None)
    if name == "mixer":
        return Mixer(config_from(MixerConfig, values))
    if name == "s2mlp":
        return S2MLP(config_from(S2MLPConfig, values))
    if name == "convmlp":
        return ConvMLP(config_from(ConvMLPConfig, values))
    if isinstance(name, str) and name.startswith("timm:") and "image_size" in values:
        return TimmBackbone(name, **values)
    raise InputError(
        f"{description!r} describes no known backbone (its name: mixer, s2mlp, convmlp or timm:...)"
    )


def _load_mixer(name: str, config: MixerConfig, weights, resize: str, explicit: dict) -> nn.Module:
    if is_timm(weights):
        stored, state = read_timm_mixer(timm_name(name, weights))
    else:
        stored, state = read_weights(weights, config.image_size)
    if stored.get("name") != "mixer":
        raise InputError(f"{weights} holds {stored.get('name')}, but {name} is a Mixer")
    with naming(weights):
        stored = asdict(config_from(MixerConfig, {k: v for k, v in stored.items() if k != "name"}))
    theirs = {key: stored[key] for key in WEIGHTS_DECIDE if key not in explicit}
    wanted = {**asdict(config), **theirs}
    _refuse_differences(f"{weights} holds a Mixer", name, stored, wanted)
    description = {"name": "mixer", **wanted, "image_size": stored["image_size"]}
    return build_backbone(description, state, weights, config.image_size, resize=resize)


def _create_relative(name: str, size: tuple[int, int], weights, options: dict) -> nn.Module:
    """An S2-MLP or a ConvMLP, random or with the weights of a folder or of ConvMLP's authors."""
    make = s2mlp_config if name in S2MLPS else convmlp_config
    config = make(name, image_size=size, **options)
    kind, network = ("s2mlp", S2MLP) if name in S2MLPS else ("convmlp", ConvMLP)
    if not weights:
        return network(config)
    stored, state = _read_relative(name, weights, size)
    if stored.get("name") != kind:
        raise InputError(f"{weights} holds {stored.get('name')}, but {name} is {kind}")
    stored.pop("name")
    with naming(weights):
        stored, wanted = asdict(config_from(type(config), stored)), asdict(config)
    _refuse_differences(f"{weights} holds {kind}", name, stored, wanted)
    description = {"name": kind, **wanted, "image_size": stored["image_size"]}
    return build_backbone(description, state, weights, size)


def _read_relative(name: str, weights, size: tuple[int, int]) -> tuple[dict, dict]:
    if name in CONVMLPS and Path(weights).suffix in (".pth", ".pt"):
        state, stored, _ = from_official(read_state_dict(weights), size, source=weights)
        return stored, state
    if is_timm(weights) or Path(weights).is_file():
        also = " or a .pth of ConvMLP's authors" if name in CONVMLPS else ""
        raise InputError(
            f"weights={str(weights)!r} cannot be those of {name}, which timm and the official "
            f"Mixers do not have; give a folder of ours (save_backbone, a checkpoint, a run){also}"
        )
    stored, state = read_weights(weights, size)
    return dict(stored), state


def _refuse_differences(holds: str, name: str, stored: dict, wanted: dict) -> None:
    if differ := [k for k in wanted if k not in FREE_TO_DIFFER and stored[k] != wanted[k]]:
        theirs, ours = (", ".join(f"{k} {d[k]}" for k in differ) for d in (stored, wanted))
        raise InputError(f"{holds} of {theirs}, but {name} has {ours}")


def _free_vit(width: int, blocks: int, patch: int) -> dict:
    """Options of timm's ViT-Ti, of which nothing but the form is left."""
    return {
        "embed_dim": width,
        "depth": blocks,
        "num_heads": max(1, width // 64),
        "patch_size": patch,
    }


def _named_config(name: str, image_size: tuple[int, int], options: dict) -> MixerConfig:
    if name in MIXERS:
        return spec_config(MIXERS[name], image_size=image_size, **options)
    if match := FREE_MIXER.fullmatch(name):
        width, blocks, ph, pw = (int(part) if part else None for part in match.groups())
        return free_config(blocks, width, (ph, pw or ph), image_size=image_size, **options)
    raise InputError(
        f"unknown backbone {name!r}; choose {', '.join([*MIXERS, *S2MLPS, *CONVMLPS])}, "
        "mixer_c<width>_l<blocks>_p<patch>, vit_c<width>_l<blocks>_p<patch> or timm:<model>"
    )
