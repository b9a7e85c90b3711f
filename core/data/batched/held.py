"""All images of a data set decoded, in the memory of the device that trains on them."""

from __future__ import annotations

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
from core.data.loading import BadSample, SampleOrder, refuse_bad
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
    _check_memory(images, side, torch.device(device))
    read = _Reader(with_transform(images, _Squashed(side)), skip_bad, on_bad)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoders and resizing release the GIL
        rows = list(pool.map(read, range(len(images))))
    read.check()
    pixels = torch.from_numpy(np.stack([row["image"] for row in rows]))
    pixels = pixels.permute(0, 3, 1, 2).contiguous()
    labels = torch.tensor([row["label"] for row in rows])
    return HeldImages(str(images), images.classes, pixels.to(device), labels.to(device))


class _Squashed:
    """An RGB PIL image as uint8 (side, side, 3); one of that size as it is."""

    def __init__(self, side: int):
        self.side = side

    def __call__(self, image) -> np.ndarray:
        from PIL.Image import Resampling

        size = (self.side, self.side)
        return np.array(image if image.size == size else image.resize(size, Resampling.BILINEAR))


class _Reader:
    """Sample i, or the next one that can be read."""

    def __init__(self, images: Dataset, skip_bad: int, on_bad: Callable[[str, str], None] | None):
        self.images, self.skip_bad, self.on_bad = images, skip_bad, on_bad
        self.bad: dict[str, str] = {}

    def __call__(self, index: int) -> dict[str, Any]:
        for place in range(index, index + self.skip_bad + 1):
            try:
                return self.images[place % len(self.images)]
            except BadSample as error:
                self.bad[error.path] = error.reason
        self.check()
        raise InputError(f"{self.images}: no sample can be read, {next(iter(self.bad))} is one")

    def check(self) -> None:
        """Name the bad ones; InputError if there are too many."""
        for path, reason in self.bad.items():
            if self.on_bad:
                self.on_bad(path, reason)
        refuse_bad(self.bad, self.skip_bad)


def _check_memory(images: Dataset, side: int, device: torch.device) -> None:
    needed = len(images) * 3 * side * side
    if device.type == "cuda":
        free, needed_in_all = torch.cuda.mem_get_info(device)[0], needed
    else:  # they are stacked once
        free, needed_in_all = psutil.virtual_memory().available, 2 * needed
    if needed_in_all > free:
        raise InputError(
            f"{len(images):,} images of {side} pixels take {needed_in_all / 2**30:.1f} GiB, "
            f"{device} has {free / 2**30:.1f} free: hold them smaller, or read them as they come "
            "(on_device 0)"
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
        length = len(self.dataset)
        order = SampleOrder(length, self.batch_size, self.seed, self.rank, self.world, start)
        draws = EpochDraws(self.seed, length)
        noise = torch.Generator(self.dataset.images.device)
        for micro, keys in enumerate(order, start=start):
            epochs, indices = zip(*keys, strict=True)
            noise.manual_seed(hash((self.seed, micro, self.rank)) % 2**63)
            chosen = torch.tensor(indices).to(self.dataset.images.device, non_blocking=True)
            drawn = draws.of(epochs, indices)
            pixels = self.dataset.images[chosen]
            pixels = self.dataset.transform(pixels, drawn, self.size_of(micro), noise)
            yield {"image": pixels, "label": self.dataset.labels[chosen]}
