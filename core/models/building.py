"""From a description and a state to a network: `load_backbone`, and what it is made of.

A description is what `describe()` of a backbone returns, {"name": "mixer", ...}; config.json of
every folder of ours holds one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.checkpoints import unfit
from core.errors import InputError
from core.models.networks.convmlp import ConvMLP, ConvMLPConfig
from core.models.networks.mixer import Mixer
from core.models.networks.mixer_config import MixerConfig
from core.models.networks.s2mlp import S2MLP, S2MLPConfig
from core.models.networks.timm_backbone import TimmBackbone
from core.models.room import check_room
from core.models.shapes import as_pair, config_from, times
from core.models.weights.permuted import permute_entries
from core.models.weights.reading import read_stored
from core.models.weights.stored import StoredModel

NETWORKS = {  # by the name in a description; the models of timm are "timm:<model>"
    "mixer": (Mixer, MixerConfig),
    "s2mlp": (S2MLP, S2MLPConfig),
    "convmlp": (ConvMLP, ConvMLPConfig),
}


def load_backbone(path: str | Path | StoredModel, image_size=None) -> nn.Module:
    """The backbone of a file, a folder (see `read_stored`), a kept name or "hub:<user>/<name>".

    `image_size` (height, width) is the size to move to (`set_image_size`); without it the network
    has the size of its weights. Of a classifier, and of a subclass of a network with parts of its
    own, it is the backbone alone. Raises InputError where the path holds no backbone.
    """
    stored = path if isinstance(path, StoredModel) else read_stored(path, image_size)
    return build_backbone(stored, image_size)


def backbone_from_description(description: dict, kind: type | None = None) -> nn.Module:
    """Rebuild, with random weights, the backbone whose `describe()` this was.

    kind: a subclass of the network that is described, to build instead; it is made from what its
    parent is made from. Raises InputError where this describes no network.
    """
    network = network_class(description)
    values = {key: value for key, value in description.items() if key != "name"}
    if network is TimmBackbone:
        return (kind or network)(description["name"], **values)
    _, config = NETWORKS[description["name"]]
    config = config_from(config, values)
    check_room(partial(network, config), f"a {network.__name__} of {config}")
    return (kind or network)(config)


def network_class(description: dict) -> type[nn.Module]:
    """The class of the network that is described."""
    name = description.get("name") if isinstance(description, dict) else None
    if isinstance(name, str) and name in NETWORKS:
        return NETWORKS[name][0]
    if isinstance(name, str) and name.startswith("timm:") and "image_size" in description:
        return TimmBackbone
    raise InputError(
        f"{description!r} describes no known backbone (its name: {', '.join(NETWORKS)} or timm:...)"
    )


def build_backbone(
    stored: StoredModel, image_size=None, kind: type | None = None, **resize
) -> nn.Module:
    """Build what is described, load the state strictly, and move to `image_size` if it is given.

    Entries that are to be permuted change places last of all.

    kind: as of `backbone_from_description`; it takes the whole state, its own parts' too.
    resize: the `resize` of Mixer.set_image_size, where it is a Mixer. Raises InputError, which
    names the file, where description, state and size do not fit one another.
    """
    with naming(stored.origin):
        backbone = _build(stored.description, kind)
    state = stored.state
    if stored.owner and kind is None:
        state = {name: state[name] for name in backbone.state_dict() if name in state}
    load_strictly(backbone, state, _with_name(stored))
    if image_size is not None:
        backbone.set_image_size(as_pair("image_size", image_size), **resize)
    if stored.permuted is not None:
        permute_entries(backbone, stored.permuted)
    backbone.origin = stored.origin
    return backbone


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
    if wrong := unfit(state, own):
        raise InputError(f"{source}: {wrong}")
    model.load_state_dict(state)


@contextmanager
def naming(source: str | Path) -> Iterator[None]:
    """Begin an InputError about what a file describes with the file's name."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def _build(description: dict[str, Any], kind: type | None) -> nn.Module:
    if description.get("name") != "mixer" or kind is not None:
        return backbone_from_description(description, kind)
    # A Mixer has no buffers, so that it need not spend time on initial values: all are loaded.
    with torch.device("meta"):
        backbone = backbone_from_description(description)
    check_room(lambda: backbone, f"a Mixer of {backbone.config}")
    # as to_empty, whose empty_like of a tensor on meta imports sympy: most of the whole time
    device = torch.get_default_device()
    return backbone._apply(lambda old: torch.empty(old.shape, dtype=old.dtype, device=device))


def _with_name(stored: StoredModel) -> str:
    """Where a state came from; timm's say nothing of their network, which the person named."""
    name = str(stored.description.get("name"))
    return f"{stored.origin} (as {name})" if name.startswith("timm:") else stored.origin
