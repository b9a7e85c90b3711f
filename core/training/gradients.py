"""From per-sample losses to optimizer steps, exact for any number of processes and micro-batches.

The gradient is that of  sum of all losses / number of valid elements,  both over all processes and
all micro-batches of one optimizer step. The number is known only after the last micro-batch, so
gradients are summed as for a plain mean over samples and rescaled once before the step.
"""

from __future__ import annotations

import torch
from accelerate import Accelerator

from core.errors import InputError

Losses = dict[str, torch.Tensor]


class Gradients:
    """Backward passes and optimizer steps of one run; ``samples`` is its global batch size."""

    def __init__(self, accelerator: Accelerator, samples: int, clip: float, sharding: str = ""):
        self.accelerator, self.samples, self.clip = accelerator, samples, clip
        self.deepspeed = sharding == "DeepSpeed"
        self.pending: torch.Tensor | None = None  # valid elements since the last step() call
        self.valid: dict[int, torch.Tensor] = {}  # of the running optimizer step, by optimizer

    def backward(self, losses: Losses, valid: torch.Tensor | None = None) -> None:
        """Add the gradients of one micro-batch.

        ``losses``: name -> (B,), per sample. With ``valid`` (B,), the number of valid elements of
        each sample, each loss must be the *sum* over its sample's valid elements.
        """
        total = sum(loss.sum() for loss in losses.values())  # ()
        count = next(iter(losses.values())).shape[0]  # B, of this process and micro-batch
        if valid is not None:
            self.pending = valid.detach().sum().float() + (
                0 if self.pending is None else self.pending
            )
            if self.deepspeed:  # its engine steps inside backward(): no later rescaling
                total = total * (count / self._mean_valid(self.pending))
                self.pending = None
        # divided by B here and by the micro-batches inside accelerate, averaged over the processes:
        # in the end the sum over `samples`, whatever it was shared out to
        self.accelerator.backward(total / count)

    def _mean_valid(self, valid: torch.Tensor) -> torch.Tensor:
        if self.accelerator.gradient_accumulation_steps > 1:
            raise InputError("masked losses need --run.accumulate 1 under DeepSpeed")
        return self.accelerator.reduce(valid, reduction="mean").clamp(min=1)

    def step(self, optimizer) -> torch.Tensor | None:
        """Finish a micro-batch; on the last one step the optimizer. Returns the gradient norm."""
        if self.pending is not None:
            known = self.valid.get(id(optimizer), 0)
            self.valid[id(optimizer)], self.pending = known + self.pending, None
        if not self.accelerator.sync_gradients:
            return None
        norm = None if self.deepspeed else self._rescale_and_clip(optimizer)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return norm

    def _rescale_and_clip(self, optimizer) -> torch.Tensor | None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        parameters = [p for p in parameters if p.grad is not None]
        valid = self.valid.pop(id(optimizer), None)
        if valid is not None:
            # of all processes and micro-batches; none at all: the sums are 0 and stay it, not NaN
            everywhere = self.accelerator.reduce(valid, reduction="sum").clamp(min=1)
            torch._foreach_mul_([_local(p.grad) for p in parameters], self.samples / everywhere)
        if not self.clip:
            return None
        # this optimizer alone: another one's gradients may not exist yet
        self.accelerator.unscale_gradients(optimizer)
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.clip)
        return norm.full_tensor() if hasattr(norm, "full_tensor") else norm


def _local(gradient: torch.Tensor) -> torch.Tensor:
    """This process's part of a gradient that FSDP2 has sharded; the gradient itself otherwise."""
    return gradient.to_local() if hasattr(gradient, "to_local") else gradient
