"""The generators by name, and what they share: maps as numbers, the second stage, the last map.

    crossmlp      CascadeMixer, then attention selection (BMVC 2021)
    selectiongan  a U-Net on source and map, then attention selection (CVPR 2019)
    pix2pix       a U-Net on source and map (CVPR 2017)
    xfork         a U-Net on the source with two last layers, image and map (CVPR 2018)
    xseq          a U-Net from the source to the image, another from there to the map (CVPR 2018)
    mixer         one of core's backbones, Mixer blocks over both views, a decoder; attention
                  selection where `selection` says so. Ours

X-Fork and X-Seq (Regmi and Borji, arXiv 1803.03396) never see the target's map: they predict it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from apps.crossview.data.maps import Palette, as_palette
from apps.crossview.models.crossmlp import CascadeMixer
from apps.crossview.models.layers import Norm, halvings, init_normal
from apps.crossview.models.mixer_generator import MixerGenerator
from apps.crossview.models.selection import Selection
from apps.crossview.models.unet import UNet
from core.config import build
from core.errors import InputError

Name = Literal["crossmlp", "selectiongan", "pix2pix", "xfork", "xseq", "mixer"]
MAP_WIDTH = 4  # of the U-Net that draws the last map, as released


@dataclass(frozen=True)
class ModelConfig:
    """A generator; the defaults are CrossMLP at full size."""

    generator: Name = "crossmlp"
    width: int = 64  # channels at full resolution; tokens have 2, 8 and 16 times as many
    norm: Norm = "batch"  # as released; the others make a step the same on any processes
    # classes: a channel of -1 or 1 for each class; rgb: the palette's colours, as released
    maps: Literal["classes", "rgb"] = "classes"
    candidates: int = 10  # of attention selection
    selection_width: int = 104  # channels of attention selection
    dropout: float = 0.5  # of attention selection and of U-Nets
    blocks: int = 9  # crossmlp
    depth: int = 7  # crossmlp: layers of a CrossMixer
    patch: int = 8  # crossmlp: of maps at a quarter of the size
    as_released: bool = False  # crossmlp: its sharing, see crossmlp.py
    backbone: str = "mixer_s16"  # mixer: any name of core.create_backbone
    weights: str = ""  # mixer: a file, folder, run or named set; empty: random
    fusion: int = 2  # mixer: blocks over both views
    selection: bool = False  # mixer: with attention selection


class Generator(nn.Module):
    """source (B, 3, H, W) in [-1, 1], target_map (B, K, H, W) as `maps` says -> what is drawn.

    "image" (B, 3, H, W), the result. As far as the network has them: "coarse" (B, 3, H, W), "map"
    and "map_final" (B, K, H, W), "candidates" (B, N, 3, H, W), "attention" (B, N, H, W),
    "uncertainty" (B, 1, H, W). All images and maps are in [-1, 1].
    """

    def __init__(self, config: ModelConfig, size: tuple[int, int], palette: Palette):
        super().__init__()
        _check(config)
        self.config, self.size, self.palette = config, tuple(size), palette
        map_channels = 3 if config.maps == "rgb" else len(palette)
        self.first = _first_stage(config, self.size, map_channels)
        self.select = self.draw_map = None
        if _has_selection(config):
            options = (config.selection_width, config.candidates, config.dropout)
            self.select = Selection(self.first.feature_channels, *options)
            sides = halvings(self.size)
            self.draw_map = UNet(3, map_channels, MAP_WIDTH, sides, config.norm, config.dropout)
            self.select.apply(init_normal)
            self.draw_map.apply(init_normal)

    def forward(self, source: Tensor, target_map: Tensor) -> dict[str, Tensor]:
        output = self.first(source, target_map)
        feature = output.pop("feature", None)
        if self.select is None:
            return {"image": output.pop("coarse"), **output}
        output |= self.select(feature, source, output["coarse"])
        if "map" not in output:  # SelectionGAN: the same network draws both maps
            output["map"] = self.draw_map(output["coarse"])
        return output | {"map_final": self.draw_map(output["image"])}

    def describe(self) -> dict:
        """What `from_description` builds the same network from; JSON can hold it."""
        colours = self.palette.colours.tolist()
        palette = dict(zip(self.palette.names, colours, strict=True))
        return {"generator": asdict(self.config), "size": list(self.size), "palette": palette}

    @classmethod
    def from_description(cls, description: dict, source: str) -> Generator:
        """A network with random weights. Raises InputError for what is no generator's."""
        try:
            config, size = description["generator"], tuple(description["size"])
            palette = as_palette(description["palette"], source)
        except (KeyError, TypeError) as error:
            raise InputError(f"{source} does not hold a generator of apps/crossview") from error
        config = build(ModelConfig, {**config, "weights": ""}, source)  # they come from the run
        return cls(config, size, palette)


