"""Adam and Optimistic Adam in the game min_x max_y x y, drawn into docs/optimistic_adam.png.

python benchmarks/bilinear_game.py [--steps 1000] [--out docs/optimistic_adam.png]

Both players step at once, from (1, 1); the saddle is (0, 0). There is no momentum (beta_1 = 0).
Dashed: the mean of all places so far.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch

from core.training.optimistic import OptimisticAdam

SETTINGS = {"lr": 0.1, "betas": (0.0, 0.9999)}
PLAYERS = {"Adam": (torch.optim.Adam, "#d55e00"), "Optimistic Adam": (OptimisticAdam, "#0072b2")}
TURNS = 200  # steps of which the paths are drawn


def play(make: Callable, steps: int) -> np.ndarray:
    """The places (steps + 1, 2) of x and y, in float64."""
    x, y = (torch.ones((), dtype=torch.float64, requires_grad=True) for _ in range(2))
    players = make([x], **SETTINGS), make([y], maximize=True, **SETTINGS)
    places = [(x.item(), y.item())]
    for _ in range(steps):
        (x * y).backward()
        for player in players:
            player.step()
            player.zero_grad()
        places.append((x.item(), y.item()))
    return np.array(places)


def mean_so_far(places: np.ndarray) -> np.ndarray:
    """The mean of the first 1, 2, ... places: (N, 2)."""
    return places.cumsum(0) / np.arange(1, len(places) + 1)[:, None]


def draw(paths: dict[str, np.ndarray], out: str) -> None:
    """The two paths, and their distances to the saddle over the steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), layout="constrained", dpi=100)
    left, right = figure.subplots(1, 2)
    for name, places in paths.items():
        colour = PLAYERS[name][1]
        left.plot(*places[: TURNS + 1].T, color=colour, lw=1)
        for line, points in (("-", places), ("--", mean_so_far(places))):
            distance = np.hypot(*points.T)
            label = name if line == "-" else None
            right.semilogy(np.maximum(distance, 1e-9), line, color=colour, lw=1.2, label=label)
    left.plot(0, 0, "+", color="black")
    left.set(xlabel="x", ylabel="y", aspect="equal")
    left.set_title(f"the first {TURNS} steps", fontsize=10)
    right.set(xlabel="step", ylim=(1e-8, 20))
    right.legend(fontsize=8, loc="lower left")
    right.set_title("distance to the saddle; dashed: of the mean so far", fontsize=10)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--out", default="docs/optimistic_adam.png")
    options = parser.parse_args()
    paths = {name: play(make, options.steps) for name, (make, _) in PLAYERS.items()}
    for name, places in paths.items():
        last, mean = (np.hypot(*points[-1]) for points in (places, mean_so_far(places)))
        print(f"{name:16} after {options.steps} steps: last {last:.3g}, mean {mean:.3g}")
    draw(paths, options.out)


if __name__ == "__main__":
    main()
