"""One contract over every backbone: `create_backbone(name, image_size, weights)`.

    mixer_s32 mixer_s16 mixer_b32 mixer_b16 mixer_l32 mixer_l16 mixer_h14    Table 1 of the paper
    mixer_c<width>_l<blocks>_p<patch>    any other one, e.g. mixer_c128_l6_p8, mixer_c96_l4_p8x4
    timm:<any timm model>                ViT, ResNet, HRNet, ResMLP, ... as baselines

Each is an nn.Module with `forward(images)` -> tokens (B, S, C) after the last norm, `feature_map`
-> (B, C, h, w), `pyramid` -> list of maps, and `num_features` C, `stride` (pixels per token, high
and wide), `grid` (h, w), `image_size`, `normalization` (mean, std) and `describe()`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from core.errors import InputError
from core.models.mixer import (
    SPECS,
    Mixer,
    MixerConfig,
    as_pair,
    check_images,
    checked_config,
    even_depths,
    free_config,
    spec_config,
    tokens_to_map,
)
from core.models.weights import (
    build_backbone,
    first_line,
    from_timm,
    load_strictly,
    read_state_dict,
    read_weights,
)

MIXERS = {"mixer_" + spec.replace("/", "").lower(): spec for spec in SPECS}
FREE_MIXER = re.compile(r"mixer_c(\d+)_l(\d+)_p(\d+)(?:x(\d+))?")
FREE_TO_DIFFER = ("image_size", "dropout", "stochastic_depth", "grad_checkpointing")


def create_backbone(
    name: str, image_size: int | Sequence[int], weights: str | Path | None = None, **options
) -> nn.Module:
    """Build a backbone by name for images of `image_size`, (height, width).

    weights: None (random), a path that `load_backbone` opens (for `timm:` names a state dict of
    that model too), or "timm": the weights that timm downloads.
    options: fields of MixerConfig, or what timm's model takes (drop_path_rate, ...).
    The weights decide on the GELU of a Mixer. Raises InputError where name and weights disagree.
    """
    size = as_pair("image_size", image_size)
    if name.startswith("timm:"):
        return _create_timm(name, size, weights, options)
    config = _named_config(name, size, options)
    if not weights:
        return Mixer(config)
    return _load_mixer(name, config, weights, explicit=options)


def backbone_from_description(description: dict) -> nn.Module:
    """Rebuild, with random weights, the backbone whose `describe()` this was."""
    values = dict(description) if isinstance(description, dict) else {}
    name = values.pop("name", None)
    if name == "mixer":
        return Mixer(checked_config(values))
    if isinstance(name, str) and name.startswith("timm:") and "image_size" in values:
        return TimmBackbone(name, **values)
    raise InputError(f"{description!r} describes no known backbone (its name: mixer or timm:...)")


class TimmBackbone(nn.Module):
    """A model of timm, without its classifier, behind the contract above.

    It is built for one `image_size`; None is the size that timm has the model's weights at.
    """

    def __init__(self, name: str, image_size=None, pretrained: bool = False, **options):
        super().__init__()
        self.name, self.options = name, options
        self.in_channels = options.get("in_chans", 3)
        size = None if image_size is None else as_pair("image_size", image_size)
        self.model = _timm_model(name.removeprefix("timm:"), size, pretrained, options)
        data = self.model.pretrained_cfg
        self.stride = (self.model.feature_info[-1]["reduction"],) * 2
        # timm repeats a pretrained stem over further channels in this order
        order = [i % 3 for i in range(self.in_channels)]
        self.normalization = tuple(tuple(data[key][i] for i in order) for key in ("mean", "std"))
        self._measure(size or data["input_size"][1:])

    def _measure(self, image_size: tuple[int, int]) -> None:
        """Set image_size, grid and num_features by what the model makes of an empty image."""
        was_training, device = self.training, next(self.model.parameters()).device
        empty = torch.zeros(1, self.in_channels, *image_size, device=device)
        try:
            with torch.no_grad():
                features = self.eval()._features(empty)  # (1, C, h, w) or (1, prefix + S, C)
        except Exception as error:
            raise InputError(
                f"{self.name} does not take image_size {image_size}: {first_line(error)}"
            ) from error
        self.train(was_training)
        self.image_size = image_size
        if features.ndim == 4:
            self.grid, self.num_features = tuple(features.shape[2:]), features.shape[1]
            return
        if any(size % stride for size, stride in zip(image_size, self.stride, strict=True)):
            raise InputError(  # timm would leave the rest of the image out, and say nothing
                f"image_size {image_size} is not a multiple of {self.name}'s patch {self.stride}"
            )
        self.grid = (image_size[0] // self.stride[0], image_size[1] // self.stride[1])
        self.num_features = features.shape[2]

    def set_image_size(self, image_size: tuple[int, int]) -> None:
        """Move to another size, as timm does it (position embeddings are interpolated)."""
        if image_size == self.image_size:
            return
        if self.model.pretrained_cfg["fixed_input_size"]:
            if not hasattr(self.model, "set_input_size"):
                raise InputError(
                    f"{self.name} has weights for image_size {self.image_size} and timm cannot "
                    f"move them to {image_size}"
                )
            self.model.set_input_size(img_size=image_size)
        self._measure(image_size)

    def describe(self) -> dict:
        """What `backbone_from_description` builds the same network from; JSON can hold it."""
        return {"name": self.name, "image_size": self.image_size, **self.options}

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> tokens (B, S, C), without class and register tokens."""
        check_images(images, self.in_channels, self.image_size)
        features = self._features(images)
        if features.ndim == 4:
            return features.flatten(2).transpose(1, 2)
        return features[:, getattr(self.model, "num_prefix_tokens", 0) :]

    def feature_map(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C, h, w)."""
        return tokens_to_map(self(images), self.grid)

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """Maps (B, C_i, h_i, w_i), fine to coarse; of an isotropic model four depths, normed."""
        check_images(images, self.in_channels, self.image_size)
        strides = [level["reduction"] for level in self.model.feature_info]
        isotropic = len(set(strides)) == 1
        indices = [depth - 1 for depth in even_depths(len(strides))] if isotropic else None
        return self.model.forward_intermediates(
            images, indices=indices, norm=isotropic, intermediates_only=True
        )

    def _features(self, images: Tensor) -> Tensor:  # (B, C, h, w) or (B, prefix + S, C)
        features = self.model.forward_features(images)
        nhwc = features.ndim == 4 and getattr(self.model, "output_fmt", "NCHW") == "NHWC"
        return features.permute(0, 3, 1, 2) if nhwc else features


def _load_mixer(name: str, config: MixerConfig, weights, explicit: dict) -> nn.Module:
    if str(weights) == "timm":
        model = f"{name}_224"
        pretrained = TimmBackbone(f"timm:{model}", 224, pretrained=True).model.state_dict()
        state, stored, _ = from_timm(pretrained, source=f"timm's {model}")
    else:
        stored, state = read_weights(weights, config.image_size)
    if stored.get("name") != "mixer":
        raise InputError(f"{weights} holds {stored.get('name')}, but {name} is a Mixer")
    stored = asdict(checked_config({k: v for k, v in stored.items() if k != "name"}))
    wanted = asdict(config) if "gelu" in explicit else {**asdict(config), "gelu": stored["gelu"]}
    if differ := [k for k in wanted if k not in FREE_TO_DIFFER and stored[k] != wanted[k]]:
        theirs, ours = (", ".join(f"{k} {d[k]}" for k in differ) for d in (stored, wanted))
        raise InputError(f"{weights} holds a Mixer of {theirs}, but {name} has {ours}")
    description = {"name": "mixer", **wanted, "image_size": stored["image_size"]}
    return build_backbone(description, state, weights, config.image_size)


def _create_timm(name: str, size: tuple[int, int], weights, options: dict) -> TimmBackbone:
    if not weights or str(weights) == "timm":
        return TimmBackbone(name, size, pretrained=bool(weights), **options)
    if Path(weights).is_dir():
        stored, state = read_weights(weights)
        if stored.get("name") != name:
            raise InputError(f"{weights} holds {stored.get('name')}, but the name given is {name}")
        return build_backbone({**stored, **options}, state, weights, size)
    return _load_timm_file(name, size, weights, options)


def _load_timm_file(name: str, size: tuple[int, int], file, options: dict) -> TimmBackbone:
    """A state dict of timm's own: it says no size, so it is taken to be at timm's for the model."""
    state = read_state_dict(file)
    backbone = TimmBackbone(name, None, **options)
    heads = backbone.model.pretrained_cfg["classifier"] or ()
    heads = tuple(f"{head}." for head in ([heads] if isinstance(heads, str) else heads))
    state = {key: value for key, value in state.items() if not key.startswith(heads)}
    load_strictly(backbone.model, state, f"{file} (as {name})")
    backbone.set_image_size(size)
    return backbone


def _timm_model(model: str, size, pretrained: bool, options: dict) -> nn.Module:
    import timm  # slow to import, and a Mixer does not need it

    if not timm.is_model(model):
        near = ", ".join(difflib.get_close_matches(model, timm.list_models())) or "nothing"
        raise InputError(f"timm has no model {model!r}; close to it: {near}")
    options = {"num_classes": 0, **options}
    if size and timm.get_pretrained_cfg(model).fixed_input_size:
        options["img_size"] = size  # the others take any size, and have no such option
    try:
        return timm.create_model(model, pretrained=pretrained, **options)
    except Exception as error:
        tried = f"timm.create_model({model!r}, pretrained={pretrained}, **{options})"
        way_out = "; or give weights=FILE, a local state dict" if pretrained else ""
        raise InputError(f"{tried} failed: {first_line(error)}{way_out}") from error


def _named_config(name: str, image_size: tuple[int, int], options: dict) -> MixerConfig:
    if name in MIXERS:
        return spec_config(MIXERS[name], image_size=image_size, **options)
    if match := FREE_MIXER.fullmatch(name):
        width, blocks, ph, pw = (int(part) if part else None for part in match.groups())
        return free_config(blocks, width, (ph, pw or ph), image_size=image_size, **options)
    raise InputError(
        f"unknown backbone {name!r}; choose {', '.join(MIXERS)}, "
        "mixer_c<width>_l<blocks>_p<patch> or timm:<model>"
    )
