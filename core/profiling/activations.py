"""Bytes that one training step of a Mixer classifier keeps for its backward pass, by formula.

Legend: B images, S tokens, C channels, D_S and D_C hidden sizes, n classes, L blocks; e bytes of a
number in matrix products (4 in float32, 2 in bfloat16), l bytes of a LayerNorm's input (e, but 4
under CUDA's autocast, which normalises in float32: a copy of its own).

What autograd saves in `core.models.networks.mixer`, each tensor once:

    stem          images                                     B 3 H W e
    a LayerNorm   its input, mean and 1/std in float32       B S (C l + 8)
    token MLP     input of fc1; inputs of GELU and of fc2    B C (S + 2 D_S) e
    channel MLP   the same                                   B S (C + 2 D_C) e
    a block       two norms, both MLPs                       the sum
    head          pooled features; log-softmax, labels       B (C e + 4 n + 8) + 4
    autocast      products' weights in bfloat16              2 bytes a weight

With gradient checkpointing a block keeps its input alone, B S C e, and the weights' copies are
those of stem and head; one block at a time is run again. In float32 the last norm's input is the
last block's output. Tests hold the sums against what torch's saved_tensors_hooks see. Not counted:
dropout and stochastic depth (their masks), mixup's soft targets, any_size.
"""

from __future__ import annotations

from core.models.networks.mixer_config import MixerConfig


def saved_bytes(
    config: MixerConfig, classes: int, batch: int, product: int = 4, norm: int = 4
) -> int:
    """Bytes saved for the backward pass of `batch` images, without autocast's copies of weights.

    `product` and `norm` are e and l of the legend.
    """
    rows, blocks = batch * config.num_tokens, config.num_blocks
    height, width = config.image_size
    stem = batch * config.in_channels * height * width * product
    head = batch * (config.hidden_dim * product + 4 * classes + 8) + 4
    if config.grad_checkpointing:
        kept = blocks * rows * config.hidden_dim * product
    else:
        kept = blocks * block_bytes(config, batch, product, norm)
    return stem + kept + _norm_bytes(config, rows, norm) + head


def block_bytes(config: MixerConfig, batch: int, product: int = 4, norm: int = 4) -> int:
    """Bytes that one block saves where it is not checkpointed."""
    rows, dim = batch * config.num_tokens, config.hidden_dim
    tokens = batch * dim * (config.num_tokens + 2 * config.tokens_mlp_dim) * product
    channels = rows * (dim + 2 * config.channels_mlp_dim) * product
    return 2 * _norm_bytes(config, rows, norm) + tokens + channels


def _norm_bytes(config: MixerConfig, rows: int, norm: int) -> int:
    return rows * (config.hidden_dim * norm + 2 * 4)


def cast_bytes(config: MixerConfig, classes: int) -> int:
    """Bytes of the bfloat16 copies of weights that autocast's products save."""
    height, width = config.patch_size
    ends = config.hidden_dim * (config.in_channels * height * width + classes)
    block = 2 * config.num_tokens * config.tokens_mlp_dim
    block += 2 * config.hidden_dim * config.channels_mlp_dim
    return 2 * (ends + (0 if config.grad_checkpointing else config.num_blocks * block))


def peak_bytes(
    config: MixerConfig, classes: int, batch: int, product: int = 4, norm: int = 4
) -> int:
    """Activations at the peak of a step: what is saved, and what the backward pass adds.

    It begins at the last block, while everything is still saved: the gradients of the residual
    stream and of the D_C hidden units, and with checkpointing the block that is run again. In
    bfloat16 the float32 images stay as well.
    """
    rows = batch * config.num_tokens
    backward = rows * (config.hidden_dim + config.channels_mlp_dim) * product
    again = block_bytes(config, batch, product, norm) if config.grad_checkpointing else 0
    height, width = config.image_size
    images = batch * config.in_channels * height * width * 4 if product < 4 else 0
    return saved_bytes(config, classes, batch, product, norm) + backward + again + images
