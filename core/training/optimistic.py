"""Optimistic Adam (Daskalakis et al. 2018, Training GANs with Optimism, arXiv 1711.00141).

Legend: g gradient, m v moments, m^ v^ the same with Adam's bias correction, t step (1-based).

    d_t     = m^_t / (sqrt(v^_t) + eps)                        Adam's direction
    theta  <- theta - 2 lr d_t + lr d_{t-1}                    Algorithm 1
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from core.errors import InputError

MOMENTS = ("exp_avg", "exp_avg_sq")  # m and v, as torch's Adam names them


class OptimisticAdam(torch.optim.Optimizer):
    """Algorithm 1 of the paper: twice Adam's direction, less the direction of the step before.

    From the paper: each of the two directions has the bias correction of its own step, and the
    previous direction is given back to the parameters themselves; the moments are plain Adam's. It
    is not Adam fed with 2 g_t - g_{t-1}.

    Our reading, where the algorithm is silent:

    - It has no d_0 (0 / 0). The first step of a parameter is plain Adam's, as in optax. The
      authors' Keras code (vsyrgkanis/optimistic_GAN_training, script/optimizer.py) takes d_0 = 0,
      so twice that; it also corrects both directions with the bias of step t, not as printed.
    - Under a schedule both directions have the learning rate of the present step.
    - `weight_decay` is decoupled (theta <- theta - lr weight_decay theta, as in AdamW) and not
      part of a direction. The paper has none.

    The state is Adam's, `step`, `exp_avg` and `exp_avg_sq`: the previous direction is computed from
    the moments before they move, which takes less memory than to keep it.

    eps is added to the root; betas lie in [0, 1), the rest is 0 or more; maximize goes up instead
    of down. foreach takes a group's parameters in one go, which needs memory for one more copy of
    them; None does so if they are on a GPU. Raises InputError for other values, and for sparse or
    complex gradients.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
    ):
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        for name in ("lr", "eps", "weight_decay"):
            if not defaults[name] >= 0:
                raise InputError(f"{name} is {defaults[name]}; choose 0 or more")
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise InputError(f"betas are {betas}; choose two numbers in [0, 1)")
        super().__init__(params, {**defaults, "maximize": maximize, "foreach": foreach})

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """One step; `closure` computes the loss and its gradients; its loss is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            foreach = group["foreach"]
            if foreach is None:
                foreach = all(p.is_cuda for p in params)
            for part in [params] if foreach else [[p] for p in params]:
                if part:
                    self._update(part, group)
        return loss

    def _update(self, params: list[Tensor], group: dict) -> None:
        """Step parameters that have gradients, all at once."""
        grads = [_dense(p.grad) for p in params]
        if group["maximize"]:
            grads = torch._foreach_neg(grads)
        states = [self._state_of(p) for p in params]
        taken = [int(state["step"]) for state in states]
        lr, (beta1, beta2) = group["lr"], group["betas"]
        torch._foreach_mul_(params, 1 - lr * group["weight_decay"])

        known = [i for i, t in enumerate(taken) if t]  # those that have a previous direction
        _move([params[i] for i in known], [states[i] for i in known], [lr] * len(known), group)

        firsts, seconds = ([s[name] for s in states] for name in MOMENTS)
        torch._foreach_lerp_(firsts, grads, 1 - beta1)
        torch._foreach_mul_(seconds, beta2)
        torch._foreach_addcmul_(seconds, grads, grads, 1 - beta2)
        torch._foreach_add_([s["step"] for s in states], 1)
        _move(params, states, [-2 * lr if t else -lr for t in taken], group)

    def _state_of(self, param: Tensor) -> dict[str, Tensor]:
        state = self.state[param]
        if not state:
            state["step"] = torch.zeros(())  # on the CPU: reading it waits for no device
            for name in MOMENTS:
                state[name] = torch.zeros_like(param, memory_format=torch.preserve_format)
        return state


def _move(params: list[Tensor], states: list[dict], scales: list[float], group: dict) -> None:
    """params += scales * m^ / (sqrt(v^) + eps) by the moments as they are now, in place."""
    if not params:
        return
    firsts, seconds = ([s[name] for s in states] for name in MOMENTS)
    bias1, bias2 = ([1 - beta ** int(s["step"]) for s in states] for beta in group["betas"])
    roots = torch._foreach_sqrt(seconds)
    torch._foreach_div_(roots, [bias**0.5 for bias in bias2])
    torch._foreach_add_(roots, group["eps"])
    factors = [scale / bias for scale, bias in zip(scales, bias1, strict=True)]
    torch._foreach_addcdiv_(params, firsts, roots, factors)


def _dense(gradient: Tensor) -> Tensor:
    if gradient.is_sparse or gradient.is_complex():
        kind = "sparse" if gradient.is_sparse else "complex"
        raise InputError(f"OptimisticAdam takes no {kind} gradients: make them dense and real")
    return gradient
