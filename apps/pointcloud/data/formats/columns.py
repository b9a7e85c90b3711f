"""Which columns of a table are coordinates, normals and colours: by their names, or values.

Without names the first three are x y z. The next three are normals if they have length 1, colours
if they have a colour's values, and otherwise (intensity, ring, time, ...) nothing. Seven columns
are also x y z intensity r g b. Legend: N points, C columns.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from apps.pointcloud.geometry.cloud import Cloud, placed_cloud
from core.errors import InputError

Triple = tuple[int, int, int]
UNIT = 0.02  # from length 1, of normals that were rounded
# as they are once capitals, units in brackets and everything but letters and digits are gone
COORDINATES = (
    ("x", "y", "z"),
    ("px", "py", "pz"),
    ("posx", "posy", "posz"),
    ("xcoord", "ycoord", "zcoord"),
    ("coordx", "coordy", "coordz"),
    ("xcoordinate", "ycoordinate", "zcoordinate"),
    ("easting", "northing", "height"),
    ("easting", "northing", "elevation"),
    ("east", "north", "up"),
    ("pointsmxyz0", "pointsmxyz1", "pointsmxyz2"),  # VeloView
    ("points0", "points1", "points2"),  # ParaView
)
NORMALS = (
    ("nx", "ny", "nz"),
    ("normalx", "normaly", "normalz"),
    ("normals0", "normals1", "normals2"),
)
COLOURS = (("r", "g", "b"), ("red", "green", "blue"), ("rf", "gf", "bf"), ("rgb0", "rgb1", "rgb2"))


def named_columns(names: list[str]) -> dict[str, Triple]:
    """The places of "points", "normals" and "colours", those of them that the names have."""
    plain = [_plain(name) for name in names]
    found = {}
    for kind, known in (("points", COORDINATES), ("normals", NORMALS), ("colours", COLOURS)):
        for triple in known:
            if kind not in found and set(triple) <= set(plain):
                found[kind] = tuple(plain.index(name) for name in triple)
    return found


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", re.sub(r"\[.*?\]|\(.*?\)", "", name.lower()))


def cloud_of_rows(rows: np.ndarray, where: str | Path) -> Cloud:
    """A cloud of a table (N, C) without names. Raises InputError where it has no three columns."""
    if rows.ndim == 3 and len(rows) == 1:
        rows = rows[0]  # a batch of one cloud
    if rows.ndim == 2 and rows.shape[0] == 3 and rows.shape[1] > 16:
        rows = rows.T  # (3, N), as networks take them
    if rows.ndim != 2 or rows.shape[1] < 3 or rows.dtype.kind not in "fiu":
        raise InputError(f"{where}: {rows.shape} {rows.dtype}; rows x y z ... are needed")
    rest, normals, colours = rows[:, 3:], None, None
    if rest.shape[1] >= 3 and _are_normals(rest[:, :3]):
        normals = rest[:, :3]
    elif rest.shape[1] >= 3:
        colours = _colours_among(rest, Path(where).suffix.lower() == ".pts")
    return placed_cloud(rows[:, :3], normals, colours, str(where))


def _are_normals(rows: np.ndarray) -> bool:
    lengths = np.linalg.norm(rows[np.isfinite(rows).all(1)].astype(np.float64), axis=1)
    return bool(len(lengths)) and float(np.median(np.abs(lengths - 1))) < UNIT


def _colours_among(rest: np.ndarray, pts: bool) -> np.ndarray | None:
    """Colours of the columns behind x y z, (N, 3) in 0..1, or none."""
    places = [1, 0] if pts and rest.shape[1] == 4 else [0, 1]  # .pts: x y z intensity r g b
    for start in places:
        rows = rest[:, start : start + 3]
        if rows.shape[1] == 3 and (start == 0 or rest.shape[1] == 4) and are_colours(rows):
            return as_colours(rows)
    return None


def are_colours(rows: np.ndarray) -> bool:
    """Whether rows (N, 3) have the values of colours: shares of 1, or numbers of 8 or 16 bits."""
    rows = rows[np.isfinite(rows).all(1)].astype(np.float64)
    if not len(rows) or rows.min() < 0 or rows.max() > 65535:
        return False
    fractions = (rows != np.floor(rows)).any(0)  # of each column
    means = rows.max() <= 255 and (rows.max(0) > 1).all() and fractions.all()
    return bool(rows.max() <= 1 or not fractions.any() or means)


def as_colours(values: np.ndarray) -> np.ndarray:
    """Colours in 0..1 of 16 bits if any is above 255, else of 8 bits if any is above 1.

    Integers are never shares of 1.
    """
    values = np.asarray(values)
    whole, values = values.dtype.kind in "iu", np.nan_to_num(values.astype(np.float64))
    largest = values.max(initial=0)
    full = 65535 if largest > 255 else 255 if largest > 1 or whole else 1
    return np.clip(values / full, 0, 1)
