"""Token-mixing weights as pictures, after Figure 5 of MLP-Mixer (arXiv 2105.01601).

Legend: D_S hidden units of a token-mixing MLP, each with S = h*w incoming weights, one for each
token: a unit is a picture of the grid, h high and w wide.

In the figure units are paired to show kernels of opposite phase, and the pairs are sorted by
frequency. The paper does not say how either is computed; here a pair is a most negative cosine, and
the frequency is the centre of the power spectrum.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from core.errors import InputError
from core.evaluation.common import ModelConfig, open_backbone, save_record
from core.training.session import Session

BLUE, WHITE, RED = (33, 102, 172), (247, 247, 247), (178, 24, 43)  # below zero, zero, above
UNIT_SIDE = 56  # pixels, about, of the longer side of a unit's picture
PANELS = 3  # blocks side by side


@dataclass(frozen=True)
class Config:
    """First-layer weights of the token-mixing MLPs, each hidden unit as a picture of the grid."""

    model: ModelConfig = ModelConfig()
    # blocks to show, 1 is the first, -1 the last; empty: the first three, as Figure 5
    blocks: tuple[int, ...] = ()
    # hidden units of a block to show, of pairs the most opposite ones; 0: all
    units: int = 0
    # put units of opposite phase side by side, and sort the pairs by frequency
    pairs: bool = True
    # folder for mixing.png and mixing.json
    out: str = "results"


def run(config: Config, session: Session) -> dict:
    """Write mixing.png and mixing.json; the record has, for each block, how opposite its pairs are.

    Raises InputError where the model has no token-mixing MLP, or not that block.
    """
    backbone = open_backbone(config.model)
    chosen = {
        block: _some(weights, config.units, config.pairs)
        for block, weights in token_mixing_weights(backbone, config.blocks).items()
    }
    sheets = [mixing_sheet(weights, backbone.grid, config.pairs) for weights in chosen.values()]
    blocks = [_measured(b, weights, backbone.grid) for b, weights in chosen.items()]
    record = {"model": config.model, "grid": backbone.grid, "blocks": blocks}
    if session.is_main:
        picture = _panels([titled(s, f"block {b}") for b, s in zip(chosen, sheets, strict=True)])
        path = save_picture(picture, Path(config.out) / "mixing.png")
        print(
            f"{path}: blocks {', '.join(map(str, chosen))} of {config.model.label or 'mixer_s16'}"
        )
        save_record(config.out, "mixing", record)
    return record


def token_mixing_weights(backbone: nn.Module, blocks: tuple[int, ...] = ()) -> dict:
    """{block: W1 (D_S, S) float64}; 1 is the first block, -1 the last, () the first three.

    Backbones with a token-mixing MLP are the Mixer and timm's mixer_*. Raises InputError.
    """
    found = getattr(getattr(backbone, "model", backbone), "blocks", ())
    count, tokens = len(found), backbone.grid[0] * backbone.grid[1]
    mlps = [getattr(block, "mlp_tokens", None) for block in found]
    if not mlps or any(mlp is None or mlp.fc1.weight.shape[1] != tokens for mlp in mlps):
        name = backbone.describe()["name"]
        raise InputError(f"{name} has no token-mixing MLPs to show: choose a Mixer for model.name")
    wanted = [b + count + 1 if b < 0 else b for b in blocks or range(1, min(count, 3) + 1)]
    if wrong := [b for b, n in zip(blocks, wanted, strict=False) if not 1 <= n <= count]:
        raise InputError(f"blocks has {wrong[0]}; this model has 1..{count} (-1 is the last)")
    return {b: mlps[b - 1].fc1.weight.detach().double().cpu().numpy() for b in wanted}


def opposite_pairs(weights: np.ndarray) -> np.ndarray:
    """Order (D,) of units (D, S) in which 2i and 2i + 1 are a pair, the most opposite pair first.

    Greedy matching: of all pairs of units still free, the one of the most negative cosine is next.
    Every unit is in a pair, but for the last one where D is odd. A unit of zeros has cosine 0.
    """
    norms = np.linalg.norm(weights, axis=1, keepdims=True)
    directions = weights / np.where(norms == 0, 1, norms)
    first, second = np.triu_indices(len(weights), 1)
    nearest = np.argsort((directions @ directions.T)[first, second], kind="stable")
    order, free = [], np.ones(len(weights), bool)
    for one, other in zip(first[nearest].tolist(), second[nearest].tolist(), strict=True):
        if free[one] and free[other]:
            order += [one, other]
            free[[one, other]] = False
    return np.array(order + np.flatnonzero(free).tolist(), dtype=int)


def mean_frequency(weights: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Centre of the power spectrum of each unit (D, S), in cycles per token: (D,); 0 for zeros."""
    power = np.abs(np.fft.fft2(weights.reshape(-1, *grid))) ** 2
    radius = np.hypot(np.fft.fftfreq(grid[0])[:, None], np.fft.fftfreq(grid[1]))
    total = power.sum((1, 2))
    return (power * radius).sum((1, 2)) / np.where(total == 0, 1, total)