def _has_selection(config: ModelConfig) -> bool:
    always = config.generator in ("crossmlp", "selectiongan")
    return always or (config.generator == "mixer" and config.selection)


def _first_stage(config: ModelConfig, size: tuple[int, int], channels: int) -> nn.Module:
    width, norm = config.width, config.norm
    if config.generator == "crossmlp":
        return CascadeMixer(size, channels, width, config.blocks, config.depth, config.patch, norm,
                            config.as_released)  # fmt: skip
    if config.generator == "mixer":
        return MixerGenerator(size, config.backbone, channels, width, config.fusion,
                              config.weights, norm)  # fmt: skip
    kinds = {"selectiongan": Translator, "pix2pix": Translator, "xfork": Fork, "xseq": Sequel}
    network = kinds[config.generator](size, channels, width, norm, config.dropout)
    return network.apply(init_normal)


class Translator(nn.Module):
    """pix2pix on [source, map]: "coarse" and "feature"."""

    def __init__(self, size, channels: int, width: int, norm: Norm, dropout: float):
        super().__init__()
        self.net = UNet(3 + channels, 3, width, halvings(size), norm, dropout)
        self.feature_channels = self.net.feature_channels

    def forward(self, source: Tensor, target_map: Tensor) -> dict[str, Tensor]:
        feature = self.net.features(torch.cat([source, target_map], 1))
        return {"coarse": self.net.image_of(feature), "feature": feature}


class Fork(nn.Module):
    """X-Fork: image and map of one network that sees the source alone."""

    def __init__(self, size, channels: int, width: int, norm: Norm, dropout: float):
        super().__init__()
        self.net = UNet(3, 3 + channels, width, halvings(size), norm, dropout)

    def forward(self, source: Tensor, target_map: Tensor) -> dict[str, Tensor]:
        both = self.net(source)
        return {"coarse": both[:, :3], "map": both[:, 3:]}


class Sequel(nn.Module):
    """X-Seq: from the source to the image, and from that to the map."""

    def __init__(self, size, channels: int, width: int, norm: Norm, dropout: float):
        super().__init__()
        self.net = UNet(3, 3, width, halvings(size), norm, dropout)
        self.to_map = UNet(3, channels, width, halvings(size), norm, dropout)

    def forward(self, source: Tensor, target_map: Tensor) -> dict[str, Tensor]:
        image = self.net(source)
        return {"coarse": image, "map": self.to_map(image)}


def _check(config: ModelConfig) -> None:
    for name in ("width", "blocks", "depth", "candidates", "selection_width", "fusion"):
        if getattr(config, name) < 1:
            raise InputError(f"model.{name} is {getattr(config, name)}: at least 1")
    patch = config.patch
    if patch < 2 or patch & (patch - 1):
        raise InputError(f"model.patch is {patch}: a power of two from 2")
    if not 0 <= config.dropout < 1:
        raise InputError(f"model.dropout is {config.dropout}: from 0, below 1")
