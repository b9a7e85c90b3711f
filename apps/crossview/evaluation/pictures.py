"""Sheets of validation pairs as a generator draws them: a row for each pair.

Images are (3, H, W) in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from apps.crossview.config import Direction
from apps.crossview.data.maps import Palette
from apps.crossview.data.pairs import Pairs
from apps.crossview.data.views import views_of
from apps.crossview.models.network import Generator, draw_views
from core.data.samples import some_samples
from core.pictures.sheets import enlarged, save_image, sheet
from core.training.session import Session

SHOWN = 6  # pairs of a sheet


@torch.no_grad()
def sample_sheet(
    session: Session, network: Generator, val: Pairs, direction: Direction, path: Path
) -> Path:
    """Source, map, coarse and final image, drawn map and truth of SHOWN pairs, a row each.

    Written by the main process alone.
    """
    if session.is_main:
        views = views_of(session.to_device(some_samples(val, SHOWN)), direction)
        output = draw_views(network, views.source, views.ids)
        columns = {"source": views.source, "true map": val.palette.paint(views.ids)}
        columns |= drawn_columns(output, val.palette)
        save_image(path, image_sheet(columns | {"real": views.target}))
    return path


def drawn_columns(output: Mapping[str, Tensor], palette: Palette) -> dict[str, Tensor]:
    """What a generator drew, by title, from the coarse image to the map: of `draw_views`."""
    columns = {"coarse": output["coarse"]} if "coarse" in output else {}
    columns["made"] = output["image"]
    if "ids" in output:
        columns["drawn map"] = palette.paint(output["ids"])
    return columns


def image_sheet(columns: Mapping[str, Sequence[Tensor]], enlarge: int = 1) -> Image.Image:
    """Columns of pictures under their names, every pixel a square of `enlarge` pixels."""
    rows = zip(*columns.values(), strict=True)
    pictures = [[enlarged(as_pixels(image), enlarge) for image in row] for row in rows]
    return sheet(pictures, tuple(columns))


def as_pixels(image: Tensor) -> np.ndarray:
    """(3, H, W) in [-1, 1] -> uint8 (H, W, 3)."""
    pixels = (image.detach().float().cpu().clamp(-1, 1) + 1) * 127.5
    return pixels.round().byte().permute(1, 2, 0).numpy()


def weights_image(weights: Tensor) -> Tensor:
    """(H, W), any range -> grey (3, H, W) in [-1, 1], the smallest black, the largest white."""
    low, high = weights.min(), weights.max()
    grey = (weights - low) / (high - low).clamp(min=1e-8)
    return (2 * grey - 1).expand(3, *weights.shape)
