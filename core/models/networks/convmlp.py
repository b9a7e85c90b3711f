"""ConvMLP: Hierarchical Convolutional MLPs for Vision (Li et al. 2021, arXiv 2109.04454).

Legend: B batch, H W image, h w = ceil(H / 32), ceil(W / 32) the last grid, C_i channels.

    tokenizer    3 x (conv 3x3, BatchNorm, ReLU), the first with stride 2; max pooling    stride 4
    conv stage   bottleneck blocks with a skip, then a convolution 3x3 with stride 2      stride 8
    3 stages     blocks `X += MLP(LN(X)); X = depthwise3x3(LN(X)); X += MLP(LN(X))`, between
                 them a convolution 3x3 with stride 2                          strides 8, 16 and 32

Every layer takes any size, and so does the network: padded convolutions round its grids up. Sizes,
eps, padding, initial values and image statistics are those of the authors' code (SHI-Labs/
Convolutional-MLPs: src/convmlp.py, src/utils, configs/classification); their files are read by
`core.models.weights.formats.from_convmlp`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from core.errors import InputError
from core.memory import check_image
from core.models.networks.mlp import ChannelMlp, drop_path, drop_rates
from core.models.shapes import (
    as_pair,
    check_counts,
    check_depth,
    check_images,
    check_rates,
    config_from,
    depths_in_order,
)

# One node each in a graph of torch.fx: they look at the values of shapes.
for leaf in ("check_images", "drop_path"):
    torch.fx.wrap(leaf)

# src/convmlp.py: tokenizer channels, conv blocks, blocks, widths and MLP ratio of the stages.
CONVMLPS = {
    "convmlp_s": (64, 2, (2, 4, 2), (128, 256, 512), 2),
    "convmlp_m": (64, 3, (3, 6, 3), (128, 256, 512), 3),
    "convmlp_l": (96, 3, (4, 8, 3), (192, 384, 768), 3),
}
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean, std in the official configs


@dataclass(frozen=True)
class ConvMLPConfig:
    """A ConvMLP's architecture. image_size is (height, width); one integer means a square."""

    image_size: tuple[int, int]
    tokenizer_dim: int  # channels at stride 4
    num_conv_blocks: int
    num_blocks: tuple[int, int, int]  # of the three stages
    dims: tuple[int, int, int]  # their channels; the first is also the conv blocks' hidden size
    mlp_ratio: int
    in_channels: int = 3
    stochastic_depth: float = 0.0  # in the last block of a stage; linear from 0 in its first
    grad_checkpointing: bool = False  # recompute MLP blocks in the backward pass to save memory

    def __post_init__(self):
        object.__setattr__(self, "image_size", as_pair("image_size", self.image_size))
        check_image("image_size", self.image_size)
        for name in ("num_blocks", "dims"):
            object.__setattr__(self, name, _triple(name, getattr(self, name)))
        check_counts(self, "tokenizer_dim", "num_conv_blocks", "mlp_ratio", "in_channels")
        check_depth("num_conv_blocks", self.num_conv_blocks)
        check_depth("num_blocks", max(self.num_blocks))
        check_rates(self, "stochastic_depth")
        if self.tokenizer_dim % 2:
            raise InputError(
                f"tokenizer_dim is {self.tokenizer_dim}; choose an even number, its first two "
                "convolutions have half as many channels"
            )


