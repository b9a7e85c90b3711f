"""One direction of a pair: what is given, and what is to be drawn.

Legend: B batch, H W image, K classes. a2g: from above to the street; g2a: the way back.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from apps.crossview.config import Direction, Maps
from apps.crossview.data.maps import Palette, one_hot
from core.errors import InputError

SIDES = {"a2g": ("aerial", "ground"), "g2a": ("ground", "aerial")}


@dataclass(frozen=True)
class Views:
    """A batch in one direction: images (B, 3, H, W) in [-1, 1], the target's map as ids."""

    source: Tensor
    target: Tensor
    ids: Tensor  # (B, H, W) int64


def views_of(batch: dict, direction: Direction) -> Views:
    """The two sides of a batch. Raises InputError where the target has no map."""
    source, target = SIDES[direction]
    if f"{target}_map" not in batch:
        raise InputError(
            f"direction {direction} needs maps of the {target} images, and there are none: another "
            "data set or --direction"
        )
    return Views(batch[source], batch[target], batch[f"{target}_map"])


def map_input(ids: Tensor, palette: Palette, maps: Maps) -> Tensor:
    """Ids (B, H, W) as networks see them, in [-1, 1]: (B, K, H, W), or (B, 3, H, W) colours."""
    return palette.paint(ids) if maps == "rgb" else one_hot(ids, len(palette))


def map_ids(drawn: Tensor, palette: Palette, maps: Maps) -> Tensor:
    """What a network drew (B, K or 3, H, W) as ids (B, H, W): largest channel, nearest colour."""
    if maps != "rgb":
        return drawn.argmax(1)
    colours = torch.from_numpy(palette.colours).to(drawn.device).float() / 127.5 - 1
    apart = [((drawn - colour.view(3, 1, 1)) ** 2).sum(1) for colour in colours]
    return torch.stack(apart, 1).argmin(1)
