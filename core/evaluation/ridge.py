"""A linear head by ridge regression on all examples: closed form, l2 by leave-one-out, calibrated.

Legend: N examples, V views of each (an image, and its mirror image), R = N V rows, C features,
K classes.

Features are standardised by the rows' mean and standard deviation (+ 1e-5), and targets are -1 and
+1. W and the intercept b minimise |Z W + b - Y|^2 + l2 |W|^2; b is not regularised. Of several l2
the one with the least mean squared error of leave-one-out predictions is taken (Allen 1974,
"The relationship between variable selection and data augmentation and a method for prediction").
They need no refits: with H = 1/R + Z (Z'Z + l2)^-1 Z' and the residuals E of the fit, the residuals
of an example that the fit does not see are (I - H_ii)^-1 E_i, where H_ii (V, V) and E_i (V, K) are
the rows of that example, all its views left out at once. Mean and deviation stay those of all rows.

A score of a regression is no logit. Logits are the scores times one number, which minimises the
cross-entropy of the leave-one-out scores of the same examples: the temperature scaling of Guo et
al. 2017 (arXiv 1706.04599, section 4.2), without examples that are held back for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from core.errors import InputError

L2_BY_ROW = tuple(10 ** (k / 2) for k in range(-12, 5))  # 1e-6 to 100, in half decades
SCALES = (1e-3, 1e3)  # of scores; the ends where chance is better, or where nothing is wrong


@dataclass(frozen=True)
class Ridge:
    """Scores of features (N, C) are `x @ weight.T + bias`: (N, K); the class is the largest."""

    weight: Tensor  # (K, C) float64, for features as they are
    bias: Tensor  # (K,)
    l2: float  # the one that was chosen
    errors: dict[float, float]  # mean squared leave-one-out error of every l2
    left_out: Tensor  # (N, K) leave-one-out scores of each example's first view
    scale: float  # from scores to logits

    def head(self) -> dict[str, Tensor]:
        """The state of the `nn.Linear` that gives logits, float32."""
        return {
            "weight": (self.scale * self.weight).float(),
            "bias": (self.scale * self.bias).float(),
        }


def fit_ridge(x: Tensor, y: Tensor, classes: int, l2s: Sequence[float] = ()) -> Ridge:
    """The head for features x (N, V, C) and labels y (N,) int64 in 0..classes-1, N at least 2.

    l2s: what is chosen among, by default L2_BY_ROW times R. In float64 on the device of x, in
    memory for about four times the rows. Raises InputError for features that are not finite.
    """
    rows = x.flatten(0, 1).double()  # (R, C)
    if not rows.isfinite().all():
        raise InputError("the backbone gives features that are not finite: are the weights whole?")
    mean, std = rows.mean(0), rows.std(0, correction=0) + 1e-5
    targets = 2 * F.one_hot(y, classes).double() - 1  # (N, K)
    z, views = (rows - mean) / std, x.shape[1]
    eigenvalues, q = torch.linalg.eigh(z.T @ z)
    fit = _Fit(z @ q, eigenvalues.clamp_min(0), targets.repeat_interleave(views, 0), views)

    errors = {}
    for l2 in l2s or [len(rows) * share for share in L2_BY_ROW]:
        errors[l2] = float((fit.left_out(l2) - targets).square().mean())
    l2 = min(errors, key=errors.get)
    left_out = fit.left_out(l2)
    weight = (q @ fit.weights(l2) / std[:, None]).T  # (K, C): standardising is part of the head
    bias = targets.mean(0) - weight @ mean
    return Ridge(weight, bias, l2, errors, left_out, fit_scale(left_out, y))


@dataclass(frozen=True)
class _Fit:
    """The regression in the axes of Z'Z, where every l2 costs one product."""

    z: Tensor  # (R, C) standardised rows, along the eigenvectors
    eigenvalues: Tensor  # (C,)
    targets: Tensor  # (R, K)
    views: int

    def weights(self, l2: float) -> Tensor:
        """(C, K), of z."""
        return self.z.T @ self.targets / (self.eigenvalues + l2)[:, None]

    def left_out(self, l2: float) -> Tensor:
        """(N, K): what the fit to all other examples says of each one's first view."""
        by_example = (-1, self.views, self.z.shape[1])
        residuals = self.targets - self.targets.mean(0) - self.z @ self.weights(l2)
        residuals = residuals.view(-1, self.views, residuals.shape[1])  # (N, V, K)
        shrunk = (self.z / (self.eigenvalues + l2)).view(by_example)
        hat = shrunk @ self.z.view(by_example).mT + 1 / len(self.z)  # (N, V, V)
        unseen = torch.linalg.solve(torch.eye(self.views).to(hat) - hat, residuals)
        return (self.targets.view_as(unseen) - unseen)[:, 0]


def fit_scale(scores: Tensor, labels: Tensor) -> float:
    """The factor in SCALES with the least cross-entropy of softmax(factor x scores (N, K)).

    Its derivative rises with the factor, so that halving finds the place where it is 0.
    """
    own = scores.gather(1, labels[:, None])[:, 0]  # (N,)
    low, high = SCALES
    for _ in range(50):
        middle = (low * high) ** 0.5
        expected = ((middle * scores).softmax(1) * scores).sum(1)
        low, high = (middle, high) if (expected - own).mean() < 0 else (low, middle)
    return middle
