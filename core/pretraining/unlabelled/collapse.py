"""Whether embeddings have collapsed: all the same, or all on a line.

Both are what a joint-embedding objective is tempted to: views of one picture agree perfectly where
all pictures agree. Two numbers tell, of the global views' embeddings over the whole batch:

    std     root of the mean variance of the D entries over the pictures; LeJEPA asks for 1
    rank    effective rank (Roy and Vetterli 2007), exp of the entropy of the normalised singular
            values of the centred embeddings: D where they fill all directions alike, 1 on a line
"""

from __future__ import annotations

import torch
from torch import Tensor

from core.training.run import Run

EVERY = 10  # steps between two looks
FIRST = 30  # the step from which on a collapse is told: before, a network is as it began
STD, RANK = 0.1, 1.5  # below either: collapsed; a std only where it does not grow


class Moments:
    """Sums over embeddings of all micro-batches and processes, in float64: n, sum and squares."""

    def __init__(self, width: int):
        self.sums = torch.zeros(1 + width + width * width, dtype=torch.float64)
        self.width = width

    @torch.no_grad()
    def add(self, embeddings: Tensor) -> None:
        """(B, V, D): each of the B V vectors counts."""
        z = embeddings.detach().flatten(0, 1).double().cpu()
        count = z.new_tensor([len(z)])
        self.sums += torch.cat([count, z.sum(0), (z.T @ z).flatten()])

    def measures(self, sums: Tensor) -> dict[str, float]:
        """{"std", "rank"} of the sums of all processes; both 0 where z is not finite."""
        if not sums.isfinite().all():
            return {"std": 0.0, "rank": 0.0}
        mean = sums[1 : 1 + self.width] / sums[0]
        squares = sums[1 + self.width :].view(self.width, self.width) / sums[0]
        covariance = squares - mean[:, None] * mean
        variances = torch.linalg.eigvalsh(covariance).clamp(min=0)
        shares = variances.sqrt() / variances.sqrt().sum().clamp(min=1e-30)
        entropy = -(shares * shares.clamp(min=1e-30).log()).sum()
        return {"std": float(variances.mean().sqrt()), "rank": float(entropy.exp())}


class Monitor:
    """Logs embedding/std and embedding/rank of a run, and says once in a line if they collapse."""

    def __init__(self, run: Run, width: int):
        self.run, self.width, self.told = run, width, False
        self.moments: Moments | None = None  # of the step that is looked at
        self.first = 0.0  # std at the first look

    def begin(self) -> None:
        """A new optimizer step."""
        looks = self.run.step_number == 1 or self.run.step_number % EVERY == 0
        self.moments = Moments(self.width) if looks else None

    def add(self, embeddings: Tensor) -> None:
        """(B, V, D) of a micro-batch, the global views'."""
        if self.moments:
            self.moments.add(embeddings)

    def end(self) -> None:
        """After the optimizer's step; all processes call it."""
        if not self.moments:
            return
        sums = self.run.session.sum(self.moments.sums.to(_exact(self.run))).cpu().double()
        measures = self.moments.measures(sums)
        self.run.record({f"embedding/{name}": value for name, value in measures.items()})
        self.first = self.first or measures["std"]
        if self.run.step_number < FIRST or self.told:
            return
        if collapsed(measures, self.first, self.width):
            self.told = True
            self.run.session.print(warning(self.run.step_number, measures, self.width))


def collapsed(measures: dict[str, float], first: float, width: int) -> bool:
    """Whether rank or std is below what any trained network has.

    A network may begin with a small std, its `first`, and grow out of it; a tenth of STD is too
    small for any.
    """
    shrinks = measures["std"] <= max(first, STD / 10)
    return (measures["std"] < STD and shrinks) or measures["rank"] < min(RANK, width)


def warning(step: int, measures: dict[str, float], width: int) -> str:
    """The line for a person."""
    return (
        f"step {step}  COLLAPSED: the embeddings of all pictures are nearly the same (std "
        f"{measures['std']:.2g}, healthy is 1; effective rank {measures['rank']:.1f} of {width}): "
        "nothing is being learnt. Raise --lejepa.weight, lower --optim.lr, or take a larger batch"
    )


def _exact(run: Run) -> torch.dtype:
    """float64 where the device has it."""
    return torch.float32 if run.session.device.type == "mps" else torch.float64
