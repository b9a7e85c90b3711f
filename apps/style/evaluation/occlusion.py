"""Where a network looked: hide a part of the image, and see how much surer it was with it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WINDOWS = 8  # steps that a window slides over a side; it covers two of them

Box = tuple[slice, slice]  # rows and columns


@torch.inference_mode()
def occlusion_map(network: nn.Module, image: Tensor, label: int, batch_size: int = 64) -> Tensor:
    """How much the probability of class `label` falls where a part of the image is hidden.

    image (3, H, W) as the network takes it -> (H, W), drops of the probability, averaged over the
    windows that cover a pixel. A window is a quarter of a side, moves by an eighth, and is filled
    with the image's mean colour (Zeiler and Fergus 2014, arXiv 1311.2901, section 4.2, have grey).
    """
    height, width = image.shape[1:]
    boxes = [(rows, columns) for rows in _windows(height) for columns in _windows(width)]
    hidden = image.repeat(len(boxes), 1, 1, 1)  # (49, 3, H, W), one for each box
    for picture, (rows, columns) in zip(hidden, boxes, strict=True):
        picture[:, rows, columns] = image.mean((1, 2), keepdim=True)
    whole = _probability(network, image[None], label)  # (1,)
    drops = [whole - _probability(network, part, label) for part in hidden.split(batch_size)]
    return _averaged(torch.cat(drops).cpu(), boxes, (height, width))


def _windows(side: int) -> list[slice]:
    """The seven windows along a side; where eighths are no whole pixels, lengths differ by one."""
    starts = range(WINDOWS - 1)
    return [slice(s * side // WINDOWS, (s + 2) * side // WINDOWS) for s in starts]


def _probability(network: nn.Module, images: Tensor, label: int) -> Tensor:
    """Of the class: (B, 3, H, W) -> (B,)."""
    return F.softmax(network(images).float(), -1)[:, label]


def _averaged(drops: Tensor, boxes: list[Box], size: tuple[int, int]) -> Tensor:
    """The mean of the drops (boxes,) of the boxes that cover a pixel: (H, W)."""
    total, count = torch.zeros(size), torch.zeros(size)
    for drop, box in zip(drops, boxes, strict=True):
        total[box] += drop
        count[box] += 1
    return total / count
