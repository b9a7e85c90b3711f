"""RandAugment, TrivialAugment and AutoAugment for a batch: each sample has operations of its own.

A policy gives layers; a layer is an operation and its strength for each sample, drawn as the
library's that it stands for draws them. All turns, shears and shifts of a sample are one map
(`geometry.py`), which is sampled once, and its colours come after: where a library does them in
turn, its pixels are interpolated in between, and what moves in has been coloured too. What moves in
is grey, in all three.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from core.data.batched import colours, geometry
from core.data.batched.draws import Draws

COLOURS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "AutoContrast": colours.autocontrast,
    "Equalize": colours.equalize,
    "Invert": colours.invert,
    "Posterize": colours.posterize,
    "Solarize": colours.solarize,
    "SolarizeAdd": colours.solarize_add,
    "Color": colours.colour,
    "Contrast": colours.contrast,
    "Brightness": colours.brightness,
    "Sharpness": colours.sharpness,
}
MOVES: dict[str, Callable[[Tensor, tuple[int, int]], Tensor]] = {
    "Rotate": geometry.rotate,
    "ShearX": geometry.shear_x,
    "ShearY": geometry.shear_y,
    "TranslateX": geometry.translate_x,
    "TranslateY": geometry.translate_y,
}
NAMES = ["Identity", *COLOURS, *MOVES]
NUMBER = {name: i for i, name in enumerate(NAMES)}
SIGNED = {"Color", "Contrast", "Brightness", "Sharpness", *MOVES}  # of torchvision's two policies
TRIVIAL = ["Identity", *MOVES, "Brightness", "Color", "Contrast", "Sharpness"]
TRIVIAL += ["Posterize", "Solarize", "AutoContrast", "Equalize"]


class Layer(NamedTuple):
    """operation (B,), a place in NAMES; strength (B,), what the operation takes."""

    operation: Tensor
    strength: Tensor


def rand_augment(draws: Draws, magnitude: float) -> list[Layer]:
    """`core.data.augment.randaugment`: 2 of timm's 15 operations at this magnitude."""
    strengths = rand_strengths(magnitude)
    layers = []
    for _ in range(2):
        choice, sign = draws.whole(len(strengths)), draws.sign()
        operation = torch.tensor([NUMBER[name] for name in strengths])[choice]
        strength = torch.tensor(list(strengths.values()))[choice]
        moves = operation >= NUMBER["Rotate"]
        layers.append(Layer(operation, torch.where(moves, sign * strength, strength)))
    return layers


def rand_strengths(magnitude: float) -> dict[str, float]:
    """What timm's operations take at a magnitude (its LEVEL_TO_ARG), moves without their sign."""
    level = magnitude / 10
    enhanced = dict.fromkeys(("Color", "Contrast", "Brightness", "Sharpness"), level * 1.8 + 0.1)
    return {
        **dict.fromkeys(("AutoContrast", "Equalize", "Invert"), 0.0),
        "Posterize": float(int(level * 4)),
        "Solarize": float(min(256, int(level * 256))),
        "SolarizeAdd": float(min(128, int(level * 110))),
        **enhanced,
        "Rotate": level * 30,
        **dict.fromkeys(("ShearX", "ShearY"), level * 0.3),
        **dict.fromkeys(("TranslateX", "TranslateY"), level * 100 / 224),
    }


def trivial_augment(draws: Draws, side: int) -> list[Layer]:
    """TrivialAugment (Mueller and Hutter 2021, arXiv 2103.10158), torchvision's wide space.

    One operation of 14 at one of 31 strengths. Translations are up to 32 pixels of `side`.
    """
    choice, level = draws.whole(len(TRIVIAL)), draws.whole(31) / 30
    reach = {"Rotate": 135.0, **dict.fromkeys(("TranslateX", "TranslateY"), 32 / side)}
    strengths = torch.stack(
        [_strength(name, level, reach.get(name, 0.99), 6) for name in TRIVIAL]
    )  # (14, B)
    strength = strengths[choice, torch.arange(len(choice))]
    operation = torch.tensor([NUMBER[name] for name in TRIVIAL])[choice]
    return [_signed(Layer(operation, strength), draws)]


def auto_augment(draws: Draws) -> list[Layer]:
    """AutoAugment (Cubuk et al. 2018, arXiv 1805.09501), its policy for CIFAR-10.

    One of 25 pairs of operations, each with a probability and a strength of ten.
    """
    table = _auto_table()  # (25, 2, 3): operation, probability, strength
    pairs = table[draws.whole(len(table))]  # (B, 2, 3)
    layers = []
    for operation, probability, strength in pairs.permute(1, 2, 0):
        used = draws.chance(probability)
        layer = Layer(torch.where(used, operation, 0).long(), strength)
        layers.append(_signed(layer, draws))
    return layers


@cache
def _auto_table() -> Tensor:
    from torchvision.transforms import AutoAugment, AutoAugmentPolicy  # slow to import

    reach = {"Rotate": 30.0, **dict.fromkeys(("ShearX", "ShearY"), 0.3)}
    reach |= dict.fromkeys(("TranslateX", "TranslateY"), 150 / 331)
    rows = []
    for pair in AutoAugment(AutoAugmentPolicy.CIFAR10).policies:
        for name, probability, level in pair:
            level = torch.tensor([(level or 0) / 9])
            strength = _strength(name, level, reach.get(name, 0.9), 4).item()
            rows.append([NUMBER[name], probability, strength])
    return torch.tensor(rows).view(-1, 2, 3)


def _strength(name: str, level: Tensor, reach: float, bits: int) -> Tensor:
    """What an operation takes at `level` 0 to 1, of torchvision's spaces; without its sign."""
    if name == "Posterize":
        return (8 - level * bits).round()
    if name == "Solarize":
        return 255 * (1 - level)
    return level * reach


def _signed(layer: Layer, draws: Draws) -> Layer:
    """With a random sign where the operation has two directions; factors are 1 more than drawn."""
    signed = torch.tensor([name in SIGNED for name in NAMES])[layer.operation]
    strength = torch.where(signed, draws.sign() * layer.strength, layer.strength)
    factors = torch.tensor([name in SIGNED and name in COLOURS for name in NAMES])
    return Layer(layer.operation, strength + factors[layer.operation].float())


def moves(layers: list[Layer], size: tuple[int, int]) -> Tensor:
    """All turns, shears and shifts of the layers as maps (B, 3, 3); the first layer's come last."""
    maps = geometry.identity(len(layers[0].operation))
    for layer in layers:
        for name, make in MOVES.items():
            chosen = (layer.operation == NUMBER[name]).nonzero()[:, 0]
            if len(chosen):
                maps[chosen] = maps[chosen] @ make(layer.strength[chosen], size)
    return maps


def recolour(images: Tensor, layers: list[Layer]) -> Tensor:
    """The colours of the layers, in their order, on (B, 3, H, W) of 0 to 255, in place."""
    for layer in layers:
        for name, change in COLOURS.items():
            chosen = (layer.operation == NUMBER[name]).nonzero()[:, 0]
            if len(chosen):
                strength = layer.strength[chosen].view(-1, 1, 1, 1).to(images.device)
                chosen = chosen.to(images.device)
                images[chosen] = change(images[chosen], strength)
    return images
