"""Semantic maps: from a file's colours to classes, and from classes to what a network sees.

Legend: H W image, K classes. A map is class ids, int64 (H, W), 0 to K - 1. JPEG smears colours
(61 % of the map pixels of CVUSA's four-panel files match none of the palette), so each pixel takes
the class of the nearest colour; one that is farther than FAR from all is unknown, and a panel with
too many unknown ones is no map of this palette. On the public samples of CVUSA and Dayton 0 to 20 %
of a map's pixels are that far, and 50 to 100 % of a photograph's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.config import did_you_mean, read_yaml
from core.errors import InputError

FAR = 32.0  # levels of 255, Euclidean
MOST_UNKNOWN = 0.35  # share of a map's pixels
VOID = "void"  # the class of what is not labelled
NO_MAP = "none"  # the only class of a data set without maps


@dataclass(frozen=True)
class Palette:
    """Names of K classes and their colours, uint8 (K, 3)."""

    names: tuple[str, ...]
    colours: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    def ids(self, rgb: np.ndarray) -> tuple[np.ndarray, float]:
        """(H, W, 3) uint8 -> ids (H, W) int64 of the nearest colours, and the unknown share."""
        # distances of the n distinct colours, not of all pixels: a map has few of them
        packed = rgb.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
        distinct, back = np.unique(packed, return_inverse=True)
        colours = np.stack([distinct >> 16, distinct >> 8 & 255, distinct & 255], 1)  # (n, 3)
        apart = ((colours[:, None] - self.colours.astype(int)) ** 2).sum(-1)  # (n, K), squared
        counts = np.bincount(back.ravel(), minlength=len(colours))  # pixels of each colour
        unknown = counts[apart.min(1) > FAR**2].sum() / counts.sum()
        return apart.argmin(1)[back].reshape(rgb.shape[:2]), float(unknown)

    def with_void(self) -> Palette:
        """With one more class, "void", of what nobody labelled, as SPADE's code has it
        (contain_dontcare_label); its colour is a grey that no class has."""
        greys = (np.full(3, level, np.uint8) for level in range(127, 256))
        grey = next(g for g in greys if not (self.colours == g).all(1).any())
        return Palette((*self.names, VOID), np.concatenate([self.colours, grey[None]]))

    def paint(self, ids: Tensor) -> Tensor:
        """Ids (..., H, W) -> colours (..., 3, H, W) in [-1, 1]."""
        colours = torch.from_numpy(self.colours).to(ids.device).float() / 127.5 - 1
        return colours[ids].movedim(-1, -3)


def one_hot(ids: Tensor, classes: int) -> Tensor:
    """Ids (B, H, W) -> (B, K, H, W), 1 for the class and -1 elsewhere."""
    channels = torch.nn.functional.one_hot(ids, classes).movedim(-1, 1)
    return 2.0 * channels.float() - 1.0


CVUSA = {"sky": (0, 0, 0), "man-made": (0, 0, 255), "road": (255, 0, 0), "vegetation": (0, 255, 0)}
CITYSCAPES = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}
PALETTES = {"cvusa": CVUSA, "cityscapes": CITYSCAPES}


def open_palette(name: str, root: Path | None = None) -> Palette:
    """The palette `name` ("cvusa", "cityscapes" as Dayton's, or a yaml of class: [r, g, b]).

    Without a name: root/palette.yaml. Raises InputError where there is none, or it holds no
    colours.
    """
    if not name and root is not None and (root / "palette.yaml").is_file():
        name = str(root / "palette.yaml")
    if name in PALETTES:
        return as_palette(PALETTES[name], name)
    if not name.endswith((".yaml", ".yml")):
        hint = did_you_mean(name, PALETTES) if name else " Known: " + ", ".join(PALETTES)
        raise InputError(f"no palette {name!r} of the maps.{hint}, or a yaml: --data.palette")
    return as_palette(read_yaml(name, "it names the colours of the maps"), name)


def as_palette(classes: dict, source: str) -> Palette:
    """A palette of class: [r, g, b]. Raises InputError, which names `source`, for anything else."""
    try:
        colours = np.array(list(classes.values()))
        whole = colours.dtype.kind in "iu"  # no words, fractions of 1 or truths
        valid = whole and colours.shape == (len(classes), 3)
        valid = valid and 0 <= colours.min() <= colours.max() <= 255
    except (AttributeError, ValueError):
        valid = False
    if not valid or len(np.unique(colours, axis=0)) < len(colours):
        raise InputError(
            f"{source}: expected `class: [r, g, b]`, whole numbers from 0 to 255, no colour twice"
        )
    return Palette(tuple(map(str, classes)), colours.astype(np.uint8))