def mixing_sheet(weights: np.ndarray, grid: tuple[int, int], pairs: bool = True) -> np.ndarray:
    """Units (D, S) as a sheet of pictures (height, width, 3) uint8: blue below 0, red above.

    With `pairs` opposite units stand side by side, the pairs sorted by frequency, low first; else
    units keep their order. Each pair (or unit) has a colour range of its own, symmetric about 0.
    Where D is odd, the last unit stands alone.
    """
    order = _by_frequency(weights, grid) if pairs else np.arange(len(weights))
    together = 2 if pairs else 1
    groups = -(-len(order) // together)
    units = np.zeros((groups * together, *grid))
    units[: len(order)] = weights[order].reshape(-1, *grid)
    pictures = _coloured(units.reshape(groups, together, *grid))
    pictures[-1, together - (groups * together - len(order)) :] = 255  # beside a single last unit
    scale = max(1, UNIT_SIDE // max(grid))
    pictures = pictures.repeat(scale, 2).repeat(scale, 3)
    return _grid_of([tile(group[None], 1) for group in pictures])


def tile(pictures: np.ndarray, gap: int) -> np.ndarray:
    """(rows, columns, height, width, 3) uint8 as one picture, white lines of `gap` all round."""
    before, white = [(0, 0), (0, 0), (gap, 0), (gap, 0), (0, 0)], {"constant_values": 255}
    rows, columns, height, width, _ = (padded := np.pad(pictures, before, **white)).shape
    sheet = padded.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)
    return np.pad(sheet, [(0, gap), (0, gap), (0, 0)], **white)


def titled(picture: np.ndarray, title: str, height: int = 22) -> np.ndarray:
    """The picture (H, W, 3) uint8 under a line of text, `height` pixels high."""
    from PIL import Image, ImageDraw, ImageFont

    line = Image.new("RGB", (picture.shape[1], height), "white")
    font = ImageFont.load_default(size=height - 8)
    ImageDraw.Draw(line).text((4, 2), title, fill="black", font=font)
    return np.concatenate([np.asarray(line), picture])


def save_picture(picture: np.ndarray, path: Path) -> Path:
    """Write (H, W, 3) uint8 as PNG, atomically."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    Image.fromarray(picture).save(partial, format="PNG")
    os.replace(partial, path)
    return path


def _by_frequency(weights: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Opposite pairs sorted by the mean frequency of their two units; a single unit is last."""
    order = opposite_pairs(weights)
    paired = order[: len(order) // 2 * 2].reshape(-1, 2)
    frequency = mean_frequency(weights, grid)[paired].mean(1)
    return np.append(paired[np.argsort(frequency, kind="stable")], order[paired.size :])


def _coloured(groups: np.ndarray) -> np.ndarray:
    """(G, n, h, w) -> (G, n, h, w, 3) uint8; white is 0, full colour the group's largest value."""
    largest = np.abs(groups).max((1, 2, 3), keepdims=True)
    value = (groups / np.where(largest == 0, 1, largest))[..., None]
    blue, white, red = (np.array(colour, float) for colour in (BLUE, WHITE, RED))
    end = np.where(value < 0, blue, red)
    return np.round(white + np.abs(value) * (end - white)).astype(np.uint8)


def _grid_of(pictures: list[np.ndarray], gap: int = 5) -> np.ndarray:
    """Pictures of one size in a sheet that is about square, filled up with white."""
    height, width, _ = pictures[0].shape
    columns = max(1, min(len(pictures), round((len(pictures) * height / width) ** 0.5)))
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * columns, height, width, 3), 255, np.uint8)
    sheet[: len(pictures)] = pictures
    return tile(sheet.reshape(rows, columns, height, width, 3), gap)


def _panels(sheets: list[np.ndarray]) -> np.ndarray:
    """The sheets of the blocks, which are of one size, side by side in rows of PANELS."""
    columns = min(PANELS, len(sheets))
    blank = [np.full_like(sheets[0], 255)] * (-len(sheets) % columns)
    return tile(np.stack(sheets + blank).reshape(-1, columns, *sheets[0].shape), 8)


def _some(weights: np.ndarray, units: int, pairs: bool) -> np.ndarray:
    if units < 0:
        raise InputError(f"units is {units}; give how many to show, or 0 for all")
    order = opposite_pairs(weights) if pairs else np.arange(len(weights))
    return weights[order[: units or None]]


def _measured(block: int, weights: np.ndarray, grid: tuple[int, int]) -> dict:
    """How opposite the pairs of the units that are shown are: their cosines, and frequencies."""
    paired = opposite_pairs(weights)[: len(weights) // 2 * 2].reshape(-1, 2)
    one, other = weights[paired[:, 0]], weights[paired[:, 1]]
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosines = (one * other).sum(1) / np.where(norms == 0, 1, norms)
    frequency = mean_frequency(weights, grid)[paired].mean(1)
    return {"block": block, "cosines": cosines.tolist(), "frequencies": frequency.tolist()}
