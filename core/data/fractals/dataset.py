"""Formula-driven images as a labelled data set in which nothing is stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, get_args, get_type_hints

import numpy as np
import torch
from torch.utils.data import Dataset

from core.config import did_you_mean
from core.data.fractals.classes import IMAGE, class_system
from core.data.fractals.colour import clouds, palette
from core.data.fractals.render import POINT, draw, fill, kernels
from core.data.fractals.systems import Stream, System
from core.errors import InputError
from core.ranges import Range, check_ranges

# FractalDB's weights of a..f (its file weights_0.4): identity, then one parameter at a time
WEIGHTS = np.ones((25, 6))
WEIGHTS[1:].reshape(6, 4, 6)[range(6), :, range(6)] = (0.2, 0.6, 1.4, 1.8)
FLIPS = ((1, 1), (-1, 1), (1, -1), (-1, -1))  # steps through rows and columns
SPARSE = 0.01  # share of lit pixels below which weights are dropped
WORD = 2**32 - 1  # keys of random streams are 32-bit words, but for the instance, which is last
Key = Annotated[int, Range(0, WORD)]


@dataclass(frozen=True)
class FractalsConfig:
    """Images of iterated function systems: a class is a system, an image a rendering of it."""

    rule: Literal["fractaldb", "sigma", "1p-frac"] = "fractaldb"
    classes: Annotated[int, Range(1, WORD)] = 1000
    instances: Key = 1000  # images of each class; 0: a new one at every draw
    first: Key = 0  # number of the first instance; a validation split has numbers of its own
    seed: Key = 0
    size: Annotated[int, Range(16, 4096)] = 256  # pixels of a side
    points: Annotated[int, Range(100, 10**8)] = 100_000
    # a point is a pixel, the image's random 3x3 patch, or a patch of its own (FractalDB's code)
    stamp: Literal["point", "patch", "patches"] = "patches"
    tone: Literal["binary", "log"] = "binary"  # of pixels by their number of points
    colour: Literal["grey", "hue"] = "grey"
    background: Literal["black", "clouds"] = "black"


class FractalImages(Dataset):
    """Item i is {"image": transform(RGB PIL image), "label": int}, a pure function of i.

    Samples are ordered by class: i = label * instances + number. With `instances` 0 there is one
    sample a class, and every draw of it is another image, chosen by torch's global generator (the
    training loader seeds it by (seed, epoch, index)). classes, labels, names, source: as in
    `LabelledImages`; labels and names are computed where they are read. Systems
    are found when first asked for and kept by each process.

    Raises InputError for a field out of range, and where numba is not installed.
    """

    def __init__(self, config: FractalsConfig, transform: Callable | None = None):
        check(config)
        kernels()  # compiled here, once, and not in each of the loader's processes
        self.config, self.transform = config, transform
        self.classes = [f"{label:05d}" for label in range(config.classes)]
        self.per_class = max(1, config.instances)
        self.labels = Computed(len(self), self._label)
        self.names = Computed(len(self), self._name)
        self.source = f"fractals {config}"
        self.systems: dict[int, System] = {}

    def __len__(self) -> int:
        return self.config.classes * self.per_class

    def __getitem__(self, index: int) -> dict[str, Any]:
        from PIL import Image

        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        label, number = divmod(index, self.per_class)
        if not self.config.instances:
            number = int(torch.randint(2**48, ()))
        image = Image.fromarray(self.render(label, self.config.first + number))
        return {"image": self.transform(image) if self.transform else image, "label": label}

    def render(self, label: int, instance: int) -> np.ndarray:
        """Image (size, size, 3) uint8 of any instance, numbered from 0, of a class."""
        stream = Stream(IMAGE, self.config.seed, label, instance)
        return render_instance(self.config, self.system(label), instance, stream)

    def system(self, label: int) -> System:
        """The system that is class `label`."""
        if label not in self.systems:
            self.systems[label] = class_system(self.config.rule, self.config.seed, label)
        return self.systems[label]

    def _label(self, index: int) -> int:
        return index // self.per_class

    def _name(self, index: int) -> str:
        label, number = divmod(index, self.per_class)
        return f"{self.classes[label]}/{self.config.first + number:05d}.png"

    def __str__(self) -> str:
        return self.source


class Computed(Sequence):
    """A sequence whose items are computed when they are read: 21 million labels take no memory."""

    def __init__(self, length: int, item: Callable[[int], Any]):
        self.length, self.item = length, item

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        if not -self.length <= index < self.length:
            raise IndexError(f"item {index} of {self.length}")
        return self.item(index % self.length)


def render_instance(
    config: FractalsConfig, system: System, instance: int, stream: Stream
) -> np.ndarray:
    """Instance `instance` of a system: (size, size, 3) uint8.

    Its number chooses one of the 25 weights (instance mod 25; 0 is the system itself) and one of
    the 4 flips (instance / 25 mod 4); points, patches and colours come from the stream. Hence 1000
    instances are FractalDB's 25 weights x 4 flips x 10 patches. 1p-frac has no weights: they would
    move a system further than its classes are apart.

    Deviation: where a weighted system runs away, or lights less than 1 % of the pixels, the system
    itself is drawn; FractalDB's code draws what points there were before the overflow.
    """
    key, patch = stream.word(), 1 + stream.below(511)
    weight = 0 if config.rule == "1p-frac" else instance % len(WEIGHTS)
    counts = _draw(config, weighted(system, weight), key, patch)
    if fill(counts) < SPARSE and weight:
        counts = _draw(config, system, key, patch)
    down, right = FLIPS[instance // len(WEIGHTS) % len(FLIPS)]
    return _coloured(config, np.ascontiguousarray(counts[::down, ::right]), stream)


def weighted(system: System, weight: int) -> System:
    """All maps' parameters times row `weight` of WEIGHTS; probabilities as they were."""
    return System(system.maps * WEIGHTS[weight], system.chances)


def patch_mask(patch: int) -> np.ndarray:
    """The pixels (row, column), -1 to 1, of the 3x3 patch whose bits are `patch` (1 to 511)."""
    bits = [k for k in range(9) if patch >> k & 1]
    return np.array([(k // 3 - 1, k % 3 - 1) for k in bits], np.int64)


def _draw(config: FractalsConfig, system: System, key: int, patch: int) -> np.ndarray:
    mask = {"point": POINT, "patch": patch_mask(patch), "patches": None}[config.stamp]
    counts = draw(system, config.size, config.points, key, mask)
    return np.zeros((config.size, config.size), np.uint32) if counts is None else counts


def _coloured(config: FractalsConfig, counts: np.ndarray, stream: Stream) -> np.ndarray:
    peak = max(1, int(counts.max()))
    colours = palette(config.tone, config.colour, peak, stream)
    if config.background == "clouds":
        image = clouds(config.size, stream)
    else:
        image = np.zeros((*counts.shape, 3), np.uint8)
    kernels().colour(counts, colours, image)
    return image


def check(config: FractalsConfig) -> None:
    """Raise InputError for the first field that is out of range."""
    check_ranges(config, "fractals.")
    hints = get_type_hints(FractalsConfig)
    for field in fields(config):
        value, known = getattr(config, field.name), get_args(hints[field.name])
        if known and value not in known:
            raise InputError(f"fractals: {field.name} is {value!r}.{did_you_mean(value, known)}")