class ConvMLPBlock(nn.Module):
    """Two channel MLPs with a skip, and between them a depthwise convolution without one."""

    def __init__(self, dim: int, hidden: int, drop_rate: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.channel_mlp1 = ChannelMlp(dim, hidden, gelu="exact", dropout=0.0)
        self.connect_norm = nn.LayerNorm(dim)
        self.connect = nn.Conv2d(dim, dim, 3, padding=1, groups=dim, bias=False)
        self.norm2 = nn.LayerNorm(dim)
        self.channel_mlp2 = ChannelMlp(dim, hidden, gelu="exact", dropout=0.0)
        self.drop_rate = drop_rate

    def forward(self, x: Tensor) -> Tensor:  # (B, h, w, C)
        x = x + drop_path(self.channel_mlp1(self.norm1(x)), self.drop_rate, self.training)
        x = self.connect(self.connect_norm(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + drop_path(self.channel_mlp2(self.norm2(x)), self.drop_rate, self.training)


class ConvMLPStage(nn.Module):
    """Blocks at one scale, and the convolution to the next: (B, C, h, w) -> (B, C', h/2, w/2)."""

    def __init__(self, config: ConvMLPConfig, index: int):
        super().__init__()
        self.grad_checkpointing = config.grad_checkpointing
        dim, count = config.dims[index], config.num_blocks[index]
        # As in the official code the ramp begins again in every stage.
        rates = drop_rates(config.stochastic_depth, count)
        hidden = config.mlp_ratio * dim
        self.blocks = nn.ModuleList(ConvMLPBlock(dim, hidden, rate) for rate in rates)
        last = index + 1 == len(config.dims)
        self.downsample = nn.Identity() if last else _halve(dim, config.dims[index + 1])

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)  # (B, h, w, C)
        for block in self.blocks:
            if self.grad_checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, use_reentrant=False)  # replays the random state too
            else:
                x = block(x)
        return self.downsample(x.permute(0, 3, 1, 2))


class ConvMLP(nn.Module):
    """The network without its head: images (B, 3, H, W) of any size -> tokens (B, S, C)."""

    def __init__(self, config: ConvMLPConfig):
        super().__init__()
        dims, channels = config.dims, config.tokenizer_dim
        self.num_features, self.stride = dims[-1], (32, 32)
        order = [i % 3 for i in range(config.in_channels)]  # as timm repeats channels over a stem
        self.normalization = tuple(tuple(values[i] for i in order) for values in IMAGENET)
        self.tokenizer = _tokenizer(config.in_channels, channels)
        self.conv_blocks = nn.ModuleList(
            _bottleneck(channels, dims[0]) for _ in range(config.num_conv_blocks)
        )
        self.conv_downsample = _halve(channels, dims[0])
        self.stages = nn.ModuleList(ConvMLPStage(config, index) for index in range(3))
        self.norm = nn.LayerNorm(dims[-1])
        self._configure(config)
        self.apply(_official_init)

    def _configure(self, config: ConvMLPConfig) -> None:
        self.in_channels = config.in_channels
        self.config, self.image_size = config, config.image_size
        self.grid = tuple(-(-side // 32) for side in config.image_size)

    def set_image_size(self, image_size: int | Sequence[int]) -> None:
        """Move to another size, any one, in place; the weights stay."""
        self._configure(replace(self.config, image_size=image_size))

    def describe(self) -> dict:
        """What `backbone_from_description` builds the same network from; JSON can hold it."""
        return {"name": "convmlp", **asdict(self.config)}

    def layer_depths(self) -> tuple[dict[str, int], int]:
        """Depth by parameter name, and N, the last norm's: 0 the tokenizer, then the blocks."""
        return depths_in_order(self)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> tokens (B, S, C) after the last LayerNorm, row by row of the grid."""
        return self.forward_features(images)

    def forward_features(self, images: Tensor) -> Tensor:
        """The tokens (B, S, C), by timm's name; also of a subclass whose `forward` gives others."""
        return self.feature_map(images).flatten(2).transpose(1, 2)

    def feature_map(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C, h, w)."""
        return self.pyramid(images)[-1]

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """Four maps (B, C_i, h_i, w_i) at strides 4, 8, 16 and 32, each h_i rounded up.

        They are those of the official detection code (src/detection): the tokenizer's, the conv
        stage's, the first stage's and the last one's; the second stage's equals the last in size.
        The last goes through the last norm here, which the detection code leaves out: it is
        `feature_map`, and no parameter is without a gradient.
        """
        check_images(images, self.in_channels, self.image_size)
        tokenized = x = self.tokenizer(images)
        for block in self.conv_blocks:
            x = x + block(x)
        maps = [tokenized, self.conv_downsample(x)]
        maps.append(self.stages[0](maps[-1]))
        x = self.stages[2](self.stages[1](maps[-1]))
        return [*maps, self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)]


def convmlp_config(name: str, **overrides) -> ConvMLPConfig:
    """The ConvMLPConfig of a name in CONVMLPS, with fields replaced by `overrides`."""
    keys = ("tokenizer_dim", "num_conv_blocks", "num_blocks", "dims", "mlp_ratio")
    return config_from(ConvMLPConfig, {**dict(zip(keys, CONVMLPS[name], strict=True)), **overrides})


def _tokenizer(ins: int, outs: int) -> nn.Sequential:
    return nn.Sequential(
        *_conv_bn_relu(ins, outs // 2, 3, stride=2),
        *_conv_bn_relu(outs // 2, outs // 2, 3),
        *_conv_bn_relu(outs // 2, outs, 3),
        nn.MaxPool2d(3, stride=2, padding=1),
    )


def _bottleneck(dim: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        *_conv_bn_relu(dim, hidden, 1),
        *_conv_bn_relu(hidden, hidden, 3),
        *_conv_bn_relu(hidden, dim, 1),
    )


def _conv_bn_relu(ins: int, outs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(ins, outs, kernel, stride, padding=kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(outs), nn.ReLU(inplace=True)]


def _halve(ins: int, outs: int) -> nn.Conv2d:
    return nn.Conv2d(ins, outs, 3, stride=2, padding=1)


def _triple(name: str, values) -> tuple[int, int, int]:
    values = tuple(values) if isinstance(values, (tuple, list)) else (values,)
    if len(values) != 3 or not all(isinstance(value, int) and value > 0 for value in values):
        raise InputError(f"{name} is {values!r}; give three positive integers, one a stage")
    return values


def _official_init(module: nn.Module) -> None:
    """Convolutions: variance 2 / fan_out, and torch's biases. MLPs: std 0.02, biases 0."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
