"""Token-mixing weights as pictures, after Figure 5 of MLP-Mixer (arXiv 2105.01601).

Legend: D_S hidden units of a token-mixing MLP, each with S = h*w incoming weights, one for each
token: a unit is a picture of the grid, h high and w wide.

Which units are a pair: `core.evaluation.opposites`; how they are drawn: `.mixing_pictures`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from core.errors import InputError
from core.evaluation.common import DEFAULT_BACKBONE, BackboneConfig, open_backbone
from core.evaluation.mixing_pictures import mixing_sheet, panels
from core.evaluation.opposites import mean_frequency, opposite_pairs
from core.files import write_json
from core.pictures.sheets import save_image
from core.ranges import Whole
from core.training.session import Session


@dataclass(frozen=True)
class Config:
    """First-layer weights of the token-mixing MLPs, each hidden unit as a picture of the grid."""

    model: BackboneConfig = BackboneConfig()
    # blocks to show, 1 is the first, -1 the last; empty: the first three, as Figure 5
    blocks: tuple[int, ...] = ()
    # hidden units of a block to show, of pairs the most opposite ones; 0: all
    units: Whole = 0
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
    blocks = [_pair_figures(b, weights, backbone.grid) for b, weights in chosen.items()]
    record = {"model": config.model, "grid": backbone.grid, "blocks": blocks}
    if session.is_main:
        titles = [f"block {block}" for block in chosen]
        path = save_image(Path(config.out) / "mixing.png", panels(sheets, titles))
        model = config.model.label or DEFAULT_BACKBONE
        print(f"{path}: blocks {', '.join(map(str, chosen))} of {model}")
        write_json(Path(config.out) / "mixing.json", record)
    return record


def token_mixing_weights(backbone: nn.Module, blocks: tuple[int, ...] = ()) -> dict:
    """{block: W1 (D_S, S) float64}; 1 is the first block, -1 the last, () the first three.

    Backbones with a token-mixing MLP are the Mixer and timm's mixer_*. Raises InputError.
    """
    modules = getattr(getattr(backbone, "model", backbone), "blocks", ())
    count, tokens = len(modules), backbone.grid[0] * backbone.grid[1]
    mlps = [getattr(block, "mlp_tokens", None) for block in modules]
    if not mlps or any(mlp is None or mlp.fc1.weight.shape[1] != tokens for mlp in mlps):
        name = backbone.describe()["name"]
        raise InputError(
            f"{name} has no token-mixing MLPs to show: choose a Mixer for --model.backbone"
        )
    numbers = [b + count + 1 if b < 0 else b for b in blocks or range(1, min(count, 3) + 1)]
    if wrong := [b for b, n in zip(blocks, numbers, strict=False) if not 1 <= n <= count]:
        raise InputError(f"blocks has {wrong[0]}; this model has 1..{count} (-1 is the last)")
    return {b: mlps[b - 1].fc1.weight.detach().double().cpu().numpy() for b in numbers}


def _some(weights: np.ndarray, units: int, pairs: bool) -> np.ndarray:
    if units < 0:
        raise InputError(f"units is {units}; give how many to show, or 0 for all")
    order = opposite_pairs(weights) if pairs else np.arange(len(weights))
    return weights[order[: units or None]]


def _pair_figures(block: int, weights: np.ndarray, grid: tuple[int, int]) -> dict:
    """How opposite the pairs of the units that are shown are: their cosines, and frequencies."""
    paired = opposite_pairs(weights)[: len(weights) // 2 * 2].reshape(-1, 2)
    one, other = weights[paired[:, 0]], weights[paired[:, 1]]
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosines = (one * other).sum(1) / np.where(norms == 0, 1, norms)
    frequency = mean_frequency(weights, grid)[paired].mean(1)
    return {"block": block, "cosines": cosines.tolist(), "frequencies": frequency.tolist()}
