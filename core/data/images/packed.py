"""Labelled images packed into one .npz, still encoded.

<file>.npz or <root>/<split>.npz    blob (bytes) uint8, offsets (N+1) int64, labels (N), names
                                    of the classes; image i is blob[offsets[i]:offsets[i+1]]
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from core.data.images.labelled import LabelledImages
from core.errors import InputError, first_line
from core.files import check_archive

PACKED = ("blob", "offsets", "labels", "names")  # names: of the classes


def open_packed(path: Path, transform: Callable | None = None) -> LabelledImages:
    """The images of one file. Raises InputError where it is none, or its parts do not fit."""
    try:
        check_archive(path)
        with np.load(path, allow_pickle=False) as file:
            blob, offsets, labels, classes = (file[name] for name in PACKED)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{path} is no packed image file ({first_line(error)}): it needs {', '.join(PACKED)}"
        ) from error
    if len(offsets) != len(labels) + 1 or offsets[-1] > len(blob) or (np.diff(offsets) < 0).any():
        raise InputError(
            f"{path}: {len(offsets)} offsets up to {offsets[-1]} do not fit {len(labels)} labels "
            f"and {len(blob)} bytes: offsets must ascend, one more than labels"
        )
    names = [str(i) for i in range(len(labels))]
    read = partial(_packed_bytes, blob, offsets)
    return LabelledImages(str(path), map(str, classes), labels, names, read, transform)


def _packed_bytes(blob: np.ndarray, offsets: np.ndarray, index: int) -> bytes:
    return blob[offsets[index] : offsets[index + 1]].tobytes()
