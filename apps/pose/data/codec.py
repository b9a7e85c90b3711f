"""Between keypoints and what the network predicts, by mmpose's codecs; and back to the image.

B people, K keypoints, (H, W) the crop, (h, w) the heatmap; points are (x, y).

Targets and outputs are dicts: {"x": (B, K, W*split), "y": (B, K, H*split)} for SimCC (logits when
they come from the network), {"heatmap": (B, K, h, w)} for heatmaps.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from apps.pose.config import ModelConfig
from core.errors import InputError

HEATMAP_STRIDE = 4  # crop pixels per heatmap pixel, as in all of mmpose's COCO configs


def heatmap_size(model: ModelConfig) -> tuple[int, int]:
    """Height and width of the heatmap; InputError where the crop does not divide by four."""
    height, width = model.image_size
    if height % HEATMAP_STRIDE or width % HEATMAP_STRIDE:
        raise InputError(
            f"model.image_size {height} x {width}: heatmaps need multiples of {HEATMAP_STRIDE}"
        )
    return height // HEATMAP_STRIDE, width // HEATMAP_STRIDE


def uses_udp(model: ModelConfig) -> bool:
    """Whether crop and heatmap are aligned at their corner pixels (UDP) and not by their sizes."""
    return model.head == "heatmap" and model.heatmap_codec == "udp"


def codec_config(model: ModelConfig) -> dict:
    """The mmpose config of the codec: how keypoints become targets, and outputs keypoints.

    SimCC (arXiv 2107.03332): `SimCCLabel`, which takes the largest bin; with ``simcc_dark``,
    `between_bins` follows. Heatmaps, by ``heatmap_codec``:

    - "udp": `UDPHeatmap` (arXiv 1911.07524). W-1 crop pixels are w-1 heatmap pixels; Gaussians at
      the exact place; decoding refines by DARK's step in UDP's way (differences of one pixel).
    - "dark": `MSRAHeatmap(unbiased=True)` (DARK, arXiv 1910.06278). W crop pixels are w heatmap
      pixels; Gaussians at the exact place; decoding refines by one Newton step on the logarithm of
      the blurred heatmap (differences of two pixels).
    - "msra": `MSRAHeatmap` as SimpleBaseline and HRNet were published: Gaussians at the nearest
      heatmap pixel; decoding moves the maximum a quarter of a pixel to its larger neighbour.
    """
    from apps.pose.data.mmpose_compat import MSRAHeatmap, SimCCLabel, UDPHeatmap

    height, width = model.image_size
    common = {"input_size": (width, height), "sigma": float(model.sigma)}
    if model.head == "simcc":
        return {"type": SimCCLabel, **common, "simcc_split_ratio": float(model.simcc_split)}
    blur = int((model.sigma * 20 - 7) // 3)  # mmpose's rule: 11 for sigma 2, 17 for sigma 3
    common["heatmap_size"] = heatmap_size(model)[::-1]
    common["blur_kernel_size"] = max(3, blur - (blur % 2 == 0))
    if model.heatmap_codec == "udp":
        return {"type": UDPHeatmap, **common}
    return {"type": MSRAHeatmap, **common, "unbiased": model.heatmap_codec == "dark"}


class Decoder:
    """From the network's outputs to keypoints in pixels of the image."""

    def __init__(self, model: ModelConfig, swap: tuple[int, ...]):
        """``swap`` (K,): the mirrored keypoint of each (`KeypointSet.swap`)."""
        config = codec_config(model)
        self.codec = config.pop("type")(**config)
        self.head, self.swap = model.head, list(swap)
        self.split, self.sigma = model.simcc_split, model.sigma
        self.dark, self.udp = model.simcc_dark, uses_udp(model)

    def __call__(
        self, outputs: dict[str, Tensor], center: Tensor, scale: Tensor
    ) -> tuple[np.ndarray, np.ndarray]:
        """Keypoints (B, K, 2) in pixels of the image, and scores (B, K).

        center, scale (B, 2): the crop's middle and size in the image, as the data set gives them.
        """
        keypoints, scores = self.in_crop(outputs)
        return self.to_image(keypoints, center.cpu().numpy(), scale.cpu().numpy()), scores

    def in_crop(self, outputs: dict[str, Tensor]) -> tuple[np.ndarray, np.ndarray]:
        """Keypoints (B, K, 2) in [0, W] x [0, H] and scores (B, K), by the mmpose codec.

        The score of a heatmap is its maximum. That of SimCC is the smaller of the two axes'
        largest probabilities, divided by that of a perfect prediction (the target Gaussian) and
        cut at 1. Deviation from mmpose, which takes the largest logit: a logit has no scale, and
        the thresholds 0.2 (COCO score) and 0.3 (drawing) would mean nothing.
        """
        if self.head == "simcc":
            x, y = (_probabilities(outputs[axis]) for axis in ("x", "y"))
            keypoints, peak = self.codec.decode(x, y)  # takes the whole batch
            if self.dark:
                bins = [between_bins(axis, self.sigma) for axis in (x, y)]
                keypoints = np.stack(bins, -1) / self.split
            return keypoints, np.minimum(peak * self.sigma * np.sqrt(2 * np.pi), 1.0)
        # A maximum of exactly 0 would make the codec divide by it; below 0 it gives no position.
        heatmaps = outputs["heatmap"].detach().float().clamp_min(1e-6).cpu().numpy()
        decoded = [self.codec.decode(heatmap) for heatmap in heatmaps]
        keypoints, scores = (np.concatenate(part) for part in zip(*decoded, strict=True))
        return keypoints, scores

    def to_image(self, keypoints: np.ndarray, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The inverse of TopdownAffine: (B, K, 2) crop -> image, both in pixels.

        mmpose's own formula (TopdownPoseEstimator.add_pred_to_datasample). It holds with UDP too,
        where the crop maps W-1 pixels to the scale: UDPHeatmap.decode gives points stretched by
        W/(W-1), which cancels.
        """
        size = np.array(self.codec.input_size)
        return keypoints / size * scale[:, None] + center[:, None] - 0.5 * scale[:, None]

    def average(
        self, outputs: dict[str, Tensor], of_flipped: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """The flip test: mean of the outputs for the image and for the image mirrored in W."""
        mirrored = self.unflip(of_flipped)
        return {name: (outputs[name] + mirrored[name]) / 2 for name in outputs}

    def unflip(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Outputs for mirrored images, mirrored back and left and right exchanged.

        Pixel x of a mirrored image is W-1-x. UDP heatmaps mirror the same way. Other heatmaps come
        out three quarters of a pixel to the left; they are moved by one, as HRNet and mmpose do,
        and stay a quarter of a heatmap pixel (one crop pixel) off. Bin split*x of SimCC's W*split
        goes to split*x + (split-1) when the axis is mirrored, so the axis is moved back by split-1
        bins; mmpose does not, and its mean is half of that (a quarter pixel) off.
        """
        from apps.pose.data.mmpose_compat import flip_heatmaps, flip_vectors

        if self.head != "simcc":
            heatmap = flip_heatmaps(outputs["heatmap"], self.swap, shift_heatmap=not self.udp)
            return {"heatmap": heatmap}
        x, y = flip_vectors(outputs["x"], outputs["y"], self.swap)
        shift = round(self.split - 1)
        if shift > 0:
            x = torch.cat([x[..., shift:], x[..., -1:].expand(*x.shape[:-1], shift)], -1)
        return {"x": x, "y": y}


def between_bins(probabilities: np.ndarray, sigma: float) -> np.ndarray:
    """The place of the maximum in fractions of a bin: (..., bins) -> (...), by DARK on one axis.

    One Newton step from the largest bin on the logarithm of the probabilities, blurred by the
    target's Gaussian (arXiv 1910.06278, section 3.1); a Gaussian's own centre is found exactly.
    Within three sigma of an end the largest bin stays: the blur would miss what is outside.
    mmpose's `SimCCLabel(use_dark=True)` steps there too, and is then up to 10 pixels off.
    """
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


def _probabilities(logits: Tensor) -> np.ndarray:
    return logits.detach().float().softmax(-1).cpu().numpy()
