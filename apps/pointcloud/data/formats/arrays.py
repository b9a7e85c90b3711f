"""Clouds as numpy's files, and as bare float32 rows (.bin). Legend: N points."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from apps.pointcloud.data.formats.columns import are_colours, as_colours, cloud_of_rows
from apps.pointcloud.geometry.cloud import Cloud, make_cloud, placed_cloud
from core.errors import InputError
from core.files import check_archive, unreadable

POINTS_KEYS = ("points", "xyz", "pos", "points_i16")  # of an npz
COLOUR_KEYS = ("colors", "colours", "rgb")
WIDTHS = (3, 4, 5, 6)  # numbers a row of a .bin
LOOKED_AT = 60_000  # numbers of a .bin that its width is told by, whole rows of every width
COORDINATE = 1e7  # more than any coordinate: what is larger is not a float32 file
QUANTILES = np.linspace(0.05, 0.95, 19)
CLEARLY = 0.8  # of the best separation: of few rows chance makes up for the rest


def read_npz(path: Path) -> Cloud:
    """The cloud of an npz: `points` (N, 3), normals, colors; or its only array, as rows."""
    arrays = {key: rows for key, rows in npz_arrays(path).items() if rows.ndim >= 2}
    key = next((key for key in POINTS_KEYS if key in arrays), None)
    if key is None and len(arrays) == 1 and next(iter(arrays.values())).shape[-1] < 16:
        return cloud_of_rows(next(iter(arrays.values())), path)
    if key is None:
        raise InputError(f"{path}: none of {', '.join(POINTS_KEYS)} in it, but {list(arrays)}")
    if arrays[key].ndim == 3:
        raise InputError(f"{path}: {len(arrays[key])} clouds, a data set: give it as --data.root")
    if arrays[key].shape[1] != 3 or arrays[key].dtype.kind not in "fiu":
        kind = f"{arrays[key].shape} {arrays[key].dtype}"
        raise InputError(f"{path}: {key} are {kind}; (N, 3) numbers are needed")
    colours = next((arrays[k] for k in COLOUR_KEYS if k in arrays), None)
    colours = None if colours is None else as_colours(colours[:, :3])
    points = arrays[key] / 32767 if key == "points_i16" else arrays[key]
    return placed_cloud(points, arrays.get("normals"), colours, str(path))


def npz_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an npz. Raises InputError where it is none, or would fill the memory."""
    try:
        check_archive(path)
        with np.load(path) as file:
            return {key: file[key] for key in file.files}
    except InputError:
        raise
    except Exception as error:  # zipfile and numpy raise many kinds
        raise InputError(
            f"{path}: cannot be read as npz ({unreadable(path, str(error))})"
        ) from error


def read_npy(path: Path) -> Cloud:
    """The rows of an npy, (N, 3 and more) or (3, N)."""
    try:
        rows = np.load(path)
    except Exception as error:
        raise InputError(
            f"{path}: cannot be read as npy ({unreadable(path, str(error))})"
        ) from error
    return cloud_of_rows(rows, path)


def read_bin(path: Path) -> Cloud:
    """Float32 rows x y z, x y z intensity (KITTI), x y z intensity ring (nuScenes), or x y z r g b.

    The file does not say which. It is the width at which the columns differ most from one another:
    at a wrong one each column is a mixture of all. Raises InputError where no width fits.
    """
    size = path.stat().st_size
    widths = (5,) if path.name.lower().endswith(".pcd.bin") else WIDTHS  # nuScenes' suffix
    widths = [width for width in widths if size % (4 * width) == 0]
    values = np.fromfile(path, "<f4") if size % 4 == 0 else np.zeros(0)
    scores = {width: _separation(values[:LOOKED_AT], width) for width in widths}
    best = max(scores.values(), default=0.0)
    if best <= 0:
        raise InputError(
            f"{path}: {size} bytes are no float32 rows x y z, x y z intensity (KITTI), x y z "
            "intensity ring (nuScenes) or x y z r g b"
        )
    width = min(width for width, score in scores.items() if score >= CLEARLY * best)
    rows = values.reshape(-1, width)
    colours = as_colours(rows[:, 3:]) if width == 6 and are_colours(rows[:, 3:]) else None
    return make_cloud(rows[:, :3], None, colours, str(path))


def _separation(values: np.ndarray, width: int) -> float:
    """How far the columns' quantiles lie from those of all numbers; 0 where they are no cloud's."""
    rows = values[: len(values) // width * width].reshape(-1, width).astype(np.float64)
    rows = rows[np.isfinite(rows).all(1)]
    if not len(rows) or np.abs(rows).max() > COORDINATE or rows[:, 3:].min(initial=0) < 0:
        return 0.0  # what follows the coordinates (intensity, ring, colours) is never below 0
    columns = np.quantile(rows, QUANTILES, axis=0)  # (19, width)
    return float(np.abs(columns - np.quantile(rows, QUANTILES)[:, None]).mean()) + 1e-12
