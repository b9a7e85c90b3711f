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
Kronecker products of one map for the height and one for the width (a token's place is row * w +
column), so that each axis has its own R.
    bilinear  R = U^T: plain interpolation of each row of W1 as a picture; responses grow by S'/S
    area      R = U^T with rows that sum to 1: a constant field keeps its response
    pi        along an axis that grows R = pseudo-inverse of U, as FlexiViT (2212.08013) resizes
              patch embeddings: mixing of an interpolated field is the interpolated mixing. Along
              one that shrinks as `area`, which did better there (RESULTS.md compares them)

`resize_patch` is FlexiViT's own use of the same: a stem of 8x8 pixels becomes one of 16x16 that
gives an image enlarged twice, bilinearly, the tokens that the old one gave the image.

A network with `any_size` leaves its weights alone and resizes tokens instead, by `pi`: W1 (R x) is
(W1 R) x, and R x is two small products, one along each axis, never the S x S' matrix.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from core.errors import InputError
from core.models.shapes import Grid, times

METHODS = ("auto", "exact", "pi", "area", "bilinear")


class Maps(NamedTuple):
    """R and U of the module's docstring along each axis: what `any_size` needs at another grid."""

    read_rows: Tensor  # (h, h')
    read_columns: Tensor  # (w, w')
    write_rows: Tensor  # (h', h)
    write_columns: Tensor  # (w', w)


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


def resize_patch(stem: Tensor, patch: tuple[int, int]) -> Tensor:
    """A stem's weights (C, 3, p, q) for patches of another size: (C, 3, p', q').

    w' = (U^T)^+ w with the U of the module's docstring between the two patches (FlexiViT, eq. 4 of
    2212.08013); where they shrink, what is nearest to that in least squares.
    """
    pairs = zip(stem.shape[-2:], patch, strict=True)
    rows, columns = (torch.linalg.pinv(bilinear_weights(old, new)) for old, new in pairs)
    return (rows.T @ stem.double() @ columns).to(stem.dtype)


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
def interpolation_maps(grid: Grid, new_grid: Grid, method: str = "pi") -> tuple[Tensor, Tensor]:
    """R (S, S') and U (S', S) of the module's docstring, in float64 on the CPU."""
    rows, columns = (axis_maps(*lengths, method) for lengths in zip(grid, new_grid, strict=True))
    read, write = (torch.kron(row, column) for row, column in zip(rows, columns, strict=True))
    return read, write


def grid_maps(grid: Grid, new_grid: Grid, like: Tensor) -> Maps:
    """The maps between two grids by `pi`, on the device of `like` and in its precision.

    While torch.export keeps the height and width free, the new grid is symbols: nothing is cached
    then, and the maps are computed in the graph.
    """
    maps = _grid_maps if is_known(new_grid) else _grid_maps.__wrapped__
    return maps(grid, new_grid, like.device, like.dtype)


def is_known(grid: Grid) -> bool:
    """Whether a grid is numbers, not the symbols of a graph that is being recorded."""
    return all(isinstance(side, int) for side in grid)


@lru_cache(maxsize=64)
def _grid_maps(grid: Grid, new_grid: Grid, device: torch.device, dtype: torch.dtype) -> Maps:
    with torch.inference_mode(False):  # they are kept, and training cannot use what it makes
        (read_rows, write_rows), (read_columns, write_columns) = (
            axis_maps(*lengths, "pi") for lengths in zip(grid, new_grid, strict=True)
        )
        maps = (read_rows, read_columns, write_rows, write_columns)
        return Maps(*(value.to(device, dtype) for value in maps))


def resample_tokens(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(h*w, B, C) -> (h'*w', B, C) by rows (h', h) and columns (w', w); autocast is kept out."""
    if torch.jit.is_scripting():  # its autocast wants the device as a constant
        return _resample_tokens(x, rows, columns)
    with torch.autocast(x.device.type, enabled=False):
        return _resample_tokens(x, rows, columns)


def _resample_tokens(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    batch, width = x.shape[1], x.shape[2]
    grid = x.to(rows.dtype).unflatten(0, (rows.shape[1], columns.shape[1]))  # (h, w, B, C)
    grid = rows @ grid.flatten(1)  # (h', w*B*C)
    grid = grid.unflatten(1, (columns.shape[1], batch * width))  # (h', w, B*C)
    # bmm: what matmul asks of the shapes would tie an exported graph to its batch of examples
    grid = torch.bmm(columns.expand(rows.shape[0], -1, -1), grid)  # (h', w', B*C)
    return grid.flatten(0, 1).unflatten(1, (batch, width)).to(x.dtype)


def axis_maps(length: int, new: int, method: str) -> tuple[Tensor, Tensor]:
    """R (length, new) and U (new, length) along one axis, in float64."""
    write = bilinear_weights(length, new)
    if method == "bilinear":
        return write.T, write
    area = write.T / write.sum(0)[:, None]
    if method == "area":
        return area, write
    # The pseudo-inverse of U, (U^T U)^-1 U^T, where the axis grows. `where`, not `if`: one exported
    # graph takes shorter and longer axes. Where it shrinks U^T U has no inverse, and I stands in.
    grows = torch.full((), new) > length
    gram = torch.where(grows, write.T @ write, torch.eye(length, dtype=write.dtype))
    return torch.where(grows, torch.linalg.solve(gram, write.T), area), write


def bilinear_weights(length: int, new: int) -> Tensor:
    """U (new, length): what each new sample takes of the old ones, as `F.interpolate` does it.

    Bilinear, antialiased, align_corners=False. Written out because torch 2.15 antialiases a width
    of 1 wrongly, and because torch.export cannot keep `new` free in F.interpolate.
    """
    scale = length / new
    reach = torch.sym_max(scale, 1.0)  # half the base of the triangle that weighs old samples
    centres = (torch.arange(new, dtype=torch.float64) + 0.5) * scale
    distance = (torch.arange(length) + 0.5 - centres[:, None]).abs()  # (new, length)
    weights = (1 - distance / reach).clamp_min(0)
    return weights / weights.sum(1, keepdim=True)  # at the borders a part of the triangle is cut


def _rows_and_columns(height: int, width: int, device) -> tuple[Tensor, Tensor]:
    token = torch.arange(height * width, device=device)
    return token // width, token % width
