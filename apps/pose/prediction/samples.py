"""Some validation people as a network sees them while it trains, with the keypoints it gives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from apps.pose.data.dataset import PoseDataset
from apps.pose.models.decoding import create_decoder
from apps.pose.prediction.drawing import draw_people
from core.data.samples import some_samples
from core.errors import InputError
from core.pictures.sheets import enlarged, save_image, sheet
from core.training.session import Session

SHOWN = 8  # people of each set
HEIGHT = 160  # pixels of a crop on the sheet, at least


def sample_sheet(
    session: Session, network: nn.Module, datasets: Mapping[str, PoseDataset], path: Path
) -> Path:
    """A row of SHOWN people for each data set, all keypoints drawn however unsure they are.

    All processes call it, since a network may lie in parts on them; the main one writes. Where
    none of these people can be read it says so: the sheet is no reason to end a training.
    """
    try:
        found = [_found(session, network, dataset) for dataset in datasets.values()]
    except InputError as error:
        session.print(f"no sheet of validation people: {error}")
        return path
    if session.is_main:
        rows = [
            _drawn(*one, dataset) for one, dataset in zip(found, datasets.values(), strict=True)
        ]
        save_image(path, sheet(rows, labels=[name for name in datasets if name]))
    return path


@torch.no_grad()
def _found(session: Session, network: nn.Module, dataset: PoseDataset) -> tuple[Tensor, np.ndarray]:
    """Crops (B, 3, H, W) uint8, and where the keypoints (B, K, 2) are in them, in pixels."""
    images = some_samples(dataset, SHOWN)["image"]
    outputs = network(session.to_device(images))
    points, _ = create_decoder(dataset.model).to(session.device)(outputs)
    return images, points.float().cpu().numpy()


def _drawn(images: Tensor, points: np.ndarray, dataset: PoseDataset) -> list[np.ndarray]:
    factor, sure = -(-HEIGHT // images.shape[2]), np.ones(points.shape[1])
    crops = [enlarged(crop.permute(1, 2, 0).numpy(), factor) for crop in images]
    return [
        draw_people(np.asarray(crop), factor * places, sure, dataset.network)
        for crop, places in zip(crops, points, strict=True)
    ]
