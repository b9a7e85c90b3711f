"""Stages that overlap: threads between them, people of several frames in one batch, their times.

Decoding, cropping, drawing and encoding spend their time in OpenCV, FFmpeg and Pillow, and the
network in torch; all of them let other threads of Python run meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Full, Queue
from typing import Any, TypeVar

import numpy as np

from core.tables import Table

Item = TypeVar("Item")
Result = TypeVar("Result")
Boxes = list[tuple[list[float], float]]  # (x, y, width, height) in pixels, score

MOST_FRAMES = 16  # of a group, whose people go through the network together
MOST_PIXELS = 16e6  # of a group: 17 frames of 720p, one large photograph
WORKERS = 2  # threads for reading images, and for drawing


@dataclass
class Frame:
    """An image, or a frame of a video, and who is in it. N people, K keypoints."""

    path: Path
    number: int  # of a frame in its video, from 0; of an image in the list of images
    image: np.ndarray  # (h, w, 3) uint8 RGB
    video: bool = False
    fps: float = 25.0  # of the video
    time: float | None = None  # seconds from the video's start, where it says; else by fps
    boxes: Boxes = field(default_factory=list)
    points: np.ndarray | None = None  # (N, K, 2) pixels; None where nobody is
    scores: np.ndarray | None = None  # (N, K)
    areas: np.ndarray | None = None  # (N,) of their crops, square pixels
    ids: list[int] | None = None  # of the people of a video, from 1
    image_id: int | None = None  # of an image of a json
    categories: list[int] | None = None  # of its people, there

    @property
    def seconds(self) -> float:
        """When a frame of a video is seen: with a varying frame rate not its number by the rate."""
        return self.number / self.fps if self.time is None else self.time

    def __str__(self) -> str:
        return f"{self.path} frame {self.number}" if self.video else str(self.path)


class Clock:
    """Seconds that each stage was at work: its threads' time added, waiting for others left out."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self.seconds[stage] = self.seconds.get(stage, 0) + time.perf_counter() - start

    def timed(self, stage: str, items: Iterable[Item]) -> Iterator[Item]:
        """The same items, and the time that making them took."""
        with closed(items):
            iterator = iter(items)
            while True:
                with self(stage):
                    item = next(iterator, _END)
                if item is _END:
                    return
                yield item

    def lines(self, frames: int, seconds: float) -> list[str]:
        """A table: of each stage the time for a frame, and its share of the whole run's seconds."""
        rows = [
            (stage, 1e3 * spent / max(frames, 1), spent / seconds)
            for stage, spent in self.seconds.items()
        ]
        columns, forms = ("stage", "ms/frame", "busy"), {"ms/frame": "{:.2f}", "busy": "{:.0%}"}
        return Table("", columns, rows, forms=forms).text(indent="  ").splitlines()


@contextmanager
def closed(items: Iterable) -> Iterator[None]:
    """Close a generator at the end of the block, so that its files and threads end with it."""
    try:
        yield
    finally:
        if close := getattr(items, "close", None):
            close()


def grouped(frames: Iterable[Frame]) -> Iterator[list[Frame]]:
    """Frames in lists of at most MOST_FRAMES and MOST_PIXELS, but of one at least."""
    group, pixels = [], 0
    with closed(frames):
        for frame in frames:
            size = frame.image.shape[0] * frame.image.shape[1]
            if group and (len(group) == MOST_FRAMES or pixels + size > MOST_PIXELS):
                yield group
                group, pixels = [], 0
            group.append(frame)
            pixels += size
        if group:
            yield group


def chain(groups: Iterable[list[Item]]) -> Iterator[Item]:
    """The items of the groups, one by one."""
    with closed(groups):
        for group in groups:
            yield from group


def applied(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Python's map, which closes ``items`` with itself."""
    with closed(items):
        yield from map(function, items)


def prefetch(items: Iterable[Item]) -> Iterator[Item]:
    """The same items in the same order, made by a thread that is at most two items ahead.

    What it raises is raised here. When this generator is closed the thread ends, and closes
    ``items``.
    """
    queue, stop = Queue(1), threading.Event()
    thread = threading.Thread(target=_fill, args=(items, queue, stop), daemon=True)
    thread.start()
    try:
        while True:
            item, error = queue.get()
            if error:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stop.set()
        thread.join()


def _fill(items: Iterable, queue: Queue, stop: threading.Event) -> None:
    error = None
    try:
        with closed(items):
            for item in items:
                if not _put(queue, (item, None), stop):
                    return
    except BaseException as raised:
        error = raised
    _put(queue, (_END, error), stop)


def _put(queue: Queue, value: Any, stop: threading.Event) -> bool:
    """Whether there was room before ``stop`` was set."""
    while not stop.is_set():
        try:
            queue.put(value, timeout=0.05)
            return True
        except Full:
            continue
    return False


def mapped(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int = WORKERS
) -> Iterator[Result]:
    """``function`` of each item, in their order, by threads that are a few items ahead."""
    with closed(items), ThreadPoolExecutor(workers) as pool:
        waiting: deque = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


_END = object()
