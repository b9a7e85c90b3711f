"""Videos and cameras as frames, and frames as a video: by OpenCV, whose wheels hold FFmpeg.

What OpenCV's wheels can encode is MPEG-4 part 2 ("mp4v") and a few older formats, not H.264: every
player shows it, few browsers do (`ffmpeg -i out.mp4 -c:v libx264 web.mp4` makes one for them).
There is no sound, and the frame rate is constant: the source's, or where that varies the one of its
closest frames, and a frame is repeated for as long as it is seen (`uneven_rate`).
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

# FFmpeg would describe each damaged macroblock. What is wrong is said once, here.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "8")  # fatal; read when OpenCV first opens a video
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")

# isort: split
import cv2
import numpy as np

from core.data.loading import BadSample
from core.errors import InputError

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm")
USUAL_FPS = 25.0  # where a file or a camera does not say
FOURCC = cv2.VideoWriter_fourcc(*"mp4v")
SUFFIX = ".mp4"
FIRST = 300  # frames whose times tell whether a rate varies
UNEVEN = 1.2  # how far a gap is from the middle one where it does: times may be milliseconds
FASTEST = 120.0  # frames a second that a film of a varying rate is written at
REPEATED = 10  # frames of such a film for one of the source, at most
LONGEST = 600.0  # seconds between two frames; more is no time that a frame was seen


class VideoReader:
    """The frames of a video file, once: (number from 0, (h, w, 3) uint8 RGB).

    fps: the mean; count: frames by the file's header, 0 where it does not say; decoded: frames so
    far; time: seconds of the last one by its time stamp, None where it has none. Raises BadSample
    where the file is no video that FFmpeg can open, or holds no frame.
    """

    time: float | None = None

    def __init__(self, path: Path):
        self.path, self.decoded = path, 0
        self.capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        if not self.capture.isOpened():
            raise BadSample(path, "is no video that FFmpeg can read, or its end is missing")
        self.fps = _rate(self.capture)
        count = self.capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = int(count) if 0 < count < 1e9 else 0

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        try:
            while True:
                there, image = self.capture.read()
                if not there:
                    break
                self.decoded += 1
                self.time = self._time()
                yield self.decoded - 1, cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        finally:
            self.capture.release()
        if not self.decoded:
            raise BadSample(self.path, "holds no frame that can be decoded")

    def _time(self) -> float | None:
        """Of the frame that was read last; None where the file's times do not go forward."""
        seconds = self._stamp() / 1e3
        first = self.decoded == 1
        later = math.isfinite(seconds) and (first or seconds > (self.time or 0.0))
        return seconds if later else None

    def _stamp(self) -> float:
        return self.capture.get(cv2.CAP_PROP_POS_MSEC)

    def missing(self) -> int:
        """Frames that the header promised and nobody could decode.

        0 for less than 1 % or two frames: some containers give a duration alone, that of the sound.
        """
        missing = self.count - self.decoded
        return missing if missing > max(1, self.count // 100) else 0


def uneven_rate(path: Path) -> float | None:
    """Frames a second at which each frame of a video has its time; None where the rate is constant.

    None, too, where the times cannot be right, and where most of the film would be frames that are
    seen again. All times are read only where the first ones vary.
    """
    if not _vary(_gaps(path, FIRST)):
        return None
    gaps = _gaps(path)
    if gaps.min() <= 0 or not gaps.max() <= LONGEST:
        return None
    rate = min(1 / float(np.percentile(gaps, 5)), FASTEST)
    return rate if rate * gaps.sum() <= REPEATED * len(gaps) else None


def _vary(gaps: np.ndarray) -> bool:
    if len(gaps) < 2:
        return False
    short, middle, long = np.percentile(gaps, (5, 50, 95))
    return short * UNEVEN < middle or long > UNEVEN * middle


def _gaps(path: Path, most: int | None = None) -> np.ndarray:
    """Seconds from frame to frame, by the stamps of the first ``most`` frames or of all."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    stamps = []
    while len(stamps) != most and capture.grab():
        stamps.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3)
    capture.release()
    return np.diff(stamps)


class Camera:
    """The frames of a camera until ``stop`` is set, or the camera is gone.

    A frame's number is that of the video at ``fps`` in which it is seen when it was: a camera, or
    what follows it, that is slower leaves gaps. Raises InputError where there is no such camera.
    """

    count = 0  # of frames: nobody knows
    time = None  # a frame's number says when it was

    def __init__(self, index: int, stop: threading.Event):
        self.capture, self.stop = cv2.VideoCapture(index), stop
        if not self.capture.isOpened():
            raise InputError(f"there is no camera {index}, or another program uses it: --webcam")
        self.fps = _rate(self.capture)

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        start, last = time.monotonic(), -1
        try:
            while not self.stop.is_set():
                there, image = self.capture.read()
                if not there:
                    break
                number = int((time.monotonic() - start) * self.fps)
                if number > last:  # else the camera is faster than it says
                    last = number
                    yield number, cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        finally:
            self.capture.release()
        if last < 0:
            raise InputError("the camera gave no picture")


def _rate(capture: cv2.VideoCapture) -> float:
    fps = capture.get(cv2.CAP_PROP_FPS)
    return fps if math.isfinite(fps) and 1 <= fps <= 1000 else USUAL_FPS


class VideoWriter:
    """A video of the frames that are given, of the first one's size less an odd row or column.

    A context manager: the file is complete at the end of it.
    """

    def __init__(self, path: Path, fps: float):
        self.path, self.fps, self.written = path, fps, 0
        self.writer: cv2.VideoWriter | None = None
        self.last: np.ndarray | None = None

    def write(self, number: int, image: np.ndarray) -> None:
        """Frame ``number``, (h, w, 3) uint8 RGB; the frame before fills what was left out."""
        frame = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        if self.writer is None:
            self.writer = self._open(frame.shape[1], frame.shape[0])
            self.last = frame
        if frame.shape != self.last.shape:  # a stream may change its size
            frame = cv2.resize(frame, self.last.shape[1::-1])
        for _ in range(number - self.written):
            self.writer.write(self.last)
        self.writer.write(frame)
        self.written, self.last = max(self.written, number) + 1, frame

    def _open(self, width: int, height: int) -> cv2.VideoWriter:
        size = (width // 2 * 2, height // 2 * 2)
        writer = cv2.VideoWriter(str(self.path), cv2.CAP_FFMPEG, FOURCC, self.fps, size)
        if not writer.isOpened():
            raise InputError(
                f"{self.path}: this OpenCV cannot encode {width} x {height} mp4v: is the folder "
                "writable, and opencv-python-headless the OpenCV that is installed?"
            )
        return writer

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type | None, *_) -> None:
        """End the file. Raises InputError where not all frames are in it, as on a full disk."""
        if self.writer is not None:
            self.writer.release()
        if kind is None:
            self._check()

    def _check(self) -> None:
        capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        there = capture.get(cv2.CAP_PROP_FRAME_COUNT) if capture.isOpened() else 0
        capture.release()
        if there < self.written:
            raise InputError(
                f"{self.path}: {self.written - int(there)} of {self.written} frames could not be "
                "written: free some disk space"
            )
