"""Labelled images from class folders, Hub data sets and packed .npz files, as one data set.

    <root>/<split>/<class>/<image>      also nested deeper, and <root>/<class>/<image> (no splits)
    hub:<name>[@config][#columns]       a Hub data set, or a local folder that `datasets` can read
    <file>.npz or <root>/<split>.npz    blob (bytes) uint8, offsets (N+1) int64, labels (N), names
                                        of the classes; image i is blob[offsets[i]:offsets[i+1]]

Every image becomes 8-bit RGB: alpha is dropped, CMYK, grey and palettes are converted, 16-bit grey
is divided by 257. A JPEG's EXIF orientation is not applied: neither torchvision's ImageFolder nor
TensorFlow's decoder applies it, so published ImageNet figures are without it.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from core.data.loading import BadSample
from core.errors import InputError
from core.models.weights.formats import first_line

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
SPLITS = ("train", "training", "val", "valid", "validation", "dev", "test", "testing")
PACKED = ("blob", "offsets", "labels", "names")


@dataclass(frozen=True)
class ImagesConfig:
    """Labelled images."""

    # a folder of class folders or of tar shards; hub:<name>[@config][#columns]; a packed .npz
    root: str = ""
    split: str = "val"  # ignored where the root has none
    skip_bad: int = 0  # unreadable images to leave out before stopping; each one is named
    stream: bool = False  # read a hub: set in turn, without downloading it; tar shards always are
    buffer: int = 10_000  # streams: images that a process holds, encoded, to shuffle them
    retries: int = 5  # streams: how often reading is tried again, at growing intervals


class LabelledImages(Dataset):
    """Images with a class each; item i is {"image": transform(RGB image), "label": int}.

    source: what was opened (equal sources are the same images); classes: names; labels: (N,)
    indices into them; names: (N,) the files' base names, or the index where there are no files.
    max_pixels: as `decode` has it. An image that cannot be read raises BadSample when it is asked
    for.
    """

    def __init__(
        self,
        source: str,
        classes: Sequence[str],
        labels: Sequence[int],
        names: Sequence[str],
        read: Callable[[int], str | bytes],
        transform: Callable | None = None,
        max_pixels: int = 0,
    ):
        self.source, self.classes, self.names = source, list(classes), list(names)
        self.max_pixels = max_pixels
        self.labels = [int(label) for label in labels]
        self.read, self.transform = read, transform  # read(i): a path, or an encoded image
        if not self.labels:
            raise InputError(f"{source} holds no images")
        low, high = min(self.labels), max(self.labels)
        if low < 0 or high >= len(self.classes):
            raise InputError(
                f"{source} has labels from {low} to {high} for {len(self.classes)} classes: "
                "a split without labels?"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        data = self.read(index)
        try:
            image = decode(data, self.max_pixels)
        except Exception as error:  # decoders raise many kinds
            where = data if isinstance(data, str) else f"{self.source} [{self.names[index]}]"
            raise BadSample(where, f"cannot be read ({first_line(error)})") from error
        image = self.transform(image) if self.transform else image
        return {"image": image, "label": self.labels[index]}

    def relabelled(self, classes: Sequence[str]) -> LabelledImages:
        """The same images, labelled by the positions of their classes' names in ``classes``."""
        index = {name: i for i, name in enumerate(classes)}
        if missing := [name for name in self.classes if name not in index]:
            raise InputError(f"{self.source} has unknown classes: {_some(missing)}")
        labels = [index[self.classes[label]] for label in self.labels]
        options = {"transform": self.transform, "max_pixels": self.max_pixels}
        return LabelledImages(self.source, classes, labels, self.names, self.read, **options)

    def __str__(self) -> str:
        return self.source


def open_images(root: str, split: str, transform: Callable | None = None) -> LabelledImages:
    """The images of a folder, Hub data set or packed file (see the module's docstring).

    Raises InputError where there is no such root or split, no class, or a class without images.
    """
    if not root:
        raise InputError(f"no {split} images given: the root is a folder, hub:<name> or a .npz")
    if root.startswith("hub:"):
        from core.data.images.hub import open_hub

        return open_hub(root, split, transform)
    path = Path(root).expanduser()
    packed = path if path.suffix == ".npz" else path / f"{split}.npz"
    if packed.is_file():
        return _open_packed(packed, transform)
    if not path.is_dir():
        raise InputError(f"{root} is no folder and no packed .npz (a Hub data set is hub:<name>)")
    return _open_folder(_split_folder(path, split), transform)


