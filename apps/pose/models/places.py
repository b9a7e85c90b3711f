"""A SimCC head that asks each place of the map where a keypoint lies, instead of flattening it.

B people, K keypoints, C channels, (h, w) the map, n bins of an axis, P = h*w places.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAST = 1.0  # bins: a place's Gaussian is no narrower; labels are rounded to whole bins
LIKELY = 24  # places that a keypoint's axes are made of: all would cost as much as a backbone


class PlacesHead(nn.Module):
    """A mixture of Gaussians for each keypoint, one at each place of the map.

    A 1x1 convolution gives a place five numbers of a keypoint: how likely it is there (a softmax
    over the places), its distance from the place's middle, (x, y) in strides, and the width of the
    Gaussian along either axis. Trained by the density of the labelled place. Votes of places with
    offsets are PIPNet's (arXiv 2003.03771), mixtures of Gaussians Bishop's (Mixture Density
    Networks, 1994); that SimCC's two axes are read from them is ours, for all that takes a SimCC
    head. They are the mixture's marginals, blurred by ``sigma`` as the targets of SimCC are: the
    largest bin is then the place with the most of the density around it, not the sharpest peak.

    In training the output is the mixture itself, in evaluation the two axes.
    """

    NUMBERS = 5

    def __init__(
        self,
        channels: int,
        grid: tuple[int, int],
        keypoints: int,
        bins: tuple[int, int],
        sigma: float,
    ):
        """``bins`` of x and y, over the whole width and height; ``sigma`` in bins."""
        super().__init__()
        self.keypoints, self.bins, self.sigma = keypoints, bins, sigma
        self.to_places = nn.Conv2d(channels, keypoints * self.NUMBERS, 1)
        nn.init.normal_(self.to_places.weight, std=0.01)
        nn.init.zeros_(self.to_places.bias)
        stride = torch.tensor([[bins[0] / grid[1]], [bins[1] / grid[0]]])  # bins of a place, (2, 1)
        rows, columns = torch.meshgrid(*(torch.arange(side) + 0.5 for side in grid), indexing="ij")
        middles = torch.stack([columns, rows]).flatten(1) * stride  # (2, P)
        self.register_buffer("stride", stride, persistent=False)
        self.register_buffer("middles", middles, persistent=False)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """(B, C, h, w) -> training: {"mixture": (B, K, 5, P)}, see `mixture`; else logits
        {"x": (B, K, W*split), "y": (B, K, H*split)}."""
        numbers = self.to_places(features).flatten(2).unflatten(1, (self.keypoints, self.NUMBERS))
        mixture = self.mixture(numbers.float())
        return {"mixture": mixture} if self.training else self.axes(mixture)

    def axes(self, mixture: Tensor) -> dict[str, Tensor]:
        """A mixture's blurred marginals at the bins: the logits of x and y."""
        likely = mixture[:, :, :1].topk(min(LIKELY, mixture.shape[-1]), -1).indices
        mixture = mixture.gather(-1, likely.expand(-1, -1, self.NUMBERS, -1))
        chance, x, y, *widths = mixture.unbind(2)
        width, height = ((side**2 + self.sigma**2).sqrt() for side in widths)
        return {
            "x": _marginal(chance, x, width, self.bins[0]),
            "y": _marginal(chance, y, height, self.bins[1]),
        }

    def mixture(self, numbers: Tensor) -> Tensor:
        """-> the logarithm of a place's share, its Gaussian's middle (x, y) and widths, in bins."""
        chance = numbers[:, :, :1].log_softmax(-1)
        means = self.middles + self.stride * numbers[:, :, 1:3]
        widths = LEAST + self.stride / 2 * F.softplus(numbers[:, :, 3:])
        return torch.cat([chance, means, widths], 2)


def _marginal(chance: Tensor, mean: Tensor, width: Tensor, bins: int) -> Tensor:
    """(B, K, P) each -> the logarithm of the density at each bin of an axis: (B, K, n)."""
    places = torch.arange(bins, device=mean.device)[:, None]  # (n, 1)
    distance = (places - mean[:, :, None]) / width[:, :, None]  # (B, K, n, P)
    return torch.logsumexp((chance - width.log())[:, :, None] - distance.square() / 2, -1)


def surprise(mixture: Tensor, points: Tensor) -> Tensor:
    """Minus the logarithm of the mixture's density at points (B, K, 2), bins, in nats: (B, K)."""
    chance, means, widths = mixture[:, :, 0], mixture[:, :, 1:3], mixture[:, :, 3:]
    distance = (points[..., None] - means) / widths  # (B, K, 2, P)
    log_density = -(distance.square() / 2 + widths.log()).sum(2) - math.log(2 * math.pi)
    return -torch.logsumexp(chance + log_density, -1)
