"""LeJEPA's objective (Balestriero and LeCun 2025, arXiv 2511.08544), exact over the global batch.

Views of one picture shall have one embedding, and the embeddings of all pictures shall be normally
distributed with unit variance in every direction; the second is what keeps them from being all the
same. Why this method, and not another:

    masked patches      (MAE, arXiv 2111.06377) leave tokens out. A Mixer's token mixing is a matrix
                        over all of them, so that it would have to carry the masked ones along, and
                        what is learnt needs long fine-tuning.
    self-distillation   (DINO, arXiv 2104.14294) has a second network, and centring, temperatures
                        and schedules that hold off collapse when they fit one another.
    contrast            (SimCLR, arXiv 2002.05709) lives on large batches.
    LeJEPA              has one network, one weight to choose, no schedule, and asks nothing of the
                        network: images go in, a vector comes out. Views of other sizes are what a
                        Mixer of any size is made for.

Prediction: |z_v - c|^2 over the D entries, the mean, c the mean of the picture's global views; no
gradient is stopped. SIGReg: along each of M random directions, drawn anew each step, the statistic
of Epps and Pulley (1983) compares the embeddings' characteristic function with exp(-t^2/2), that
of a normal distribution:

    T = N x integral of |mean of exp(i t a.z) - exp(-t^2/2)|^2 exp(-t^2/2) dt

over t from -3 to 3 by the trapezoid rule: twice that from 0, as in the authors' minimal code (the
paper goes to 5; what lies beyond 3 has a weight below 0.012). T is taken for each view by itself,
and the mean over views and directions counts.

T is no sum over pictures, but the square of a mean over all N of the step. `sigreg_losses` gives
each picture a number whose mean over the batch is T and has T's gradient, once the characteristic
function of the whole batch is known: it is a sum, which processes and micro-batches add up first.

Legend: B pictures of a micro-batch, N of the step, V views, D entries of an embedding, M
directions, K points t.
"""

from __future__ import annotations

import torch
from torch import Tensor

from core.pretraining.unlabelled.config import LejepaConfig

POINTS, REACH = 17, 3.0  # t: K of them, from 0 to this


def prediction_losses(embeddings: Tensor, global_views: int) -> Tensor:
    """(B, V, D) -> (B,): how far a picture's views are from the middle of its global ones."""
    centre = embeddings[:, :global_views].mean(1, keepdim=True)
    return (embeddings - centre).square().mean((1, 2))


class Sketch:
    """The M directions of one optimizer step: a pure function of (seed, step), on any process."""

    def __init__(self, config: LejepaConfig, seed: int, step: int, device: torch.device):
        generator = torch.Generator().manual_seed(hash((seed, step)) % 2**63)
        directions = torch.randn(config.projector[-1], config.slices, generator=generator)
        self.directions = (directions / directions.norm(dim=0)).to(device)  # (D, M)
        t = torch.linspace(0, REACH, POINTS)
        rule = torch.full((POINTS,), 2 * REACH / (POINTS - 1))
        rule[[0, -1]] /= 2
        normal = torch.exp(-t.square() / 2)
        self.t, self.weights = t.to(device), (rule * normal).to(device)  # (K,) each
        # exp(-t^2/2) as a complex number: (2, K)
        self.normal = torch.stack([normal, torch.zeros(POINTS)]).to(device)

    def waves(self, embeddings: Tensor) -> Tensor:
        """exp(i t a.z) of (B, V, D): (B, V, M, 2, K), real and imaginary parts, float32."""
        with torch.autocast(embeddings.device.type, enabled=False):
            phases = (embeddings.float() @ self.directions)[..., None] * self.t
        return torch.stack([phases.cos(), phases.sin()], -2)

    def sigreg_losses(self, waves: Tensor, mean: Tensor, samples: int) -> Tensor:
        """(B,): their mean over all `samples` of the step is T, and has its gradient.

        waves: of B pictures; mean: of all, (V, M, 2, K), without a gradient. With d = mean - normal
        T is N <w, d^2>, whose gradient is that of the mean of 2 N <w d, wave>; less T, since that
        mean is 2 T.
        """
        off = mean - self.normal
        pull = 2 * samples * self.weights * off
        statistic = (pull * off).sum((-2, -1)) / 2  # (V, M)
        own = (pull * (waves - self.normal)).sum((-2, -1))  # (B, V, M)
        return (own - statistic).mean((1, 2))