def find_images(paths: list[str], suffixes: tuple[str, ...] = SUFFIXES) -> list[Path]:
    """The given files, and what has one of the suffixes below the given folders.

    Raises InputError for neither.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"{path} does not exist: give images or folders of images")
        inside = (p for p in sorted(path.rglob("*")) if p.suffix.lower() in suffixes)
        found += inside if path.is_dir() else [path]
    if paths and not found:
        raise InputError(f"no image in {', '.join(paths)}: known are {', '.join(suffixes)}")
    return found


def decode(data: str | bytes, max_pixels: int = 0):
    """An encoded image, or the file at a path, as an 8-bit RGB PIL image.

    A JPEG of more than `max_pixels` is decoded at 1/2, 1/4 or 1/8 of its sides, so that no more
    memory is needed; what is larger still is a ValueError. 0: whatever Pillow takes, which warns
    from 89 million pixels on and refuses 179 million. It refuses them in other formats anyway.
    """
    source = io.BytesIO(data) if isinstance(data, bytes) else data
    with _open_large(source) if max_pixels else _open(source) as image:
        if max_pixels:
            _shrink(image, max_pixels)
        image.load()
        return to_rgb(image)


def _open(source: str | io.BytesIO):
    from PIL import Image

    return Image.open(source)


def _open_large(source: str | io.BytesIO):
    """A file whose size `_shrink` looks after. A JPEG is opened past Pillow's own limit."""
    from PIL.Image import DecompressionBombError, DecompressionBombWarning
    from PIL.JpegImagePlugin import JpegImageFile

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DecompressionBombWarning)
        try:
            return _open(source)
        except DecompressionBombError as error:
            if isinstance(source, io.BytesIO):
                source.seek(0)
            try:
                return JpegImageFile(source)
            except SyntaxError:  # no JPEG
                raise error from None


def _shrink(image, most: int) -> None:
    """Have an opened JPEG decoded at the first of 1, 1/2, 1/4, 1/8 that has `most` pixels or fewer.

    It can be asked once.
    """
    width, height = image.size
    sizes = {divisor: -(-width // divisor) * -(-height // divisor) for divisor in (1, 2, 4, 8)}
    divisor = next((divisor for divisor, size in sizes.items() if size <= most), 8)
    image.draft(None, (max(1, width // divisor), max(1, height // divisor)))
    if image.width * image.height > most:
        raise ValueError(f"{width} x {height} pixels are more than max_pixels, {most}: raise it")


def to_rgb(image):
    """8-bit RGB of a PIL image of any mode but 32-bit float, whose range nothing tells."""
    from PIL import Image

    if image.mode == "F":
        raise ValueError("a 32-bit float image has no agreed range: store 8 or 16 bits")
    if image.mode.startswith("I"):  # 16-bit grey; Pillow clips it where it should scale
        levels = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        image = Image.fromarray(np.round(levels / 257).astype(np.uint8))
    elif image.mode == "P":  # with transparency in its palette Pillow asks for this detour
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")


def _split_folder(root: Path, split: str) -> Path:
    """root/split, or root itself where it holds classes and no splits."""
    if split and (root / split).is_dir():
        return root / split
    splits = [name for name in _folders(root) if name.lower() in SPLITS]
    splits += [path.stem for path in root.glob("*.npz")]
    if split and splits:
        raise InputError(f"{root} has no split {split!r}, but {', '.join(sorted(splits))}")
    return root


def _open_folder(folder: Path, transform: Callable | None) -> LabelledImages:
    """Classes are the subfolders, sorted by name, as torchvision's ImageFolder has them."""
    classes = _folders(folder)
    if not classes:
        raise InputError(_no_classes(folder))
    files = [_images_below(folder / name) for name in classes]
    if empty := [name for name, found in zip(classes, files, strict=True) if not found]:
        raise InputError(
            f"{folder}: {len(empty)} of {len(classes)} class folders hold no image "
            f"({', '.join(SUFFIXES)}): {_some(empty)}. Fill or remove them"
        )
    paths = [path for found in files for path in found]
    labels = [label for label, found in enumerate(files) for _ in found]
    names = [os.path.basename(path) for path in paths]
    return LabelledImages(str(folder), classes, labels, names, paths.__getitem__, transform)


def _folders(folder: Path) -> list[str]:
    return sorted(e.name for e in os.scandir(folder) if e.is_dir() and not e.name.startswith("."))


def _images_below(folder: Path) -> list[str]:
    found = []
    for place, _, names in sorted(os.walk(folder, followlinks=True)):
        images = (n for n in sorted(names) if n.lower().endswith(SUFFIXES) and n[0] != ".")
        found += [os.path.join(place, name) for name in images]
    return found


def _no_classes(folder: Path) -> str:
    names = [name for name in os.listdir(folder) if name.lower().endswith(SUFFIXES)]
    if any(name.startswith("ILSVRC2012_val_") for name in names):
        return (
            f"{folder} is ImageNet's flat validation folder ({len(names)} images): move each file "
            "into a folder named after its class's synset (n01440764, ...), 1,000 folders"
        )
    return f"{folder} holds no class folders: expected {folder}/<class>/<image>"


def _open_packed(path: Path, transform: Callable | None) -> LabelledImages:
    try:
        with np.load(path, allow_pickle=False) as file:
            blob, offsets, labels, classes = (file[name] for name in PACKED)
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


def _some(names: Sequence[str], limit: int = 5) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
