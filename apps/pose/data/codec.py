"""How keypoints become what the network is to predict: mmpose's codecs. Back: models/decoding.py.

Targets are dicts: {"x": (K, W*split), "y": (K, H*split)} for SimCC, {"heatmap": (K, h, w)} for
heatmaps; K keypoints, (H, W) the crop, (h, w) the heatmap.
"""

from __future__ import annotations

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


def blur_pixels(model: ModelConfig) -> int:
    """Side of the kernel that blurs a heatmap before its maximum is refined, an odd number.

    mmpose's rule: 11 for sigma 2, 17 for sigma 3.
    """
    side = int((model.sigma * 20 - 7) // 3)
    return max(3, side - (side % 2 == 0))


def codec_config(model: ModelConfig) -> dict:
    """The mmpose config of the codec: how keypoints become targets, and outputs keypoints.

    SimCC (arXiv 2107.03332): `SimCCLabel`, which takes the largest bin. Heatmaps, by
    ``heatmap_codec``:

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
    common["heatmap_size"] = heatmap_size(model)[::-1]
    common["blur_kernel_size"] = blur_pixels(model)
    if model.heatmap_codec == "udp":
        return {"type": UDPHeatmap, **common}
    return {"type": MSRAHeatmap, **common, "unbiased": model.heatmap_codec == "dark"}
