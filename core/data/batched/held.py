"""All images of a data set decoded, in the memory of the device that trains on them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor
from torch.utils.data import Dataset

from core.data.batched.draws import EpochDraws
from core.data.batched.transform import BatchTransform
from core.data.loading import BadSample, SampleOrder, check_batch, refuse_bad
from core.data.samples import with_transform
from core.errors import InputError


class HeldImages(Dataset):
    """images uint8 (N, 3, h, w) and labels int64 (N,) on one device; `transform` makes batches."""

    def __init__(self, source: str, classes: Sequence[str], images: Tensor, labels: Tensor):
        self.source, self.classes = source, list(classes)
        self.images, self.labels = images, labels
        self.transform: BatchTransform | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __str__(self) -> str:
        return self.source


def hold(
    images: Dataset,
    side: int,
    device: torch.device | str,
    skip_bad: int = 0,
    on_bad: Callable[[str, str], None] | None = None,
) -> HeldImages:
    """Decode labelled images (by index) at `side` x `side`, squashed, onto the device.

    An unreadable one is replaced by the next readable one, as by the loaders, and named to `on_bad`
    (path, reason); more than `skip_bad` raise InputError. So do images that do not fit in memory,
    and a stream, which has no index.
    """
    if not hasattr(images, "__getitem__"):
        raise InputError(f"{images} is a stream: it cannot be held on the device (on_device)")
    if side < 1:
        raise InputError(f"on_device is {side}: a side in pixels, or 0 to read images as they come")
    _check_memory(images, side, torch.device(device))
    pixels = torch.empty(len(images), 3, side, side, dtype=torch.uint8)
    labels = torch.empty(len(images), dtype=torch.int64)
    bad: dict[int, BadSample] = {}  # by index
    for index, row in enumerate(_rows(with_transform(images, _Squashed(side)))):
        if isinstance(row, BadSample):
            bad[index] = row
            _account(bad, skip_bad, on_bad)
        else:
            pixels[index] = torch.from_numpy(row["image"]).permute(2, 0, 1)
            labels[index] = row["label"]
    substitutes = _substitutes(images, bad)
    pixels[list(bad)], labels[list(bad)] = pixels[substitutes], labels[substitutes]
    return HeldImages(str(images), images.classes, pixels.to(device), labels.to(device))


def _rows(images: Dataset) -> Iterator[dict[str, Any] | BadSample]:
    """All samples in order, read by as many threads as there are cores."""

    def read(index: int) -> dict[str, Any] | BadSample:
        try:
            return images[index]
        except BadSample as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoders and resizing release the GIL
        yield from pool.map(read, range(len(images)))


def _account(
    bad: dict[int, BadSample], skip_bad: int, on_bad: Callable[[str, str], None] | None
) -> None:
    """Name the newest of the bad samples; InputError if they are too many."""
    newest = next(reversed(bad.values()))
    if on_bad:
        on_bad(newest.path, newest.reason)
    refuse_bad({error.path: error.reason for error in bad.values()}, skip_bad)


def _substitutes(images: Dataset, bad: dict[int, BadSample]) -> list[int]:
    """For each bad index the next one that could be read."""
    if len(bad) == len(images):
        raise InputError(f"{images}: no sample can be read, {bad[0].path} is one")
    found = []
    for index in bad:
        while index in bad:
            index = (index + 1) % len(images)
        found.append(index)
    return found


class _Squashed:
    """An RGB PIL image as uint8 (side, side, 3); one of that size as it is."""

    def __init__(self, side: int):
        self.side = side

    def __call__(self, image) -> np.ndarray:
        from PIL.Image import Resampling

        size = (self.side, self.side)
        return np.array(image if image.size == size else image.resize(size, Resampling.BILINEAR))


def _check_memory(images: Dataset, side: int, device: torch.device) -> None:
    """They are decoded in the machine's memory, whatever device they go to."""
    needed, free = len(images) * 3 * side * side, {"cpu": psutil.virtual_memory().available}
    if device.type == "cuda":
        free[str(device)] = torch.cuda.mem_get_info(device)[0]
    for place, room in free.items():
        if needed > room:
            raise InputError(
                f"{len(images):,} images of {side} pixels take {needed / 2**30:.1f} GiB, "
                f"{place} has {room / 2**30:.1f} free: hold them smaller, or read them as they "
                "come (on_device 0)"
            )


class HeldLoader:
    """Endless micro-batches of one process, as `TrainLoader`'s: same order, from any one on.

    size_of: (H, W) of micro-batch m. What a sample draws depends on the seed, the epoch and its
    index, so that any number of processes sees the same pictures; but for the noise of erasing,
    which is of the micro-batch and the process.
    """

    def __init__(
        self,
        dataset: HeldImages,
        batch_size: int,
        *,
        size_of: Callable[[int], tuple[int, int]],
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ):
        self.dataset, self.batch_size, self.size_of = dataset, batch_size, size_of
        self.seed, self.rank, self.world = seed, rank, world

    def batches(self, start: int = 0) -> Iterator[dict[str, Tensor]]:
        """Endless micro-batches from the one of number ``start`` on."""
        check_batch(self.batch_size, 4 * 3 * math.prod(self.size_of(start)))  # float32
        length = len(self.dataset)
        order = SampleOrder(length, self.batch_size, self.seed, self.rank, self.world, start)
        draws = EpochDraws(self.seed, length, self.dataset.transform.columns)
        noise = torch.Generator(self.dataset.images.device)
        for micro, keys in enumerate(order, start=start):
            epochs, indices = zip(*keys, strict=True)
            noise.manual_seed(hash((self.seed, micro, self.rank)) % 2**63)
            chosen = torch.tensor(indices).to(self.dataset.images.device, non_blocking=True)
            drawn = draws.of(epochs, indices)
            pixels = self.dataset.images[chosen]
            pixels = self.dataset.transform(pixels, drawn, self.size_of(micro), noise)
            yield {"image": pixels, "label": self.dataset.labels[chosen]}
