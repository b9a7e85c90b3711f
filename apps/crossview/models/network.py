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

from dataclasses import asdict
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from apps.crossview.config import CrossViewConfig, ModelConfig
from apps.crossview.data.maps import Palette, as_palette
from apps.crossview.data.views import map_ids, map_input
from apps.crossview.models.crossmlp import CascadeMixer
from apps.crossview.models.layers import halvings, init_normal
from apps.crossview.models.mixer_generator import MixerGenerator
from apps.crossview.models.selection import Selection
from apps.crossview.models.translators import Fork, Sequel, Translator
from apps.crossview.models.unet import UNet
from core.app.kept import KeptNetworks
from core.config import build
from core.errors import DIVERGED, InputError
from core.ranges import check_ranges

MAPLESS = ("xfork", "xseq")  # never see the map of the view that is wanted
MAP_WIDTH = 4  # of the U-Net that draws the last map, as released


def build_generator(config: CrossViewConfig, palette: Palette) -> Generator:
    """The generator of a run for maps of this palette."""
    return Generator(config.model, config.data.size, palette)


class Generator(nn.Module):
    """source (B, 3, H, W) in [-1, 1], target_map (B, K, H, W) as `maps` says -> what is drawn.

    "image" (B, 3, H, W), the result. As far as the network has them: "coarse" (B, 3, H, W), "map"
    and "map_final" (B, K, H, W), "candidates" (B, N, 3, H, W), "attention" (B, N, H, W),
    "uncertainty" (B, 1, H, W). All images and maps are in [-1, 1].
    """

    KEPT: ClassVar = KeptNetworks(Path(__file__).parents[1] / "weights", "towns")

    def __init__(self, config: ModelConfig, size: tuple[int, int], palette: Palette):
        super().__init__()
        _check(config)
        self.config, self.size, self.palette = config, tuple(size), palette
        map_channels = self.map_channels
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
        output = self.first(source, target_map)  # first stage: "coarse", perhaps "map", "feature"
        feature = output.pop("feature", None)  # (B, F, H/2, W/2)
        if self.select is None:
            return {"image": output.pop("coarse"), **output}
        # second stage: an image among candidates, and the map that the final image shows
        output |= self.select(feature, source, output["coarse"])
        if "map" not in output:  # SelectionGAN: the same network draws both maps
            output["map"] = self.draw_map(output["coarse"])
        return output | {"map_final": self.draw_map(output["image"])}

    @property
    def map_channels(self) -> int:
        """K of the maps that it takes and draws."""
        return 3 if self.config.maps == "rgb" else len(self.palette)

    @property
    def needs_map(self) -> bool:
        """Whether it draws by a map of the view that is wanted."""
        blind = self.config.generator in MAPLESS or not self.config.sees_map
        return not blind and len(self.palette) > 1

    def describe(self) -> dict:
        """What `from_description` builds the same network from; JSON can hold it."""
        described = {"app": "crossview", "model": asdict(self.config)}
        if self.config.generator == "mixer":
            described["backbone"] = self.first.backbone.describe()
        colours = self.palette.colours.tolist()
        palette = dict(zip(self.palette.names, colours, strict=True))
        return described | {"size": list(self.size), "palette": palette}

    @staticmethod
    def settings_of(info: dict) -> dict:
        """What a kept one says of the data that it is for."""
        return {"data": {"size": info["size"]}}

    @classmethod
    def from_description(cls, description: dict, source: str) -> Generator:
        """A network with random weights. Raises InputError for what is no generator's."""
        try:  # "generator": runs of before
            config = description["model" if "model" in description else "generator"]
            size = tuple(description["size"])
            palette = as_palette(description["palette"], source)
        except (KeyError, TypeError) as error:
            raise InputError(f"{source} does not hold a generator of apps/crossview") from error
        config = build(ModelConfig, {**config, "weights": ""}, source)  # they come from the run
        # convolutions of one picture are a fifth faster so on a processor
        return cls(config, size, palette).to(memory_format=torch.channels_last)


def draw_views(network: Generator, source: Tensor, ids: Tensor) -> dict[str, Tensor]:
    """`network` on sources (B, 3, H, W) and the target's classes (B, H, W): what it gives.

    And "ids" (B, H, W), the classes of the last map that it draws, where it draws one. Raises
    InputError for images that are not finite.
    """
    palette, maps = network.palette, network.config.maps
    output = network(source, map_input(ids, palette, maps))
    if not output["image"].isfinite().all():
        raise InputError(f"the network draws images that are not finite, {DIVERGED}")
    last_map = output.get("map_final", output.get("map"))
    return output if last_map is None else output | {"ids": map_ids(last_map, palette, maps)}


def _has_selection(config: ModelConfig) -> bool:
    always = config.generator in ("crossmlp", "selectiongan")
    return always or (config.generator == "mixer" and config.selection)


def _first_stage(config: ModelConfig, size: tuple[int, int], channels: int) -> nn.Module:
    width, norm = config.width, config.norm
    if config.generator == "crossmlp":
        sizes = (config.blocks, config.depth, config.patch)
        return CascadeMixer(size, channels, width, *sizes, norm, config.as_released)
    if config.generator == "mixer":
        backbone = (config.backbone, config.weights)
        options = (config.fusion, norm, config.sees_map)
        return MixerGenerator(size, *backbone, channels, width, *options)
    kinds = {"selectiongan": Translator, "pix2pix": Translator, "xfork": Fork, "xseq": Sequel}
    network = kinds[config.generator](size, channels, width, norm, config.dropout)
    return network.apply(init_normal)


def _check(config: ModelConfig) -> None:
    check_ranges(config, "model.")
    if not config.sees_map and config.generator != "mixer":
        raise InputError(
            f"--model.no-sees-map is for --model.generator mixer: {config.generator} "
            + ("never sees it" if config.generator in MAPLESS else "is made to draw along a map")
        )
    if config.patch & (config.patch - 1):
        raise InputError(f"model.patch is {config.patch}: a power of two from 2")
