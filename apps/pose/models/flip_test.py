"""The flip test: the mean of the outputs for an image and for its mirror image.

Outputs as in `decoding.py`; K keypoints, ``swap`` (K,) the mirrored keypoint of each.
"""

from __future__ import annotations

import torch
from torch import Tensor

from apps.pose.config import ModelConfig
from apps.pose.data.codec import uses_udp


def flip_average(
    outputs: dict[str, Tensor],
    of_flipped: dict[str, Tensor],
    model: ModelConfig,
    swap: tuple[int, ...],
) -> dict[str, Tensor]:
    """Mean of the outputs for images (B, 3, H, W) and for the same mirrored in W."""
    mirrored = unflip(of_flipped, model, swap)
    return {name: (outputs[name] + mirrored[name]) / 2 for name in outputs}


def unflip(
    outputs: dict[str, Tensor], model: ModelConfig, swap: tuple[int, ...]
) -> dict[str, Tensor]:
    """Outputs for mirrored images, mirrored back and left and right exchanged.

    Pixel x of a mirrored image is W-1-x. UDP heatmaps mirror the same way. Other heatmaps come out
    three quarters of a pixel to the left; they are moved by one, as HRNet and mmpose do, and stay a
    quarter of a heatmap pixel (one crop pixel) off. Bin split*x of SimCC's W*split goes to split*x
    + (split-1) when the axis is mirrored, so the axis is moved back by split-1 bins; mmpose does
    not, and its mean is half of that (a quarter pixel) off.
    """
    exchanged = {name: values[:, list(swap)] for name, values in outputs.items()}
    if model.head == "simcc":
        back = max(0, round(model.simcc_split - 1))  # bins
        return {"x": _moved(exchanged["x"].flip(-1), -back), "y": exchanged["y"]}
    heatmap = exchanged["heatmap"].flip(-1)
    return {"heatmap": heatmap if uses_udp(model) else _moved(heatmap, 1)}


def _moved(values: Tensor, places: int) -> Tensor:
    """Moved along the last axis, to the right where ``places`` > 0; the end is repeated."""
    length = values.shape[-1]
    source = (torch.arange(length, device=values.device) - places).clamp(0, length - 1)
    return values[..., source]
