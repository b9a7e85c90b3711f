"""Units of token mixing as pictures of the grid, for `core.evaluation.mixing`.

Legend: D units, each with S = h*w weights; G groups of n units that share a colour range.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from core.evaluation.opposites import by_frequency
from core.pictures.sheets import caption, enlarged, in_rows, sheet

BLUE, WHITE, RED = (33, 102, 172), (247, 247, 247), (178, 24, 43)  # below zero, zero, above
UNIT_SIDE = 56  # pixels, about, of the longer side of a unit's picture
PANELS = 3  # blocks side by side


def mixing_sheet(weights: np.ndarray, grid: tuple[int, int], pairs: bool = True) -> np.ndarray:
    """Units (D, S) as a sheet of pictures (height, width, 3) uint8: blue below 0, red above.

    With `pairs` opposite units stand side by side, the pairs sorted by frequency, low first; else
    units keep their order. Each pair (or unit) has a colour range of its own, symmetric about 0.
    Where D is odd, the last unit stands alone. The sheet is about square.
    """
    order = by_frequency(weights, grid) if pairs else np.arange(len(weights))
    together, scale = 2 if pairs else 1, max(1, UNIT_SIDE // max(grid))
    units = weights[order].reshape(-1, *grid)  # (D, h, w)
    groups = in_rows(units, together)
    if len(groups[-1]) < together:  # a white place beside a single last unit
        groups[-1].append(np.full(grid, np.nan))
    pictures = _coloured(np.stack(list(map(np.stack, groups))))  # (G, together, h, w, 3)
    # A unit is a few pixels: squares of `scale` pixels each, so that no viewer blurs them.
    cards = [sheet([[enlarged(unit, scale) for unit in group]], gap=1) for group in pictures]
    return np.asarray(sheet(in_rows(cards, _square_columns(cards)), gap=5))


def panels(sheets: Sequence[np.ndarray], titles: Sequence[str]) -> Image.Image:
    """The sheets of the blocks, each under its title, side by side in rows of PANELS."""
    cards = [caption(s, [title], text=15) for s, title in zip(sheets, titles, strict=True)]
    return sheet(in_rows(cards, PANELS), gap=8)


def _coloured(groups: np.ndarray) -> np.ndarray:
    """(G, n, h, w) -> (G, n, h, w, 3) uint8; pale grey is 0, full colour the group's largest value.

    NaN, where there is no unit, is white.
    """
    largest = np.nanmax(np.abs(groups), (1, 2, 3), keepdims=True)
    value = (groups / np.where(largest == 0, 1, largest))[..., None]
    blue, white, red = (np.array(colour, float) for colour in (BLUE, WHITE, RED))
    end = np.where(value < 0, blue, red)
    colours = np.round(white + np.abs(value) * (end - white))
    return np.where(np.isnan(value), 255, colours).astype(np.uint8)


def _square_columns(cards: Sequence[Image.Image]) -> int:
    """In how many columns cards of one size make a sheet that is about square."""
    width, height = cards[0].size
    return max(1, min(len(cards), round((len(cards) * height / width) ** 0.5)))
