"""mmpose's own decoding, in NumPy and one person after another: what ours is held to."""

import numpy as np

from apps.pose.data.codec import codec_config
from apps.pose.models.decoding import LEAST, create_decoder


def mmpose_codec(model):
    config = codec_config(model)
    return config.pop("type")(**config)


def decode(model, outputs):
    """By ours: points (B, K, 2) of the crop and scores (B, K), as arrays."""
    return tuple(values.numpy() for values in create_decoder(model)(outputs))


def mmpose_decode(model, outputs):
    """By mmpose's codec: points (B, K, 2) of the crop and scores (B, K).

    Two deviations are ours, as they always were: SimCC's scores are shares of a perfect peak, and
    DARK on its axes (`between_bins`) keeps away from the ends.
    """
    codec = mmpose_codec(model)
    if model.head == "simcc":
        x, y = (outputs[axis].detach().float().softmax(-1).numpy() for axis in ("x", "y"))
        points, peak = codec.decode(x.copy(), y.copy())
        if model.simcc_dark:
            bins = [between_bins(axis, model.sigma) for axis in (x, y)]
            points = np.stack(bins, -1) / model.simcc_split
        return points, np.minimum(peak * model.sigma * np.sqrt(2 * np.pi), 1.0)
    heatmaps = outputs["heatmap"].detach().float().clamp_min(LEAST).numpy()
    parts = [codec.decode(heatmap) for heatmap in heatmaps]
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def between_bins(probabilities, sigma):
    """(..., bins) -> (...): DARK's step in float64; itself held to mmpose's in test_decode.py."""
    radius = round(3 * sigma)
    peak, last = probabilities.argmax(-1), probabilities.shape[-1] - 1
    inner = (peak > radius) & (peak < last - radius)
    offsets = np.arange(-radius - 1, radius + 2)
    at = np.clip(peak[..., None] + offsets, 0, last)
    window = np.take_along_axis(probabilities, at, -1)
    blur = np.exp(-(offsets[1:-1] ** 2) / (2 * sigma**2))
    left, middle, right = (
        np.log(np.maximum(window[..., i : i + len(blur)] @ blur, 1e-12)) for i in range(3)
    )
    slope, curve = (right - left) / 2, right - 2 * middle + left
    step = np.where(inner & (curve < 0), -slope / np.minimum(curve, -1e-9), 0)
    return peak + np.clip(step, -sigma, sigma)
