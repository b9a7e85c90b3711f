"""The two MLPs of a block, `W2 gelu(W1 x + b1) + b2` over channels or tokens, and stochastic depth.

Legend: B batch, S tokens, C channels, D hidden size. Tokens come first, (S, B, C).

Both call their layers, `nn.Linear` over the last axis, so that hooks, adapters, quantisation and
pruning work as with any network. For tokens that axis must be made: (S, B, C) is seen as (B, C, S),
and what comes back lies in memory in another order than the skip that it is added to. Where calling
a layer could do nothing but multiply (`is_plain`), the tokens are therefore multiplied where they
lie, (D, S) x (S, B*C): one product for the whole batch with nothing transposed, and the gradient
of the weights is one product too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.errors import InputError
from core.models.networks.gelu import gelu
from core.models.networks.resize import Maps, resample_tokens

torch.fx.wrap("resample_tokens")  # one node of a graph: it looks at the values of shapes

Weights = tuple[Tensor, Tensor, Tensor, Tensor]  # W1 (D, S), b1 (D,), W2 (S, D), b2 (S,)
GELUS = {"tanh": "tanh", "exact": "none"}  # a configuration's word: torch's `approximate`


class ChannelMlp(nn.Module):
    """Over the last axis: (..., C) -> (..., C).

    Dropout follows the GELU and the output, as in timm's Mlp (the official Mixer has none).
    """

    def __init__(self, dim: int, hidden: int, gelu: str, dropout: float):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)
        self.dropout = nn.Dropout(dropout)
        self.approximate = GELUS[gelu]

    def forward(self, x: Tensor) -> Tensor:
        fresh = False
        if not torch.jit.is_scripting():
            fresh = is_plain(self.fc1, self.fc2, x)  # no hook of theirs has seen what fc1 gives
        x = self.dropout(gelu(self.fc1(x), self.approximate, fresh))  # (..., D)
        return self.dropout(self.fc2(x))


class TokenMlp(ChannelMlp):
    """The same parameters over the first axis: (S, B, C) -> (S, B, C).

    With `maps` (`any_size`) x has the tokens of another grid: they are read onto the grid of the
    weights, mixed there and written back.
    """

    def forward(self, x: Tensor, maps: Maps | None = None) -> Tensor:
        if maps is not None:
            x = resample_tokens(x, maps.read_rows, maps.read_columns)  # (S', B, C) -> (S, B, C)
        weights: Weights | None = None
        if not torch.jit.is_scripting():
            weights = plain_weights(self.fc1, self.fc2, x)
        if weights is not None:
            w1, b1, w2, b2 = weights
            hidden = multiply_first_axis(x, w1, b1)  # (D, B, C)
            hidden = self.dropout(gelu(hidden, self.approximate, True))
            x = multiply_first_axis(hidden, w2, b2)  # (S, B, C)
        else:
            hidden = self.fc1(x.permute(1, 2, 0))  # (B, C, S) -> (B, C, D)
            hidden = self.dropout(gelu(hidden, self.approximate))
            x = self.fc2(hidden).permute(2, 0, 1)  # (B, C, S) -> (S, B, C)
        if maps is not None:
            x = resample_tokens(x, maps.write_rows, maps.write_columns)
        return self.dropout(x)

    def own_weights(self) -> dict[str, Tensor]:
        """{"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}.

        Raises InputError where a layer is no plain one: what it multiplies by is not its weight.
        """
        for name, layer in (("fc1", self.fc1), ("fc2", self.fc2)):
            if not has_own_weights(layer):
                raise InputError(
                    f"token mixing has a changed {name} ({type(layer).__name__}), whose weights "
                    "cannot be resized: set the image size first, or merge adapters, remove "
                    "pruning and parametrizations, and undo quantisation"
                )
        return {name: value.detach() for name, value in self.named_parameters()}

    def replace_weights(self, weights: dict[str, Tensor]) -> None:
        """Take what `own_weights` gave at another S or D; each stays frozen or not as it was."""
        for name, value in weights.items():
            path, kind = name.split(".")
            layer = self.get_submodule(path)
            trained = getattr(layer, kind).requires_grad
            setattr(layer, kind, nn.Parameter(value, requires_grad=trained))
        for layer in (self.fc1, self.fc2):
            layer.out_features, layer.in_features = layer.weight.shape


def plain_weights(fc1: nn.Module, fc2: nn.Module, x: Tensor) -> Weights | None:
    """What to multiply x by where `is_plain`; None where the layers must be called."""
    if not is_plain(fc1, fc2, x):
        return None
    first, second = fc1._parameters, fc2._parameters  # nn.Module's own look-up takes longer
    return first["weight"], first["bias"], second["weight"], second["bias"]


def is_plain(fc1: nn.Module, fc2: nn.Module, x: Tensor) -> bool:
    """Whether to call these layers on x would be two products of plain tensors and nothing else.

    Not so for layers of another kind (`has_own_weights`), with hooks (pruning and ZeRO-3 have them,
    so do extractors of features) or a `forward` of their own (accelerate's offloading), and while
    a graph is recorded (torch.export, fx, jit), in which the layers should be found again.
    """
    if type(x) is not Tensor or torch.jit.is_tracing() or _any_global_hook():
        return False
    fc1_plain = has_own_weights(fc1) and not _is_hooked(fc1)
    return fc1_plain and has_own_weights(fc2) and not _is_hooked(fc2)


def has_own_weights(layer: nn.Module) -> bool:
    """Whether a layer multiplies by its `weight` and adds its `bias`, plain parameters both.

    False for another class (LoRA, quantised, parametrised), a subclass of Tensor (int8 of torchao,
    DTensor), and weights that are made of others before each call (pruning, shards).
    """
    own = layer._parameters
    plain = type(own.get("weight")) is type(own.get("bias")) is nn.Parameter
    return plain and type(layer) is nn.Linear


def _is_hooked(layer: nn.Module) -> bool:
    backward = layer._backward_hooks or layer._backward_pre_hooks
    forward = layer._forward_hooks or layer._forward_pre_hooks or "forward" in layer.__dict__
    return bool(forward or backward)


def _any_global_hook() -> bool:
    """torch.nn.modules.module.register_module_*_hook: hooks on every module there is."""
    return bool(torch.nn.modules.module._has_any_global_hook())


def multiply_first_axis(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """weight (D, S) times x (S, B, C), plus bias (D,): (D, B, C)."""
    return torch.addmm(bias[:, None], weight, x.flatten(1)).unflatten(1, x.shape[1:])


def drop_rates(last: float, blocks: int) -> list[float]:
    """Stochastic depth's rate of each block: linear from 0 in the first to ``last``."""
    return [last * i / max(blocks - 1, 1) for i in range(blocks)]


def drop_path(x: Tensor, rate: float, training: bool, sample_axis: int = 0) -> Tensor:
    """Stochastic depth for each sample of x; the kept ones are scaled by 1 / (1 - rate).

    The scale keeps the expectation, as in timm; big_vision's Mixer has none.
    """
    if rate == 0.0 or not training:
        return x
    shape = [1] * x.ndim
    shape[sample_axis] = x.shape[sample_axis]
    return x * x.new_empty(shape).bernoulli_(1 - rate).div_(1 - rate)
