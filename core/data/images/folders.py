"""Labelled images as a folder of class folders.

<root>/<split>/<class>/<image>   also nested deeper, and <root>/<class>/<image> (no splits)
<root>/.../<image>               without labels, in any nesting (`open_pictures`)
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from core.data.images.files import SUFFIXES
from core.data.images.labelled import LabelledImages, say, say_alike, some_of
from core.errors import InputError

# what systems put into a person's folders, beside the hidden ones
SYSTEM = (
    "@eaDir",
    "#recycle",
    "$RECYCLE.BIN",
    "System Volume Information",
    "__MACOSX",
    "lost+found",
)
SPLITS = ("train", "training", "val", "valid", "validation", "dev", "test", "testing")


def open_folder(root: Path, split: str, transform: Callable | None = None) -> LabelledImages:
    """Classes are the subfolders, sorted by name, as torchvision's ImageFolder has them.

    Hidden folders, those of systems, and what a link leads back to are not looked into; files of
    other kinds are counted and named. Raises InputError where there is no such split, no class, or
    a class without images.
    """
    folder = _split_folder(root, split)
    classes = _folders(folder)
    if not classes:
        raise InputError(_no_classes(folder))
    passed: Counter[str] = Counter()  # what is no image, by kind
    files = {name: images_below(folder / name, passed) for name in classes}  # a list for each
    if empty := [name for name in classes if not files[name]]:
        raise InputError(
            f"{folder}: {len(empty)} of {len(classes)} class folders hold no image "
            f"({', '.join(SUFFIXES)}): {some_of(empty)}. Fill or remove them"
        )
    say_alike(str(folder), classes)
    _say_passed(folder, passed)
    paths = [path for name in classes for path in files[name]]
    labels = [label for label, name in enumerate(classes) for _ in files[name]]
    names = [os.path.basename(path) for path in paths]
    return LabelledImages(str(folder), classes, labels, names, paths.__getitem__, transform)


def open_pictures(root: Path, split: str, transform: Callable | None = None) -> LabelledImages:
    """Every picture below root/split, or below root where there is no such folder; one class.

    Raises InputError where there is none.
    """
    folder = root / split if split and (root / split).is_dir() else root
    passed: Counter[str] = Counter()
    paths = images_below(folder, passed)
    if not paths:
        raise InputError(f"{folder} and the folders below hold no picture ({', '.join(SUFFIXES)})")
    _say_passed(folder, passed)
    names = [os.path.basename(path) for path in paths]
    labels = [0] * len(paths)
    return LabelledImages(str(folder), ["picture"], labels, names, paths.__getitem__, transform)


def find_images(paths: list[str], suffixes: tuple[str, ...] = SUFFIXES) -> list[Path]:
    """The given files, and what has one of the suffixes below the given folders and is not hidden.

    What else lies in the folders is counted and named by its kind. Raises InputError where a path
    does not exist, and where no path gives an image.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"{path} does not exist: give images or folders of images")
        passed: Counter[str] = Counter()
        files += map(Path, images_below(path, passed, suffixes)) if path.is_dir() else [path]
        _say_passed(path, passed)
    if paths and not files:
        raise InputError(f"no image in {', '.join(paths)}: known are {', '.join(suffixes)}")
    return files


def _split_folder(root: Path, split: str) -> Path:
    """root/split, or root itself where it holds classes and no splits."""
    if split and (root / split).is_dir():
        return root / split
    splits = [name for name in _folders(root) if name.lower() in SPLITS]
    splits += [path.stem for path in root.glob("*.npz")]
    if split and splits:
        raise InputError(f"{root} has no split {split!r}, but {', '.join(sorted(splits))}")
    return root


def _folders(folder: Path) -> list[str]:
    return sorted(e.name for e in os.scandir(folder) if e.is_dir() and not is_foreign(e.name))


def is_foreign(name: str) -> bool:
    """Whether a folder of this name is hidden, or a system's own."""
    return name.startswith(".") or name in SYSTEM


def images_below(
    folder: Path, passed: Counter[str] | None = None, suffixes: tuple[str, ...] = SUFFIXES
) -> list[str]:
    """The images of a folder and of those in it; ``passed`` counts what lies there and is none.

    Raises InputError for a folder that may not be looked into.
    """
    passed, paths = Counter() if passed is None else passed, []
    for place, names in sorted(_walk(folder)):  # ImageFolder's order
        for name in sorted(names):
            if name.startswith("."):
                passed["hidden"] += 1
            elif name.lower().endswith(suffixes):
                paths.append(os.path.join(place, name))
            else:
                passed[os.path.splitext(name)[1] or "no suffix"] += 1
    return paths


def _walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Each folder once, and its files: a link may lead back to one that was there before.

    Or to one above the folder itself, where the other classes are: that is not walked into.
    """
    seen = {_identity(above) for above in folder.resolve().parents}
    for place, inner, names in os.walk(folder, onerror=_refuse, followlinks=True):
        if _identity(place) in seen:
            inner.clear()
            continue
        seen.add(_identity(place))
        inner[:] = sorted(name for name in inner if not is_foreign(name))
        yield place, names


def _refuse(error: OSError) -> None:
    """os.walk would pass over what it cannot list without a word."""
    raise InputError(
        f"{error.filename}: {error.strerror}: allow its reading, or move it out of there"
    ) from error


def _identity(folder: str | Path) -> tuple[int, int]:
    state = os.stat(folder)
    return state.st_dev, state.st_ino


def _say_passed(folder: Path, passed: Counter[str]) -> None:
    if passed:
        kinds = [f"{count} {kind}" for kind, count in passed.most_common()]
        total = sum(passed.values())
        say(f"note: {folder}: {total} files are no images and passed over: {some_of(kinds, 8)}")


def _no_classes(folder: Path) -> str:
    names = [name for name in os.listdir(folder) if name.lower().endswith(SUFFIXES)]
    if any(name.startswith("ILSVRC2012_val_") for name in names):
        return (
            f"{folder} is ImageNet's flat validation folder ({len(names)} images): move each file "
            "into a folder named after its class's synset (n01440764, ...), 1,000 folders"
        )
    return f"{folder} holds no class folders: expected {folder}/<class>/<image>"
