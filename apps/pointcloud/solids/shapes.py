"""The kinds of embedded shapes, and one shape of them: a pure function of seed, split and number.

Kinds that ShapeNet has too carry its ids (WordNet's offsets); the others' begin with 9.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.pointcloud.solids import abstract, furniture
from apps.pointcloud.solids.rooms import room_crop
from apps.pointcloud.solids.surfaces import sample
from core.data.randomness import stream

SPLITS = ("train", "val", "test")
DECIMALS = 5  # of what is written, in unit spheres


@dataclass(frozen=True)
class Kind:
    """A kind of shape and the parts it may have."""

    name: str
    synset: str
    parts: tuple[str, ...]


KINDS = (
    Kind("Superquadrics", "90000001", ("first", "second", "third", "fourth")),
    Kind("Boxes", "90000002", ("first", "second", "third", "fourth", "fifth")),
    Kind("Tube", "90000003", ("tube",)),
    Kind("Extrusion", "90000004", ("lower", "upper")),
    Kind("Vase", "90000005", ("body", "handle")),
    Kind("Table", "04379243", ("top", "support", "shelf")),
    Kind("Chair", "03001627", ("seat", "legs", "back", "arms")),
    Kind("Shelf", "02871439", ("sides", "boards", "back", "things")),
    Kind("Lamp", "03636649", ("foot", "pole", "shade")),
    Kind("Sofa", "04256520", ("base", "back", "arms", "cushions")),
    Kind("Room", "90000006", ("room", "furniture")),
)
_MAKERS = (  # of the kinds, in their order; rooms are made by room_crop
    abstract.superquadrics,
    abstract.boxes,
    abstract.tubes,
    abstract.extrusions,
    abstract.vases,
    furniture.table,
    furniture.chair,
    furniture.shelf,
    furniture.lamp,
    furniture.sofa,
)
_FIRST_PART = np.cumsum([0] + [len(kind.parts) for kind in KINDS])  # ids go on from kind to kind


def make_shape(seed: int, split: str, kind: int, number: int, count: int) -> np.ndarray:
    """Shape `number` of KINDS[kind] as rows x, y, z, nx, ny, nz, part: (count, 7) float64.

    Points are uniform by area over what is seen from outside, centred, in the unit sphere, and
    rounded to DECIMALS; normals point outwards; part counts over all kinds, as ShapeNet-Part does.
    """
    rng = stream(seed, SPLITS.index(split), kind, number)
    if kind == len(_MAKERS):
        samples = room_crop(rng, count)
    else:
        samples = sample(_MAKERS[kind](rng), count, rng)
    points = samples.points - (samples.points.min(0) + samples.points.max(0)) / 2
    points /= np.linalg.norm(points, axis=1).max()
    rows = np.c_[points, samples.normals].round(DECIMALS) + 0.0  # no -0.0
    return np.c_[rows, _FIRST_PART[kind] + samples.parts]
