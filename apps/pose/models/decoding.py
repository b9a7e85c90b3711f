"""From the head's outputs to keypoints: in training, evaluation, prediction and the ONNX file.

What mmpose's codecs do in NumPy for one person after another, in torch for a whole batch on its
device (tests hold it to mmpose's). No convolutions and no matrix products: under autocast or with
TF32 these keep three digits, and a place between pixels is read from the fourth.

Legend: B people, K keypoints, (H, W) the crop, (h, w) the heatmap, n bins of an axis; points are
(x, y). Outputs are {"x": (B, K, W*split), "y": (B, K, H*split)} logits of a SimCC head,
{"heatmap": (B, K, h, w)} of a heatmap head.
"""

from __future__ import annotations

import math

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from apps.pose.config import ModelConfig
from apps.pose.data.codec import blur_pixels, heatmap_size

LEAST = 1e-6  # of a heatmap: refining takes logarithms, and mmpose finds no place below 0


def create_decoder(model: ModelConfig) -> nn.Module:
    """outputs -> keypoints (B, K, 2) in [0, W] x [0, H] pixels of the crop, scores (B, K)."""
    return SimCCDecoder(model) if model.head == "simcc" else HeatmapDecoder(model)


def to_image(points: Tensor, center: Tensor, scale: Tensor, image_size: tuple[int, int]) -> Tensor:
    """The inverse of TopdownAffine: points (B, K, 2) of the crop -> pixels of the image.

    center, scale (B, 2): the crop's middle and size in the image; image_size: (H, W). mmpose's own
    formula (TopdownPoseEstimator.add_pred_to_datasample). It holds with UDP too, where the crop
    maps W-1 pixels to the scale: its points are stretched by W/(W-1), which cancels.
    """
    size = points.new_tensor(image_size[::-1])
    return center[:, None] + (points / size - 0.5) * scale[:, None]


