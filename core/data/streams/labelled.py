"""Labelled images that are read in turn: tar shards, and Hub data sets without downloading them.

A stream knows how many samples each of its shards holds, and reads a shard from any sample on. In
which order is not its business (`core.data.streams.order`). Images become 8-bit RGB as everywhere
(`core.data.images.files`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from core.data.images.files import PILLOWS, PixelLimit, decode
from core.data.loading import BadSample
from core.data.streams.tar_shard import Sample
from core.errors import InputError, first_line

PAUSE = 1.0  # seconds before the first retry; it doubles with each


class StreamEnded(InputError):
    """A shard could not be read any further, however often it was tried."""


class LabelledStream:
    """Shards of images with a class each; a sample becomes {"image": ..., "label": int}.

    source: what was opened; classes: names; shards: the shards' names; lengths: samples in each;
    read(shard, start): its samples from number ``start`` on, OSError where the connection fails.
    buffer: samples that each process holds to shuffle them; retries: how often reading is tried
    again, at growing intervals from ``pause`` seconds. damaged: shards that break off, and why.
    limit: as `core.data.images.files.decode` has it.
    """

    def __init__(
        self,
        source: str,
        classes: Sequence[str],
        shards: Sequence[str],
        lengths: Sequence[int],
        read: Callable[[int, int], Iterator[Sample]],
        transform: Callable | None = None,
        *,
        buffer: int = 10_000,
        retries: int = 5,
        damaged: Sequence[tuple[str, str]] = (),
        limit: PixelLimit = PILLOWS,
    ):
        if not sum(lengths):
            raise InputError(f"{source} holds no images")
        if buffer < 1 or retries < 0:
            raise InputError(f"buffer is {buffer}, retries {retries}: at least 1, and 0")
        self.source, self.classes, self.shards = source, list(classes), list(shards)
        self.lengths, self.read, self.transform = list(lengths), read, transform
        self.buffer, self.retries, self.pause = buffer, retries, PAUSE
        self.damaged, self.limit = list(damaged), limit

    def __len__(self) -> int:
        return sum(self.lengths)

    def __str__(self) -> str:
        return self.source

    def samples(self, shard: int, start: int) -> Iterator[Sample]:
        """``read`` that goes on where it was interrupted. Raises StreamEnded."""
        position, failures = start, 0
        while True:
            try:
                for sample in self.read(shard, position):
                    position, failures = position + 1, 0
                    yield sample
                return
            except OSError as error:
                failures += 1
                self._wait(f"{self.shards[shard]} [{position}]: {first_line(error)}", failures)

    def _wait(self, failed: str, failures: int) -> None:
        if failures > self.retries:
            raise StreamEnded(f"{failed}. {self.retries} retries did not help")
        pause = self.pause * 2 ** (failures - 1)
        print(f"{failed}. Trying again in {pause:g} s", file=sys.stderr, flush=True)
        time.sleep(pause)

    def item(self, shard: int, index: int, sample: Sample | None) -> dict[str, Any]:
        """What training sees of a sample. Raises BadSample, and InputError for a wrong label.

        None stands for a sample behind the end of a shard that breaks off; it is the shard that is
        bad then, however many they are.
        """
        if sample is None:
            reason = f"breaks off: {self.lengths[shard]} samples expected"
            raise BadSample(self.shards[shard], dict(self.damaged).get(self.shards[shard], reason))
        where = f"{self.shards[shard]} [{sample.name or index}]"
        if not 0 <= sample.label < len(self.classes):
            raise InputError(f"{where} has label {sample.label} of {len(self.classes)} classes")
        if not sample.data:
            raise BadSample(where, "holds no image")
        try:
            image = decode(sample.data, self.limit)
        except Exception as error:  # decoders raise many kinds
            raise BadSample(where, f"cannot be read ({first_line(error)})") from error
        image = self.transform(image) if self.transform else image
        return {"image": image, "label": sample.label}
