"""Token mixing at another grid: the paper's rule for integer factors, interpolation for the rest.

Legend: (h, w) the old grid, S = h*w; (h', w') the new one, S' = h'*w'; D_S the hidden size of the
token-mixing MLP `x -> W2 gelu(W1 x + b1) + b2`, W1 (D_S, S), W2 (S, D_S).

`exact` (appendix C of the paper; no public code has it): h' = kh*h, w' = kw*w with integers. S and
D_S grow by K = kh*kw, and W1', W2' are block-diagonal: each of the K spatial sub-grids is mixed by
a copy of the old MLP and sees nothing of the others, until training fills the zeros in. The paper
orders tokens sub-grid by sub-grid; images are rows of tokens, so rows and columns are permuted.
The paper has one factor for both axes; two factors are ours.

`pi`, `area`, `bilinear` (ours; the paper resizes by integers alone): D_S stays. The new grid's
tokens are read onto the old grid by R (S, S'), mixed there, and written back by U (S', S), bilinear
interpolation (antialiased where a side shrinks): W1' = W1 R, W2' = U W2, b2' = U b2. Both are
products of one map for the height and one for the width, so that each axis has its own R.
    bilinear  R = U^T: plain interpolation of each row of W1 as a picture; responses grow by S'/S
    area      R = U^T with rows that sum to 1: a constant field keeps its response
    pi        along an axis that grows R = pseudo-inverse of U, as FlexiViT (2212.08013) resizes
              patch embeddings: mixing of an interpolated field is the interpolated mixing. Along
              one that shrinks as `area`, which did better there (RESULTS.md compares them)
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from core.errors import InputError
from core.models.shapes import Grid, times

Maps = tuple[Tensor, Tensor]  # R (S, S'), U (S', S)
METHODS = ("auto", "exact", "pi", "area", "bilinear")


def resize_token_mlp(mlp: dict[str, Tensor], grid: Grid, new_grid: Grid, method: str = "auto"):
    """The token-mixing MLP {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"} at `new_grid`.

    `auto` is `exact` where both factors are integers, else `pi`. Raises InputError where `exact`
    is asked for and does not apply, and for grids below 2x2, which leave nothing to interpolate.
    """
    method = choose_method(grid, new_grid, method)
    if method == "exact":
        return block_diagonal(mlp, grid, (new_grid[0] // grid[0], new_grid[1] // grid[1]))
    kind, device = mlp["fc1.weight"].dtype, mlp["fc1.weight"].device
    read, write = (m.to(device) for m in interpolation_maps(grid, new_grid, method))
    resized = {
        "fc1.weight": mlp["fc1.weight"].double() @ read,
        "fc1.bias": mlp["fc1.bias"].clone(),
        "fc2.weight": write @ mlp["fc2.weight"].double(),
        "fc2.bias": write @ mlp["fc2.bias"].double(),
    }
    return {name: value.to(kind) for name, value in resized.items()}


def choose_method(grid: Grid, new_grid: Grid, method: str) -> str:
    """One of METHODS but `auto`, checked against the two grids."""
    if method not in METHODS:
        raise InputError(f"resize is {method!r}; choose {', '.join(METHODS)}")
    if min(*grid, *new_grid) < 2:
        raise InputError(
            f"token mixing cannot be resized from a grid of {times(grid)} to {times(new_grid)} "
            "tokens: both need at least 2x2; choose a larger image_size or a smaller patch"
        )
    whole = new_grid[0] % grid[0] == 0 and new_grid[1] % grid[1] == 0
    if method == "exact" and not whole:
        raise InputError(
            f"the exact rule multiplies a grid by integers; {times(grid)} to {times(new_grid)} "
            'is none: choose another image_size or resize="pi"'
        )
    return method if method != "auto" else ("exact" if whole else "pi")


def block_diagonal(mlp: dict[str, Tensor], grid: Grid, factor: tuple[int, int]):
    """Appendix C: K = kh*kw copies of the MLP, one for each sub-grid. S -> K S, D_S -> K D_S."""
    (h, w), (kh, kw) = grid, factor
    row, column = _rows_and_columns(h * kh, w * kw, mlp["fc1.weight"].device)
    part = row // h * kw + column // w  # (S',) the sub-grid of each token of the new raster
    inner = row % h * w + column % w  # (S',) its place in that sub-grid
    own = part == torch.arange(kh * kw, device=part.device)[:, None]  # (K, S')
    return {
        "fc1.weight": (own[:, None] * mlp["fc1.weight"][:, inner]).flatten(0, 1),
        "fc1.bias": mlp["fc1.bias"].repeat(kh * kw),
        "fc2.weight": (own.T[:, :, None] * mlp["fc2.weight"][inner][:, None]).flatten(1),
        "fc2.bias": mlp["fc2.bias"][inner],
    }


@lru_cache(maxsize=64)
def interpolation_maps(
    grid: Grid, new_grid: Grid, method: str = "pi", device="cpu", dtype=torch.float64
) -> Maps:
    """(R, U) of the module's docstring, computed in float64 on the CPU."""
    rows, columns = (_axis_maps(*lengths, method) for lengths in zip(grid, new_grid, strict=True))
    read, write = (torch.kron(row, column) for row, column in zip(rows, columns, strict=True))
    return read.to(device, dtype), write.to(device, dtype)


def _axis_maps(length: int, new: int, method: str) -> Maps:
    """R (length, new) and U (new, length) along one axis."""
    fields = torch.eye(length, dtype=torch.float64)[:, None, None]
    # as pictures of height 1: of width 1, torch 2.15 antialiases wrongly
    write = F.interpolate(fields, (1, new), mode="bilinear", antialias=True).flatten(1).T
    if method == "bilinear":
        return write.T, write
    if method == "pi" and new > length:
        return torch.linalg.pinv(write), write
    return write.T / write.sum(0)[:, None], write


def resize_state(state: dict[str, Tensor], grid: Grid, new_grid: Grid, method: str = "auto"):
    """A Mixer's state dict at `new_grid`; all but the token-mixing MLPs is shared."""
    resized, marker = dict(state), ".mlp_tokens."
    for prefix in {name.split(marker)[0] + marker for name in state if marker in name}:
        names = ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias")
        mlp = {name: state[prefix + name] for name in names}
        mlp = resize_token_mlp(mlp, grid, new_grid, method)
        resized.update({prefix + name: value for name, value in mlp.items()})
    return resized


def _rows_and_columns(height: int, width: int, device) -> tuple[Tensor, Tensor]:
    token = torch.arange(height * width, device=device)
    return token // width, token % width