class SimCCDecoder(nn.Module):
    """The largest bin of each axis (arXiv 2107.03332); with ``simcc_dark``, the place between bins.

    A score is the smaller of the two axes' largest probabilities, divided by that of a perfect
    prediction (the target Gaussian) and cut at 1. Deviation from mmpose, which takes the largest
    logit: a logit has no scale, and the thresholds 0.2 (COCO score) and 0.3 (drawing) would mean
    nothing.
    """

    def __init__(self, model: ModelConfig):
        super().__init__()
        self.split, self.perfect = model.simcc_split, 1 / (model.sigma * math.sqrt(2 * math.pi))
        self.dark, self.sigma, self.radius = model.simcc_dark, model.sigma, round(3 * model.sigma)
        offsets = torch.arange(-self.radius, self.radius + 1)
        blur = torch.exp(-(offsets**2) / (2 * model.sigma**2))
        self.register_buffer("blur", blur, persistent=False)

    def forward(self, outputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        axes = [outputs[axis].float().softmax(-1) for axis in ("x", "y")]  # (B, K, n) each
        peaks = torch.stack([axis.amax(-1) for axis in axes], -1)  # (B, K, 2)
        places = torch.stack([self.place(axis) for axis in axes], -1)
        return places / self.split, (peaks.amin(-1) / self.perfect).clamp_max(1.0)

    def place(self, axis: Tensor) -> Tensor:
        """(B, K, n) probabilities -> (B, K) bins."""
        place = axis.argmax(-1)
        return place + self.step(axis, place) if self.dark else place.float()

    def step(self, axis: Tensor, place: Tensor) -> Tensor:
        """From the largest bin to the place of the maximum between bins (DARK on one axis): (B, K).

        One Newton step on the logarithm of the probabilities, blurred by the target's Gaussian
        (arXiv 1910.06278, section 3.1); a Gaussian's own centre comes out exactly. Within three
        sigma of an end the largest bin stays: the blur would miss what is outside. mmpose's
        `SimCCLabel(use_dark=True)` steps there too, and is then up to 10 pixels off.
        """
        last = axis.shape[-1] - 1
        left, middle, right = (self.blurred(axis, place + shift).log() for shift in (-1, 0, 1))
        slope, curve = (right - left) / 2, right - 2 * middle + left
        inner = (place > self.radius) & (place < last - self.radius) & (curve < 0)
        step = torch.where(inner, -slope / curve.clamp_max(-1e-9), 0.0)
        return step.clamp(-self.sigma, self.sigma)

    def blurred(self, axis: Tensor, place: Tensor) -> Tensor:
        """The blurred probability of these bins alone: (B, K). Bins beyond an end repeat it."""
        offsets = torch.arange(-self.radius, self.radius + 1, device=axis.device)
        around = (place[..., None] + offsets).clamp(0, axis.shape[-1] - 1)  # (B, K, 2 radius + 1)
        return (axis.gather(-1, around) * self.blur).sum(-1).clamp_min(1e-12)


class HeatmapDecoder(nn.Module):
    """The largest pixel, refined as the codec of the targets has it (`codec_config`).

    A score is the map's maximum.
    """

    def __init__(self, model: ModelConfig):
        super().__init__()
        self.codec, (height, width) = model.heatmap_codec, model.image_size
        h, w = heatmap_size(model)
        # crop pixels for a heatmap pixel; with UDP W/(W-1) of them (`to_image`)
        stretch = (width / (w - 1), height / (h - 1)) if self.codec == "udp" else (width / w,) * 2
        self.register_buffer("stretch", torch.tensor(stretch), persistent=False)
        self.kernel = _gaussian(blur_pixels(model))

    def forward(self, outputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        heatmap = outputs["heatmap"].float().clamp_min(LEAST)
        scores, index = heatmap.flatten(2).max(-1)  # (B, K)
        x, y = index % heatmap.shape[-1], index // heatmap.shape[-1]
        refine = {"udp": self.udp, "dark": self.dark, "msra": self.msra}[self.codec]
        points = torch.stack([x, y], -1) + refine(heatmap, x, y)  # (B, K, 2) heatmap pixels
        return points.float() * self.stretch, scores

    def msra(self, heatmap: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """A quarter of a pixel to the larger neighbour, but at the border (refine_keypoints)."""
        at, (h, w) = _Neighbours(heatmap, x, y), heatmap.shape[-2:]
        dx = torch.where((x > 1) & (x < w - 1) & (y > 0), at(1, 0) - at(-1, 0), 0.0)
        dy = torch.where((y > 1) & (y < h - 1) & (x > 0), at(0, 1) - at(0, -1), 0.0)
        return 0.25 * torch.stack([dx, dy], -1).sign()

    def udp(self, heatmap: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """A Newton step with differences of one pixel (refine_keypoints_dark_udp)."""
        at = _Neighbours(self.blur(heatmap).clamp(1e-3, 50.0).log(), x, y)
        centre, right, left, down, up = at(0, 0), at(1, 0), at(-1, 0), at(0, 1), at(0, -1)
        dxx, dyy = right - 2 * centre + left, down - 2 * centre + up
        # of the mixed derivative mmpose takes the mean of two corners' estimates
        dxy = 0.5 * (at(1, 1) - right - down + 2 * centre - left - up + at(-1, -1))
        tiny = torch.finfo(torch.float32).eps
        dx, dy = 0.5 * (right - left), 0.5 * (down - up)
        return _newton(dx, dy, dxx.double() + tiny, dxy, dyy.double() + tiny)

    def dark(self, heatmap: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """A Newton step with differences of two pixels, if inside (refine_keypoints_dark)."""
        at = _Neighbours(self.blur(heatmap).clamp_min(1e-10).log(), x, y)
        h, w = heatmap.shape[-2:]
        dxx = 0.25 * (at(2, 0) - 2 * at(0, 0) + at(-2, 0))
        dyy = 0.25 * (at(0, 2) - 2 * at(0, 0) + at(0, -2))
        dxy = 0.25 * (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1))
        inside = (x > 1) & (x < w - 2) & (y > 1) & (y < h - 2) & (dxx * dyy - dxy**2 != 0)
        dx, dy = 0.5 * (at(1, 0) - at(-1, 0)), 0.5 * (at(0, 1) - at(0, -1))
        # outside, a Hessian that can be inverted: NaN of the branch not taken is still NaN
        step = _newton(dx, dy, torch.where(inside, dxx, -1.0), dxy * inside, dyy)
        return torch.where(inside[..., None], step, 0.0)

    def blur(self, heatmap: Tensor) -> Tensor:
        """mmpose's gaussian_blur: zeros around, and each map's maximum as it was."""
        maps = _blur_along(_blur_along(heatmap, self.kernel, -1), self.kernel, -2)
        return maps * heatmap.amax((2, 3), True) / maps.amax((2, 3), True)


def _blur_along(maps: Tensor, kernel: list[float], axis: int) -> Tensor:
    """A one-dimensional convolution as the sum of shifted maps, exact to the last digit of float32.

    ``axis`` is -1 or -2 of maps (B, K, h, w); zeros around.
    """
    border, length = len(kernel) // 2, maps.shape[axis]
    padded = F.pad(maps, (border, border) if axis == -1 else (0, 0, border, border))
    return sum(weight * padded.narrow(axis, i, length) for i, weight in enumerate(kernel))


class _Neighbours:
    """Values (B, K) of maps (B, K, h, w) at a shift from places (B, K); the border is repeated."""

    def __init__(self, maps: Tensor, x: Tensor, y: Tensor):
        self.maps = F.pad(maps, (2, 2, 2, 2), "replicate")
        self.width = self.maps.shape[-1]
        self.place = (y + 2) * self.width + x + 2

    def __call__(self, right: int, down: int) -> Tensor:
        index = self.place + down * self.width + right
        return self.maps.flatten(2).gather(2, index[..., None])[..., 0]


def _newton(dx: Tensor, dy: Tensor, dxx: Tensor, dxy: Tensor, dyy: Tensor) -> Tensor:
    """Minus the inverse Hessian times the gradient: (B, K, 2). In double: maps are nearly flat."""
    dx, dy, dxx, dxy, dyy = (value.double() for value in (dx, dy, dxx, dxy, dyy))
    determinant = dxx * dyy - dxy * dxy
    steps = dyy * dx - dxy * dy, dxx * dy - dxy * dx
    return -torch.stack(steps, -1) / determinant[..., None]


def _gaussian(size: int) -> list[float]:
    """OpenCV's kernel of that many pixels, with the sigma that it takes for them."""
    return cv2.getGaussianKernel(size, 0).ravel().tolist()
