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
from dataclasses import asdict, replace
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
    from_timm,
    load_strictly,
    read_state_dict,
    read_weights,
)

MIXERS = {"mixer_" + spec.replace("/", "").lower(): spec for spec in SPECS}
FREE_MIXER = re.compile(r"mixer_c(\d+)_l(\d+)_p(\d+)(?:x(\d+))?")
TRAINING_FIELDS = ("dropout", "stochastic_depth", "grad_checkpointing")


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
    if str(weights) == "timm":
        model = f"{name}_224"
        pretrained = TimmBackbone(f"timm:{model}", 224, pretrained=True).model.state_dict()
        state, stored, _ = from_timm(pretrained, source=f"timm's {model}")
    else:
        stored, state = read_weights(weights, size)
    wanted = {"name": "mixer", **asdict(config)}
    if "gelu" not in options:
        wanted["gelu"] = stored.get("gelu")
    ignored = ("image_size", *TRAINING_FIELDS)
    _check_same(name, weights, stored, wanted, ignored)
    changes = {field: wanted[field] for field in TRAINING_FIELDS}
    return build_backbone({**stored, **changes}, state, weights, size)


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
    """A model of timm, without its classifier, behind the contract above. Built for one size."""

    def __init__(self, name: str, image_size, pretrained: bool = False, **options):
        super().__init__()
        import timm  # slow to import, and a Mixer does not need it

        self.name, self.options = name, options
        model = name.removeprefix("timm:")
        if not timm.is_model(model):
            near = ", ".join(difflib.get_close_matches(model, timm.list_models())) or "nothing"
            raise InputError(f"timm has no model {model!r}; close to it: {near}")
        self.model = self._create(timm, model, as_pair("image_size", image_size), pretrained)
        data = self.model.pretrained_cfg
        self.in_channels = options.get("in_chans", 3)
        self.normalization = tuple(_cycle(data[key], self.in_channels) for key in ("mean", "std"))
        self.stride = (self.model.feature_info[-1]["reduction"],) * 2
        self._measure(as_pair("image_size", image_size))

    def _create(self, timm, model: str, size: tuple[int, int], pretrained: bool) -> nn.Module:
        options = {"num_classes": 0, **self.options}
        if timm.get_pretrained_cfg(model).fixed_input_size:
            options["img_size"] = size  # the others take any size, and have no such option
        try:
            return timm.create_model(model, pretrained=pretrained, **options)
        except Exception as error:
            tried = f"timm.create_model({model!r}, pretrained={pretrained}, {options})"
            way_out = "; or give weights=FILE, a local state dict" if pretrained else ""
            raise InputError(f"{tried} failed: {error}{way_out}") from error

    def _measure(self, image_size: tuple[int, int]) -> None:
        """Set image_size, grid and num_features by what the model makes of an empty image."""
        was_training, device = self.training, next(self.model.parameters()).device
        empty = torch.zeros(1, self.in_channels, *image_size, device=device)
        try:
            with torch.no_grad():
                features = self.eval()._features(empty)  # (1, C, h, w) or (1, prefix + S, C)
        except Exception as error:
            raise InputError(
                f"{self.name} does not take image_size {image_size}: {error}"
            ) from error
        self.train(was_training)
        self.image_size = image_size
        if features.ndim == 4:
            self.grid, self.num_features = tuple(features.shape[2:]), features.shape[1]
        else:
            self.grid = (image_size[0] // self.stride[0], image_size[1] // self.stride[1])
            self.num_features = features.shape[2]

    def set_image_size(self, image_size: tuple[int, int]) -> None:
        """Move to another size, as timm does it (position embeddings are interpolated)."""
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


def _create_timm(name: str, size: tuple[int, int], weights, options: dict) -> TimmBackbone:
    if not weights or str(weights) == "timm":
        return TimmBackbone(name, size, pretrained=bool(weights), **options)
    if Path(weights).is_dir():
        stored, state = read_weights(weights)
        _check_same(name, weights, stored, {"name": name}, ignored=())
        return build_backbone({**stored, **options}, state, weights, size)
    state = read_state_dict(weights)
    import timm

    data = timm.get_pretrained_cfg(name.removeprefix("timm:"))
    native = data.input_size[1:] if data and data.fixed_input_size else size
    backbone = TimmBackbone(name, native, **options)
    heads = backbone.model.pretrained_cfg["classifier"]
    heads = tuple(f"{head}." for head in ([heads] if isinstance(heads, str) else heads or []))
    state = {key: value for key, value in state.items() if not key.startswith(heads)}
    load_strictly(backbone.model, state, f"{weights} (as {name})")
    if size != native:
        backbone.set_image_size(size)
    return backbone


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


def _check_same(name: str, weights, stored: dict, wanted: dict, ignored: Sequence[str]) -> None:
    """InputError that names both where the stored description is not the wanted one."""
    differ = [k for k in wanted if k not in ignored and stored.get(k) != wanted[k]]
    if differ:
        theirs = ", ".join(f"{k} {stored.get(k)}" for k in differ)
        ours = ", ".join(f"{k} {wanted[k]}" for k in differ)
        raise InputError(f"{weights} holds {theirs}, but {name} has {ours}")


def _cycle(values: Sequence[float], length: int) -> tuple[float, ...]:
    """timm repeats a pretrained stem over further channels in this order."""
    return tuple(values[i % len(values)] for i in range(length))
