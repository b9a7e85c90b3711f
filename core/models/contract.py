"""What every backbone offers, ours and timm's: images in, tokens and maps out.

Legend: B batch, H W the image, h w the grid of tokens, S = h*w tokens, C channels.

Not of the contract, since the mean over the tokens does where they are absent: `pooled(images)` ->
(B, pooled_features), for a network that has its own way from tokens to one vector an image.

A Protocol and no base class: a network of somebody else's with these members goes wherever a
backbone is asked for. `tests/core/models/test_contract.py` holds every name of `create_backbone` to
it.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Backbone(Protocol):
    """An nn.Module with these members.

    `isinstance(network, Backbone)` looks for the names alone, not for what they do.
    """

    num_features: int  # C of the tokens and of `feature_map`
    stride: tuple[int, int]  # pixels per token, high and wide
    grid: tuple[int, int]  # (h, w): image_size / stride, rounded up by padded convolutions
    image_size: tuple[int, int]  # (H, W), what it is built for
    in_channels: int  # of the images
    # (mean, std), one number a channel, that its weights expect of images in [0, 1]
    normalization: tuple[tuple[float, ...], tuple[float, ...]]

    def forward(self, images: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> tokens (B, S, C) after the last norm, row by row of the grid.

        Raises InputError for images of another shape; class and register tokens are left out.
        """

    def feature_map(self, images: Tensor) -> Tensor:
        """The same tokens laid out as a map (B, C, h, w)."""

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """Maps (B, C_i, h_i, w_i), fine to coarse.

        A network of one scale gives four depths, evenly spaced (fewer where it has fewer blocks),
        through the last norm: the last of them is `feature_map`.
        """

    def set_image_size(self, image_size: int | tuple[int, int]) -> None:
        """Move to another (H, W), in place, and `grid` with it. Raises InputError if it cannot."""

    def layer_depths(self) -> tuple[dict[str, int], int]:
        """Depth by parameter name, 0 the stem's, and the depth of what follows the last block.

        Layer-wise decay of the learning rate is made of it (`core.training.optim.layer_scales`).
        """

    def describe(self) -> dict[str, Any]:
        """What `backbone_from_description` builds the same network from; JSON can hold it."""
