"""Weights of timm's models: those that timm downloads, and state dicts of its own in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from core.errors import InputError
from core.models.networks.timm_backbone import TimmBackbone
from core.models.weights.formats import from_timm, read_state_dict
from core.models.weights.stored import StoredModel, linear_head

# What timm puts behind the branches of an HRNet to classify; the option head="" does without.
HRNET_HEAD = ("incre_modules.", "downsamp_modules.", "final_layer.")


def is_timm(weights) -> bool:
    """Whether `weights` asks timm for them: "timm" or "timm:<tag>"."""
    return isinstance(weights, str) and (weights == "timm" or weights.startswith("timm:"))


def timm_name(name: str, weights: str = "timm") -> str:
    """ "timm:<model>[.<tag>]" for a name of `create_backbone` and what `is_timm` is true of."""
    model = name if name.startswith("timm:") else f"timm:{name}_224"
    tag = str(weights).removeprefix("timm").removeprefix(":")
    return f"{model.split('.')[0]}.{tag}" if tag else model


def read_timm(name: str, size: tuple[int, int] | None, options: dict[str, Any]) -> StoredModel:
    """What timm downloads for "timm:<model>[.<tag>]", with its classifier as the head.

    The network is built at `size`, since timm moves some weights to it only while it loads them.
    """
    whole = _pretrained(name, size, options)
    head = whole.model.get_classifier()
    values = {key: value.detach() for key, value in head.state_dict().items()}
    return StoredModel(
        description={"name": name, "image_size": whole.image_size, **options},
        state=whole.state_dict(),
        head=values if isinstance(head, nn.Linear) and "bias" in values else None,
        origin=name,
        owner="a classifier of timm",
    )


def read_timm_mixer(name: str) -> StoredModel:
    """What timm downloads for one of its Mixers, brought to our `Mixer`."""
    whole = _pretrained(name, (224, 224), {})
    if any(value != 0.5 for values in whole.normalization for value in values):
        raise InputError(
            f"{name} expects images normalised by {whole.normalization}, a Mixer by 0.5: "
            f"open it as create_backbone({name!r}, ..., weights='timm')"
        )
    return from_timm(whole.model.state_dict(), source=name)


def read_timm_file(name: str, file: str | Path, options: dict[str, Any]) -> StoredModel:
    """A state dict of timm's own: it says no size, so it is taken to be at timm's for the model."""
    state, places = read_state_dict(file), _classifiers(name)
    other = tuple(f"{place}." for place in places)
    other += HRNET_HEAD if options.get("head") == "" else ()
    return StoredModel(
        description={"name": name, "image_size": None, **options},
        state={f"model.{key}": value for key, value in state.items() if not key.startswith(other)},
        head=linear_head(state, f"{places[0]}.") if len(places) == 1 else None,
        origin=str(file),
    )


def _pretrained(name: str, size: tuple[int, int] | None, options: dict[str, Any]) -> TimmBackbone:
    """A model of timm with its weights and with its classifier, which TimmBackbone leaves out."""
    config = _config(name)
    # Without a configuration timm knows no such model, or tag: TimmBackbone says so.
    return TimmBackbone(
        name, size, True, num_classes=config.num_classes if config else 1, **options
    )


def _classifiers(name: str) -> tuple[str, ...]:
    """The modules of a model of timm that classify; those that distil have two."""
    places = config.classifier if (config := _config(name)) else None
    return (places,) if isinstance(places, str) else tuple(places or ())


def _config(name: str):
    import timm  # slow to import

    try:
        return timm.get_pretrained_cfg(name.removeprefix("timm:"))
    except RuntimeError:  # a tag that it does not have
        return None
