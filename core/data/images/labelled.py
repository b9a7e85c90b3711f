"""Labelled images by index: the one data set that every reader of stored images returns.

Readers (`folders.py`, `packed.py`, `hub.py`, `core.data.streams.shards`) hand over what they read
in one order: source, classes, then for each image its label and name, and `read`, which fetches it
still encoded. What is stored of one sample has the same order: image, label, name
(`core.data.streams.tar_shard`). `core.data.sources` chooses the reader.
"""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch.utils.data import Dataset

from core.data.images.files import PILLOWS, PixelLimit, decode
from core.data.loading import BadSample
from core.errors import InputError, first_line
from core.ranges import Count, Whole, Workers


@dataclass(frozen=True)
class ImagesConfig:
    """Labelled images."""

    # a folder of class folders or of tar shards; hub:<name>[@config][#columns]; a packed .npz
    root: str = ""
    split: str = "val"  # ignored where the root has none
    skip_bad: Whole = 0  # unreadable images to leave out before stopping; each one is named
    # of a decoded image; a larger JPEG is read at 1/2, 1/4 or 1/8. 0: up to Pillow's own limit, 179
    # million, all at full size, as published figures have it
    max_pixels: Whole = 0
    stream: bool = False  # read a hub: set in turn, without downloading it; tar shards always are
    buffer: Count = 10_000  # streams: images that a process holds, encoded, to shuffle them
    retries: Whole = 5  # streams: how often reading is tried again, at growing intervals
    workers: Workers = 2  # loader processes for each process that reads these images

    def limit(self, section: str) -> PixelLimit:
        """Its limit, where these settings are called ``section``."""
        return PixelLimit(self.max_pixels, f"--{section}.max-pixels")


@dataclass(frozen=True)
class TrainImagesConfig(ImagesConfig):
    """Labelled images to train on."""

    split: str = "train"
    # hold all of them decoded at this side in the device's memory, and augment them there a batch
    # at a time (core/data/batched); `workers` then have nothing to do. 0: read them as they come
    on_device: Whole = 0


class LabelledImages(Dataset):
    """Images with a class each; item i is {"image": transform(RGB image), "label": int}.

    source: what was opened (equal sources are the same images); classes: names; labels: (N,)
    indices into them; names: (N,) the files' base names, or the index where there are no files.
    limit: as `decode` has it. An image that cannot be read raises BadSample when it is asked
    for. Raises InputError where there is no image, or a label without a class.
    """

    def __init__(
        self,
        source: str,
        classes: Sequence[str],
        labels: Sequence[int],
        names: Sequence[str],
        read: Callable[[int], str | bytes],
        transform: Callable | None = None,
        limit: PixelLimit = PILLOWS,
    ):
        self.source, self.classes, self.names = source, list(classes), list(names)
        self.limit = limit
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
        if not data:
            raise BadSample(f"{self.source} [{self.names[index]}]", "holds no image")
        try:
            image = decode(data, self.limit)
        except Exception as error:  # decoders raise many kinds
            where = data if isinstance(data, str) else f"{self.source} [{self.names[index]}]"
            raise BadSample(where, f"cannot be read ({first_line(error)})") from error
        image = self.transform(image) if self.transform else image
        return {"image": image, "label": self.labels[index]}

    def relabelled(self, classes: Sequence[str]) -> LabelledImages:
        """The same images, labelled by the positions of their classes' names in ``classes``.

        Raises InputError where one of them is not there.
        """
        index = {name: i for i, name in enumerate(classes)}
        if missing := [name for name in self.classes if name not in index]:
            raise InputError(f"{self.source} has unknown classes: {some_of(missing)}")
        labels = [index[self.classes[label]] for label in self.labels]
        return self._with(classes, labels, self.names, self.read)

    def at(self, places: Sequence[int]) -> LabelledImages:
        """The images at these places, with all the classes."""
        labels, names = ([values[i] for i in places] for values in (self.labels, self.names))
        read = partial(_read_at, self.read, list(places))  # no lambda: loader processes receive it
        return self._with(self.classes, labels, names, read)

    def _with(self, classes, labels, names, read) -> LabelledImages:
        options = {"transform": self.transform, "limit": self.limit}
        return LabelledImages(self.source, classes, labels, names, read, **options)

    def __str__(self) -> str:
        return self.source


def _read_at(read: Callable, places: Sequence[int], index: int) -> str | bytes:
    return read(places[index])


def say(words: str) -> None:
    """Print once on stderr, however many processes open the same data."""
    if int(os.environ.get("RANK", 0)) == 0:
        print(words, file=sys.stderr, flush=True)


def say_alike(source: str, classes: Sequence[str]) -> None:
    """Print a note on `alike` classes."""
    for first, name in alike(classes):
        say(f"note: {source} has classes {first!r} and {name!r}: if they are one, name them so")


def alike(names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of names that differ by capitals, marks for a space or accents' encoding alone."""
    seen: dict[str, str] = {}
    pairs = []
    for name in names:
        plain = unicodedata.normalize("NFC", name).casefold()
        first = seen.setdefault(re.sub(r"[\s_-]+", " ", plain).strip(), name)
        if first != name:
            pairs.append((first, name))
    return pairs


def some_of(names: Sequence[str], limit: int = 5) -> str:
    """The first few names, and how many follow."""
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
