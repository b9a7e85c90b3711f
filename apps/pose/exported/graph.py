"""The network with everything around it as one graph: uint8 crops in, keypoints and scores out.

The same decoding as `codec.Decoder.in_crop`, which is mmpose's in NumPy, one person after another;
here it is in torch for a whole batch, so that it can be exported.

B people, K keypoints, (H, W) the crop, (h, w) the heatmap, n bins of an axis; points are (x, y).
"""

from __future__ import annotations

import math

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from apps.pose.config import ModelConfig
from apps.pose.data.codec import codec_config, heatmap_size
from apps.pose.models.network import PoseNet


class PoseGraph(nn.Module):
    """crops (B, H, W, 3) uint8 RGB -> keypoints (B, K, 2) in pixels of the crop, scores (B, K)."""

    def __init__(self, network: PoseNet):
        super().__init__()
        self.network = network.eval()
        simcc = network.config.head == "simcc"
        self.decode = SimCCDecoding(network.config) if simcc else HeatmapDecoding(network.config)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        return self.decode(self.network(crops.permute(0, 3, 1, 2)))


class SimCCDecoding(nn.Module):
    """The largest bin of each axis; with ``simcc_dark``, the place between bins."""

    def __init__(self, model: ModelConfig):
        super().__init__()
        self.split, self.perfect = model.simcc_split, 1 / (model.sigma * math.sqrt(2 * math.pi))
        self.dark, self.sigma, self.radius = model.simcc_dark, model.sigma, round(3 * model.sigma)
        offsets = torch.arange(-self.radius, self.radius + 1)
        blur = torch.exp(-(offsets**2) / (2 * model.sigma**2))
        self.register_buffer("blur", blur.view(1, 1, -1), persistent=False)

    def forward(self, outputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        axes = [outputs[axis].float().softmax(-1) for axis in ("x", "y")]
        peaks = torch.stack([axis.amax(-1) for axis in axes], -1)  # (B, K, 2)
        places = torch.stack([self.place(axis) for axis in axes], -1)
        return places / self.split, (peaks.amin(-1) / self.perfect).clamp_max(1.0)

    def place(self, axis: Tensor) -> Tensor:
        """(B, K, n) probabilities -> (B, K) bins."""
        place = axis.argmax(-1)
        return place + self.step(axis, place) if self.dark else place.float()

    def step(self, axis: Tensor, place: Tensor) -> Tensor:
        """`codec.between_bins`, less the largest bin: (B, K)."""
        last = axis.shape[-1] - 1
        logs = F.conv1d(axis.flatten(0, 1)[:, None], self.blur, padding=self.radius)
        logs = logs.view_as(axis).clamp_min(1e-12).log()
        around = [(place + shift).clamp(0, last)[..., None] for shift in (-1, 0, 1)]
        left, middle, right = (logs.gather(-1, index)[..., 0] for index in around)
        slope, curve = (right - left) / 2, right - 2 * middle + left
        inner = (place > self.radius) & (place < last - self.radius) & (curve < 0)
        step = torch.where(inner, -slope / curve.clamp_max(-1e-9), 0.0)
        return step.clamp(-self.sigma, self.sigma)


class HeatmapDecoding(nn.Module):
    """The largest pixel, refined as the codec of the targets has it (`codec_config`)."""

    def __init__(self, model: ModelConfig):
        super().__init__()
        self.codec, (height, width) = model.heatmap_codec, model.image_size
        h, w = heatmap_size(model)
        stretch = (width / (w - 1), height / (h - 1)) if self.codec == "udp" else (width / w,) * 2
        self.register_buffer("stretch", torch.tensor(stretch), persistent=False)
        kernel = _gaussian(codec_config(model)["blur_kernel_size"])
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, outputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        heatmap = outputs["heatmap"].float().clamp_min(1e-6)  # as `Decoder.in_crop`
        scores, index = heatmap.flatten(2).max(-1)  # (B, K)
        x, y = index % heatmap.shape[-1], index // heatmap.shape[-1]
        refine = {"udp": self.udp, "dark": self.dark, "msra": self.msra}[self.codec]
        points = torch.stack([x, y], -1) + refine(heatmap, x, y)
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
        step = _newton(dx, dy, torch.where(inside, dxx, -1.0), dxy * inside, dyy)
        return torch.where(inside[..., None], step, 0.0)

    def blur(self, heatmap: Tensor) -> Tensor:
        """mmpose's gaussian_blur: zeros around, and each map's maximum as it was."""
        border, maps = self.kernel.numel() // 2, heatmap.flatten(0, 1)[:, None]
        maps = F.conv2d(maps, self.kernel.view(1, 1, 1, -1), padding=(0, border))
        maps = F.conv2d(maps, self.kernel.view(1, 1, -1, 1), padding=(border, 0))
        maps = maps.view_as(heatmap)
        return maps * heatmap.amax((2, 3), True) / maps.amax((2, 3), True)


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
    """Minus the inverse Hessian times the gradient: (B, K, 2)."""
    dx, dy, dxx, dxy, dyy = (value.double() for value in (dx, dy, dxx, dxy, dyy))
    determinant = dxx * dyy - dxy * dxy
    steps = dyy * dx - dxy * dy, dxx * dy - dxy * dx
    return -torch.stack(steps, -1) / determinant[..., None]


def _gaussian(size: int) -> Tensor:
    """OpenCV's kernel of that many pixels, with the sigma that it takes for them."""
    return torch.from_numpy(cv2.getGaussianKernel(size, 0)).float().flatten()
