"""What the page asks of a craft, and what it gets.

A craft knows nothing of gradio: `answer(session, network, request)` reads the file, works, writes
into request.folder and says in words what came out. It raises InputError or BadSample for what
cannot be used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.app.kept import KeptNetworks
from core.data.images.files import MOST_PIXELS, PixelLimit, decode
from core.data.loading import BadSample
from core.training.session import Session

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
STEM = 60  # characters
LIMIT = PixelLimit(MOST_PIXELS)  # of a picture that is decoded; a page has no setting of it
WITHOUT = "no network"  # the choice of a method that learns nothing


@dataclass(frozen=True)
class Request:
    """One file to work on, and what was said beside it."""

    file: Path
    folder: Path  # empty, to write to
    words: str = ""  # of the craft's own field: boxes, a method
    second: Path | None = None  # of the craft's second file: a map

    @property
    def stem(self) -> str:
        """The file's name without its ending, short enough for others to be made of it."""
        return self.file.stem[:STEM]


@dataclass(frozen=True)
class Answer:
    """What a network makes of a file."""

    words: str  # for a person, in lines of Markdown
    pictures: Sequence[tuple[Path, str]] = ()  # and their captions
    files: Sequence[Path] = ()  # to take away
    figure: Any = None  # of plotly, to turn with the mouse


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """What a decoder says of a file that it cannot read becomes a BadSample."""
    try:
        yield
    except ValueError as error:
        raise BadSample(file, str(error)) from error


def picture(file: Path, _words: str = "") -> np.ndarray:
    """A file as a picture (H, W, 3) uint8 RGB, upright. Raises BadSample."""
    with reading(file):
        return np.array(decode(str(file), LIMIT, upright=True))


@dataclass(frozen=True)
class Craft:
    """A tab of the page."""

    name: str  # of the tab
    app: str  # the folder of its runs: runs/<app>/...
    takes: str  # the label of the file
    command: str  # that makes a run
    open: Callable[[str, Session], Any]  # of a run's folder or a kept name
    answer: Callable[[Session, Any, Request], Answer]
    kept: KeptNetworks | None = None
    without: bool = False  # whether there is a method without a network
    field: str = ""  # label of a field of words; none without
    choices: Sequence[str] = ()  # of that field
    second: str = ""  # label of a second file; none without
    preview: Callable[[Path, str], np.ndarray] | None = picture  # of a file and the field's words
    clicked: Callable[[str, int, int], str] | None = None  # the words, after a click in the preview
    three_d: bool = False  # whether answers have a figure
    samples: Sequence[Path] = ()  # files to try it on: the first one, and a second one
    sample_words: Callable[[], str] = str  # for the field, beside them

    def names(self) -> list[str]:
        """The networks that need no run: kept ones, and the choice of none."""
        return (self.kept.names() if self.kept else []) + [WITHOUT] * self.without
