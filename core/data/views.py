"""Several views of one picture: large crops and small ones, each augmented by itself.

    {"global": (B, Vg, 3, H, W), "local": (B, Vl, 3, h, w)}

Multi-crop (Caron et al. 2020, arXiv 2006.09882): a global view shows most of a picture, a local one
a part of it, and costs less where the network takes smaller images. Both ways to read pictures make
them: one by one in a loader's process (`PictureViews`), or a batch at a time of pictures that are
held on the device (`BatchViews`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from core.data.augment import AugmentConfig, train_transform
from core.data.batched.draws import Draws
from core.data.batched.transform import BatchTransform
from core.errors import InputError
from core.ranges import Count, PositiveShare, Shares, Whole

Size = tuple[int, int]  # (height, width)
Views = dict[str, Tensor]


@dataclass(frozen=True)
class ViewsConfig:
    """How many views of a picture, and what they show of it; areas and counts as LeJEPA's."""

    global_views: Count = 2
    local_views: Whole = 4  # LeJEPA: 6
    # shares of the picture's area
    global_area: Shares = (0.3, 1.0)
    local_area: Shares = (0.05, 0.3)
    # sides of a local view over those of a global one, where the network takes images of any size
    # (model.sizes); elsewhere all views have one size
    local_scale: PositiveShare = 0.5


def kinds(config: ViewsConfig, augment: AugmentConfig) -> dict[str, tuple[int, AugmentConfig]]:
    """For "global" and "local" their number and their augmentation, those without views left out.

    Raises InputError where there is a single view in all, with which nothing could agree.
    """
    counts = {"global": config.global_views, "local": config.local_views}
    if sum(counts.values()) < 2:
        raise InputError(
            f"views: {config.global_views} global and {config.local_views} local ones; choose two "
            "in all, or more"
        )
    areas = {"global": config.global_area, "local": config.local_area}
    return {
        name: (count, replace(augment, crop_area=areas[name]))
        for name, count in counts.items()
        if count
    }


def local_size(config: ViewsConfig, size: Size, stride: Size, any_size: bool) -> Size:
    """(h, w) of the local views beside global ones of `size`: whole tokens, two a side at least."""
    if not any_size:
        return size
    pairs = zip(size, stride, strict=True)
    height, width = (max(2, round(config.local_scale * s / step)) * step for s, step in pairs)
    return height, width


class PictureViews:
    """A function of an RGB PIL image that gives its views, (V, 3, H, W) of each kind."""

    def __init__(
        self,
        config: ViewsConfig,
        augment: AugmentConfig,
        sizes: dict[str, Size],
        normalization: tuple[Sequence[float], ...],
    ):
        self.kinds = {
            name: (count, train_transform(changes, sizes[name], normalization))
            for name, (count, changes) in kinds(config, augment).items()
        }

    def __call__(self, image) -> Views:
        return {
            name: torch.stack([transform(image) for _ in range(count)])
            for name, (count, transform) in self.kinds.items()
        }


class BatchViews:
    """uint8 (B, 3, h, w) and their draws -> views; `local` gives a local view's size.

    As `BatchTransform` otherwise, which makes each of the views from draws of its own.
    """

    def __init__(
        self,
        config: ViewsConfig,
        augment: AugmentConfig,
        local: Callable[[Size], Size],
        normalization: tuple[Sequence[float], ...],
    ):
        self.local = local
        self.kinds = {
            name: (count, BatchTransform(changes, normalization))
            for name, (count, changes) in kinds(config, augment).items()
        }
        self.count = sum(count for count, _ in self.kinds.values())
        self.columns = self.count * self.kinds["global"][1].columns

    def __call__(self, images: Tensor, draws: Draws, size: Size, noise: torch.Generator) -> Views:
        own, sizes = iter(draws.split(self.count)), {"global": size, "local": self.local(size)}
        return {
            name: torch.stack(
                [transform(images, next(own), sizes[name], noise) for _ in range(count)], 1
            )
            for name, (count, transform) in self.kinds.items()
        }
